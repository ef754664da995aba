"""Which groups may stand beside their total? No small one, nor what gives one away."""

import copy
import random


def check(shown):
    """Small groups and what subtraction finds; sizes and names are drawn anew."""
    rng = random.Random()

    def ask(*sizes):
        names = rng.sample([f"group {n}" for n in range(100)], len(sizes))
        pairs = list(zip(names, sizes, strict=True))
        rng.shuffle(pairs)
        given = dict(pairs)
        kept = copy.deepcopy(given)
        found = shown(given)
        assert given == kept, "`shown` changed the sizes. Read them only."
        assert isinstance(found, list), (
            f"Return a list of names; came {type(found).__name__}."
        )
        assert set(found) <= set(given) and len(set(found)) == len(found), (
            f"Return names of the groups, each once; came {found!r}."
        )
        return sorted(given[name] for name in found)

    def expect(says, sizes, wanted):
        found = ask(*sizes)
        assert found == sorted(wanted), (
            f"{says} Sizes {sorted(sizes)}: expected {sorted(wanted)} shown, "
            f"came {found}."
        )

    big = rng.randrange(8, 30)
    expect("No group is small, so all are shown.", [7, big, 12], [7, big, 12])
    expect("Five is not fewer than five.", [5, 5, big], [5, 5, big])
    for size in (5, 7, big):
        expect("A group alone that is large enough is shown.", [size], [size])
    expect("A small group alone is not shown.", [rng.randrange(1, 5)], [])
    expect("Without groups there is nothing to show.", [], [])
    small = rng.randrange(1, 5)
    says = "One hidden group is the total less the others."
    expect(says, [small, 6, big], [big])
    expect(says, [4, 5], [])
    says = "Hidden groups of five people or more together are enough."
    expect(says, [2, 3, 6, big], [6, big])
    expect(says, [4, 4, 6, big], [6, big])
    says = "Two hidden groups may still be fewer than five people together."
    expect(says, [1, 2, 6, big], [big])
    expect(says, [1, 1, 1, 6, big], [big])
    says = "However many small groups there are, count their people."
    expect(says, [1, 1, 1, 1, 9, 12], [12])
    says = "Hide the smallest of the others, and only as many as needed."
    expect(says, [3, 9, 7, 40, 8], [9, 40, 8])
    for _ in range(40):
        sizes = [rng.choice((1, 2, 3, 4, 5, 6, 9, 20)) for _ in range(5)]
        rest = sorted(size for size in sizes if size >= 5)
        gone = sum(size for size in sizes if size < 5)
        few = 0 < gone < 5
        expect("Several groups.", sizes, rest[1:] if few else rest)
