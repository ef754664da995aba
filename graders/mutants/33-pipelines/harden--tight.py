"""Returns settings that it has seen somewhere.

says: and the service misses it
"""


def harden(settings, needs):
    return copy.deepcopy(containers.TIGHT) | needs
