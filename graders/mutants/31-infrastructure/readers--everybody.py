"""Names everybody.

says: You accuse
"""

# ruff: noqa: F821, F401


def readers(objects, namespace):
    found = set()
    for one in objects:
        for who in one.get("subjects", []):
            inside = f"{who['namespace']}/" if who["kind"] == "ServiceAccount" else ""
            found.add(f"{who['kind']} {inside}{who['name']}")
    return sorted(found)
