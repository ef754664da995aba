"""Stops at the first statement that matches.

says: An explicit Deny wins
"""

from fnmatch import fnmatchcase


def may(statements, action, resource):
    for row in sorted(statements, key=lambda row: row["Effect"]):
        named = any(fnmatchcase(action.lower(), a.lower()) for a in row["Action"])
        if named and any(fnmatchcase(resource, r) for r in row["Resource"]):
            if "Condition" in row:
                return "cannot tell"
            return row["Effect"].lower()
    return "deny"
