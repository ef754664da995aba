"""An answer to the exercise of the lesson "Evidence, not promises"."""


def shown(sizes):
    """Return the names of the groups that may stand beside their total, as a list."""
    by_size = sorted(sizes, key=lambda name: sizes[name])
    hidden = [name for name in by_size if sizes[name] < 5]
    rest = [name for name in by_size if sizes[name] >= 5]
    while hidden and rest and sum(sizes[name] for name in hidden) < 5:
        hidden.append(rest.pop(0))
    return rest
