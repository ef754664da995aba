"""A threshold that keeps its budget of false alarms, or None."""

import random


def check(bound):
    """The k-th highest peak, where k of n + 1 runs are within the budget.

    Peaks are drawn anew at each call.
    """
    rng = random.Random()

    def ask(count, budget):
        peaks = [round(rng.lognormvariate(1, 1), 6) for _ in range(count)]
        kept = list(peaks)
        found = bound(peaks, budget)
        assert peaks == kept, "`bound` changed the list. Sort a copy."
        assert found is None or isinstance(found, int | float), (
            f"Return a number or None; came {found!r}."
        )
        return found, sorted(peaks, reverse=True)

    def expect(count, budget, rank, says):
        found, peaks = ask(count, budget)
        if rank is None:
            assert found is None, f"{says} Expected None, came {found}."
            return
        assert found is not None, f"{says} Expected a number, came None."
        where = peaks.index(found) + 1 if found in peaks else "none"
        assert where == rank, (
            f"{says} Expected the peak of rank {rank} of {count}, came rank {where}."
        )

    expect(19, 0.05, 1, "Nineteen runs buy 5 % with their highest peak.")
    expect(18, 0.05, None, "Eighteen runs are too few for 5 %.")
    expect(0, 0.05, None, "Without runs there is no threshold.")
    expect(39, 0.05, 2, "Of 40 runs that are alike, two may exceed the threshold.")
    expect(99, 0.05, 5, "Of 100 runs that are alike, five may exceed it.")
    expect(99, 0.01, 1, "A budget of 1 % needs 99 runs.")
    expect(98, 0.01, None, "Ninety-eight runs are too few for 1 %.")
    expect(19, 0.1, 2, "The budget is an argument: 10 % of 20 runs are two.")
    expect(50, 0.05, 2, "5 % of 51 runs are 2.55: round down, or you overspend.")
    expect(55, 0.05, 2, "5 % of 56 runs are 2.8: round down, or you overspend.")
    expect(997, 0.001, None, "0.998 of a run is none.")
    expect(99, 0.29, 29, "0.29 times 100 is 29 for people, and less for floats.")
    found = bound([5.0] * 3 + [1.0] * 36, 0.05)
    assert found == 5.0, (
        f"Runs with the same peak are several runs. Expected 5.0, came {found!r}."
    )
