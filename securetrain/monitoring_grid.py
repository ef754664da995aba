"""Which monitor sees which attack, how late, and what it costs on clean runs.

Some two hundred trainings a seed, so too many for a lesson: `securetrain claims
--table monitoring-grid` measures them and keeps the numbers in the ledger.
"""

from __future__ import annotations

from statistics import median

from securetrain import monitoring
from securetrain import training_stream as streams
from securetrain.monitoring import MONITORS

CLEAN_RUNS, RUNS = 19, 8
TOGETHER = "all, one budget"
FALSE_ALARMS, SEEN, DELAY = "clean: false alarms", "seen", "delay"
NEVER = streams.BATCHES - streams.CHANGE  # the delay of an attack that nobody saw


def attacks(start: streams.Source) -> dict[str, streams.Attack]:
    """Return every attack by its name."""
    return {
        "sticker 5 %": streams.backdoor(0.05),
        "half flipped": streams.flip,
        "exchanged": streams.exchange,
        "chaff": streams.chaff,
        "darkening": streams.darken,
        "sticker 1 %": streams.backdoor(1 / streams.BATCH),
        "easy company": streams.company(start),
        "clean label": streams.clean_label,
    }


def alarms(
    trace: monitoring.Trace,
    known: monitoring.Reference,
    alone: dict[str, float],
    together: dict[str, float],
) -> dict[str, int | None]:
    """Return the first alarm of each monitor, and of all with one budget."""
    found = monitoring.scores(trace, known)
    first = {n: monitoring.first_alarm(found[n], alone[n]) for n in MONITORS}
    return first | {TOGETHER: monitoring.first_of_all(found, together)}


def delay(first: int | None) -> int | None:
    """Return how many batches after the change, or None; earlier is a false alarm."""
    if first is None or first < streams.CHANGE:
        return None
    return first - streams.CHANGE


def measure(seed: int, runs: int = RUNS) -> dict[str, dict[str, float]]:
    """Return monitor -> share of clean runs that alarm; seen and delay by attack."""
    start = streams.source(seed, progress=False)
    clean = [streams.run(start, 1000 + n).trace for n in range(CLEAN_RUNS)]
    known = monitoring.reference(clean, start.trusted)
    scored = [monitoring.scores(trace, known) for trace in clean]
    limits = monitoring.calibrate(scored), monitoring.share_budget(scored)
    happens = {"": None} | attacks(start)
    firsts: dict[str, list[dict[str, int | None]]] = {name: [] for name in happens}
    for number in range(runs):
        before = streams.run(start, 5000 + number, batches=streams.CHANGE)
        for name, attack in happens.items():
            done = streams.run(start, 5000 + number, attack, before=before)
            firsts[name].append(alarms(done.trace, known, *limits))
    return {monitor: _row(monitor, firsts) for monitor in (*MONITORS, TOGETHER)}


def _row(
    monitor: str, firsts: dict[str, list[dict[str, int | None]]]
) -> dict[str, float]:
    """Return one monitor's line of the table."""
    false = [first[monitor] is not None for first in firsts[""]]
    row = {FALSE_ALARMS: sum(false) / len(false)}
    for name, many in firsts.items():
        if name:
            late = [delay(first[monitor]) for first in many]
            row[f"{name}: {SEEN}"] = sum(d is not None for d in late) / len(late)
            row[f"{name}: {DELAY}"] = float(
                median(NEVER if d is None else d for d in late)
            )
    return row


def picture(
    grid: dict[str, dict[str, list[float]]],
) -> tuple[list[list[float]], list[list[str]]]:
    """Return the table's rates, false alarms first, and the delays as notes.

    grid: the table as the ledger has it, one value a seed
    """
    rates, notes = [], []
    for row in grid.values():
        mean = {name: sum(seeds) / len(seeds) for name, seeds in row.items()}
        rates.append([v for name, v in mean.items() if not name.endswith(DELAY)])
        late = [v for name, v in mean.items() if name.endswith(DELAY)]
        both = zip(rates[-1][1:], late, strict=True)
        says = [f"{value:.0f}" if rate >= 0.5 else "–" for rate, value in both]
        notes.append(["a run", *says])
    return rates, notes
