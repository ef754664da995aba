"""Compares an action with `*` with case.

says: Actions know no case, patterns included
"""

from fnmatch import fnmatchcase


def may(statements, action, resource):
    """Return "allow", "deny" or "cannot tell"."""

    def about(row):
        named = any(
            fnmatchcase(action, one) or action.lower() == one.lower()
            for one in row["Action"]
        )
        return named and any(fnmatchcase(resource, one) for one in row["Resource"])

    rows = [row for row in statements if about(row)]
    sure = {row["Effect"] for row in rows if "Condition" not in row}
    perhaps = {row["Effect"] for row in rows if "Condition" in row}
    if "Deny" in sure or "Allow" not in sure | perhaps:
        return "deny"
    return "allow" if "Allow" in sure and "Deny" not in perhaps else "cannot tell"
