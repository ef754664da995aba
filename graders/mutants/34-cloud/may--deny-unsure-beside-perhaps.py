"""Doubts a sure Deny beside a Deny that perhaps applies.

says: A sure Deny wins over all others
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
    if sure == {"Deny"} and perhaps == {"Deny"}:
        return "cannot tell"
    if "Deny" in sure or "Allow" not in sure | perhaps:
        return "deny"
    return "allow" if "Allow" in sure and "Deny" not in perhaps else "cannot tell"
