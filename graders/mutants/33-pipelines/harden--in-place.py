"""Changes the settings that it was given.

says: You changed what you were given
"""


def harden(settings, needs):
    settings["user"] = 65534
    return settings
