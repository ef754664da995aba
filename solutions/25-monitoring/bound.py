"""An answer to the exercise of the lesson "A quiet run"."""


def bound(peaks, budget):
    """Return the threshold, or None where the runs are too few for the budget."""
    allowed = int(budget * (len(peaks) + 1) + 1e-9)
    if allowed < 1:
        return None
    return sorted(peaks)[-allowed]
