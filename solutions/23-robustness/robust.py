"""An answer to the exercise of the lesson "A tiny change"."""


def robust(right):
    """Return the share of images that survive all attacks, from 0 to 1."""
    if "no attack" not in right:
        raise ValueError(f"'no attack' is missing; there are: {', '.join(right)}")
    count = len(right["no attack"])
    if count == 0 or any(len(row) != count for row in right.values()):
        raise ValueError("need answers about the same images, one at least")
    survived = [all(answers) for answers in zip(*right.values(), strict=True)]
    return sum(survived) / count
