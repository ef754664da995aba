"""Time functions side by side, so that a busy moment hits all of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any


def once(function: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return a function's value, its wall seconds and its CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    value = function()
    return value, time.perf_counter() - wall, time.process_time() - cpu


def side_by_side(
    functions: dict[str, Callable[[], Any]], repeats: int
) -> dict[str, dict[str, float]]:
    """Call each function once to warm up, then all of them in turn `repeats` times.

    Returns for each name: the least and the median wall seconds, and the median CPU
    seconds.
    """
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(repeats):
        for name, function in functions.items():
            spent[name].append(once(function)[1:])
    return {
        name: {
            "min": min(wall for wall, _ in times),
            "median": median(wall for wall, _ in times),
            "cpu": median(cpu for _, cpu in times),
        }
        for name, times in spent.items()
    }
