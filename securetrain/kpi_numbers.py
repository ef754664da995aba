"""Uncertainty and small groups: what a number from twenty people can bear.

A share comes with Wilson's interval, a paired change with a bootstrap over people, a
median with an interval from its order alone, in which "never" is longer than any time.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from random import Random
from statistics import fmean

SMALLEST = 5  # people; of fewer nothing is shown
FEW = 20  # people; below, a bootstrap's interval is known to be too narrow
Z = 1.959964  # of a 95 % interval
RESAMPLES = 2000
NEVER = math.inf

Interval = tuple[float, float]


def wilson(hits: float, n: float) -> Interval:
    """Return the 95 % interval of a share; it stays inside 0 and 1, also at 0 of n.

    hits: 0 to n; n: above 0. Raises ValueError otherwise.
    Source: Probable inference, Wilson 1927
    """
    if not 0 <= hits <= n or n <= 0:
        raise ValueError(f"expected hits from 0 to n, n above 0; got {hits} of {n}")
    share, z2 = hits / n, Z * Z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    low = 0.0 if hits == 0 else centre - half
    return max(0.0, low), 1.0 if hits == n else min(1.0, centre + half)


def growth(pairs: Sequence[tuple[float, float]]) -> float:
    """Return how much the mean grew from before to after, 0.3 for 30 %.

    pairs: (before, after) of the same person, before above 0. Raises ValueError for
    none.
    """
    if not pairs:
        raise ValueError("expected a pair or more, got none")
    return fmean(a for _, a in pairs) / fmean(b for b, _ in pairs) - 1


def growth_interval(pairs: Sequence[tuple[float, float]], seed: int = 0) -> Interval:
    """Return the 95 % interval of `growth`: people are drawn again, pairs stay pairs.

    The same pairs give the same interval: an auditor finds the number again.
    Source: Bootstrap methods, Efron 1979 (percentiles)
    """
    return _resampled(tuple(pairs), seed)


@lru_cache(64)
def _resampled(pairs: tuple[tuple[float, float], ...], seed: int) -> Interval:
    rng, n = Random(seed), len(pairs)
    drawn = sorted(growth(rng.choices(pairs, k=n)) for _ in range(RESAMPLES))
    return drawn[round(0.025 * RESAMPLES)], drawn[round(0.975 * RESAMPLES) - 1]


def mean_interval(values: Sequence[float], seed: int = 0) -> Interval:
    """Return the bootstrap's 95 % interval of a mean over people."""
    low, high = growth_interval([(1.0, value) for value in values], seed)
    return low + 1, high + 1


def median(times: Sequence[float | None]) -> float:
    """Return the median of times of which None is "never", longer than any.

    Between a time and never the median is never. Raises ValueError for no times.
    """
    if not times:
        raise ValueError("expected a time or more, got none")
    ordered = _ordered(times)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def median_interval(times: Sequence[float | None]) -> Interval | None:
    """Return a 95 % interval of `median`, None where fewer than six times allow none.

    Exact, for any distribution: two of the times themselves, at least 95 % sure.
    Source: the sign test's interval; Conover, Practical nonparametric statistics
    """
    ordered, n = _ordered(times), len(times)
    tail, k = 0.0, 0  # P(Binomial(n, 1/2) <= k - 1)
    while k < n and tail + math.comb(n, k) / 2**n <= 0.025:
        tail += math.comb(n, k) / 2**n
        k += 1
    return (ordered[k - 1], ordered[n - k]) if k else None


def _ordered(times: Sequence[float | None]) -> list[float]:
    return sorted(NEVER if time is None else time for time in times)


def hidden(groups: Mapping[str, Collection[str]]) -> set[str]:
    """Return the names of the groups that must not be shown beside their total.

    groups: name -> its people; groups may share people
    A group of fewer than five is hidden, and so is the next smallest until all that is
    hidden is about five people or more: less could be found by subtraction.
    Source: complementary suppression, as statistical offices do it
    """
    by_size = sorted(groups, key=lambda name: (len(set(groups[name])), name))
    chosen = [name for name in by_size if 0 < len(set(groups[name])) < SMALLEST]
    rest = [name for name in by_size if name not in chosen and groups[name]]
    while chosen and rest and _together(groups, chosen) < SMALLEST:
        chosen.append(rest.pop(0))
    return set(chosen)


def _together(groups: Mapping[str, Collection[str]], names: Sequence[str]) -> int:
    return len(set().union(*(groups[name] for name in names)))
