"""Reads only the first name of a Deny.

says: A Deny lists several names and any case
"""

from fnmatch import fnmatchcase


def may(statements, action, resource):
    """Return "allow", "deny" or "cannot tell"."""

    def about(row):
        many = 1 if row["Effect"] == "Deny" else None
        actions = [pattern.lower() for pattern in row["Action"][:many]]
        named = any(fnmatchcase(action.lower(), pattern) for pattern in actions)
        resources = row["Resource"][:many]
        return named and any(fnmatchcase(resource, one) for one in resources)

    rows = [row for row in statements if about(row)]
    sure = {row["Effect"] for row in rows if "Condition" not in row}
    perhaps = {row["Effect"] for row in rows if "Condition" in row}
    if "Deny" in sure or "Allow" not in sure | perhaps:
        return "deny"
    return "allow" if "Allow" in sure and "Deny" not in perhaps else "cannot tell"
