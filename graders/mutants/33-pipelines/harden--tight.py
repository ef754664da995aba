"""Returns settings that it has seen somewhere.

says: and the service misses it
"""

import copy

from securetrain import containers


def harden(settings, needs):
    return copy.deepcopy(containers.TIGHT) | needs
