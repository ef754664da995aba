"""Returns the settings as they are.

says: an exploit is left with
"""

import copy


def harden(settings, needs):
    return copy.deepcopy(settings)
