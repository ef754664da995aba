"""An answer to the exercise of the lesson "Hidden in the crowd"."""


def accept(before, after, accuracy_lost, false_alarms):
    """Return True when a defence may be installed, else False."""
    seeds = list(zip(before, after, accuracy_lost, false_alarms, strict=True))
    return bool(seeds) and all(
        was >= 0.5 and left <= 0.1 and lost <= 0.02 and alarms <= 0.05
        for was, left, lost, alarms in seeds
    )
