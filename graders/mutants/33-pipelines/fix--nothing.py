"""Returns the workflow as it is.

says: The workflow's permissions are
"""

import copy


def fix(workflow):
    return copy.deepcopy(workflow)
