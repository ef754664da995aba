"""Returns the workflow as it is.

says: The workflow's permissions are
"""


def fix(workflow):
    return copy.deepcopy(workflow)
