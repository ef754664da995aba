"""Denies as soon as the policy denies anything.

says: A Deny of another action is no Deny here
"""

from fnmatch import fnmatchcase


def may(statements, action, resource):
    """Return "allow", "deny" or "cannot tell"."""

    def about(row):
        actions = [pattern.lower() for pattern in row["Action"]]
        named = any(fnmatchcase(action.lower(), pattern) for pattern in actions)
        return named and any(fnmatchcase(resource, one) for one in row["Resource"])

    rows = [row for row in statements if about(row)]
    sure = {row["Effect"] for row in rows if "Condition" not in row}
    perhaps = {row["Effect"] for row in rows if "Condition" in row}
    if any(r["Effect"] == "Deny" and "Condition" not in r for r in statements):
        return "deny"
    if "Deny" in sure or "Allow" not in sure | perhaps:
        return "deny"
    return "allow" if "Allow" in sure and "Deny" not in perhaps else "cannot tell"
