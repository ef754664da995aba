"""Compares the action of a Deny with case.

says: A Deny lists several names and any case
"""

from fnmatch import fnmatchcase


def may(statements, action, resource):
    """Return "allow", "deny" or "cannot tell"."""

    def about(row):
        actions, asked = row["Action"], action
        if row["Effect"] == "Allow":
            actions, asked = [one.lower() for one in actions], action.lower()
        named = any(fnmatchcase(asked, pattern) for pattern in actions)
        return named and any(fnmatchcase(resource, one) for one in row["Resource"])

    rows = [row for row in statements if about(row)]
    sure = {row["Effect"] for row in rows if "Condition" not in row}
    perhaps = {row["Effect"] for row in rows if "Condition" in row}
    if "Deny" in sure or "Allow" not in sure | perhaps:
        return "deny"
    return "allow" if "Allow" in sure and "Deny" not in perhaps else "cannot tell"
