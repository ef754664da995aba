"""Matches the end of a resource only.

says: A resource that only begins or ends alike
"""

import re
from fnmatch import fnmatchcase


def may(statements, action, resource):
    """Return "allow", "deny" or "cannot tell"."""

    def about(row):
        actions = [pattern.lower() for pattern in row["Action"]]
        named = any(fnmatchcase(action.lower(), pattern) for pattern in actions)
        forms = [re.escape(one).replace(r"\*", ".*") for one in row["Resource"]]
        return named and any(re.search(f"{form}$", resource) for form in forms)

    rows = [row for row in statements if about(row)]
    sure = {row["Effect"] for row in rows if "Condition" not in row}
    perhaps = {row["Effect"] for row in rows if "Condition" in row}
    if "Deny" in sure or "Allow" not in sure | perhaps:
        return "deny"
    return "allow" if "Allow" in sure and "Deny" not in perhaps else "cannot tell"
