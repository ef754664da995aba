"""Every figure of the course: one function each, axes in, axes out.

Colour and marker mean the same everywhere: clean is a grey circle, attacked a
vermillion triangle, defended a blue square (Okabe and Ito's palette).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

if TYPE_CHECKING:  # a lesson without a network draws without loading torch
    from torch import Tensor

from securetrain.tables import interval

CLEAN, ATTACKED, DEFENDED = "#7f7f7f", "#d55e00", "#0072b2"
COLOURS = {"clean": CLEAN, "attacked": ATTACKED, "defended": DEFENDED}
MARKERS = {"clean": "o", "attacked": "^", "defended": "s"}
HATCHES = {"clean": "", "attacked": "//", "defended": ".."}
SIZE = (6, 3.5)  # inches


def new_axes(ax: Axes | None, title: str) -> Axes:
    """Return `ax` or new axes, with a title that states the finding."""
    if ax is None:
        _, ax = plt.subplots(figsize=SIZE, layout="constrained")
    ax.set_title(title, fontsize=11, loc="left")
    return ax


def images(
    x: Tensor, captions: Sequence[str], title: str, ax: Axes | None = None
) -> Axes:
    """Show images side by side, each with its caption.

    x: (N, C, H, W) in [0, 1], N up to about eight
    """
    ax = new_axes(ax, title)
    n, _, height, width = x.shape
    gap = width // 8
    for i, image in enumerate(x):
        left = i * (width + gap)
        shown = image.permute(1, 2, 0)
        if shown.shape[2] == 1:
            shown = shown.expand(-1, -1, 3)
        extent = (left, left + width, height, 0)
        ax.imshow(shown.numpy(), extent=extent, interpolation="nearest")
        ax.text(
            left + width / 2, height + 2, captions[i], ha="center", va="top", size=9
        )
    ax.set(xlim=(-1, n * (width + gap) - gap + 1), ylim=(height * 1.22, -1))
    ax.set_axis_off()
    return ax


def check_few(lines: Collection[str]) -> None:
    """Raise ValueError when there are more lines than colours and markers."""
    if len(lines) > len(COLOURS):
        raise ValueError(f"at most {len(COLOURS)} lines, got {len(lines)}")


def bars(
    rates: Mapping[str, Mapping[str, float]],
    title: str,
    ax: Axes | None = None,
    roles: Mapping[str, str] | None = None,
) -> Axes:
    """Show rates as grouped bars with their numbers.

    rates: group on the axis -> {"clean" | "attacked" | "defended": rate in [0, 1]},
    or any other series names, which take the three colours in order, or those that
    `roles` gives them
    """
    ax = new_axes(ax, title)
    series = list(dict.fromkeys(name for group in rates.values() for name in group))
    width = 0.8 / len(series)
    known = dict(roles or {}) | {role: role for role in COLOURS}
    for i, name in enumerate(series):
        role = known.get(name, list(COLOURS)[i % len(COLOURS)])
        groups = [g for g in rates if name in rates[g]]
        at = [
            list(rates).index(g) + (i - (len(series) - 1) / 2) * width for g in groups
        ]
        drawn = ax.bar(
            at,
            [rates[g][name] for g in groups],
            width * 0.92,
            color=COLOURS[role],
            hatch=HATCHES[role],
            edgecolor="white",
            label=name,
        )
        ax.bar_label(drawn, fmt="%.2f", fontsize=8, padding=1)
    ax.set_xticks(range(len(rates)), list(rates), fontsize=9)
    ax.set(ylim=(0, 1.12), ylabel="rate", yticks=[0, 0.25, 0.5, 0.75, 1])
    ax.spines[["top", "right"]].set_visible(False)
    if len(series) > 1:
        ax.legend(fontsize=8, ncols=len(series), loc="upper center", frameon=False)
        ax.set_ylim(0, 1.3)
    return ax


def scores(
    values: Tensor, is_poison: Tensor, title: str, label: str, ax: Axes | None = None
) -> Axes:
    """Show how a score spreads over the clean and the poisoned images.

    values: (N,); is_poison: (N,) bool; label: what the score is, with its unit
    """
    ax = new_axes(ax, title)
    low, high = values.min().item(), values.max().item()
    edges = [low + (high - low) * i / 40 for i in range(41)]
    for role, mask in (("clean", ~is_poison), ("attacked", is_poison)):
        kind = "poison" if role == "attacked" else "clean"
        ax.hist(
            values[mask].numpy(),
            bins=edges,
            color=COLOURS[role],
            hatch=HATCHES[role],
            edgecolor="white",
            alpha=0.85,
            label=f"{kind} ({int(mask.sum())})",
        )
    ax.set(xlabel=label, ylabel="images (log scale above 10)")
    ax.set_yscale("symlog", linthresh=10)
    ax.yaxis.set_major_formatter("{x:.0f}")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=8, frameon=False)
    return ax


def plane(
    points: Tensor, is_poison: Tensor, title: str, ax: Axes | None = None
) -> Axes:
    """Show one class's features in the plane of their two main directions.

    points: (N, 2); is_poison: (N,) bool
    """
    ax = new_axes(ax, title)
    for role, mask in (("clean", ~is_poison), ("attacked", is_poison)):
        ax.scatter(
            *points[mask].T.numpy(),
            s=18,
            c=COLOURS[role],
            marker=MARKERS[role],
            alpha=0.7,
            linewidths=0,
            label="poison" if role == "attacked" else "clean",
        )
    ax.set(xlabel="first direction", ylabel="second direction")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=8, frameon=False)
    return ax


def curve(
    x: Sequence[float] | Mapping[str, Sequence[float]],
    lines: Mapping[str, Sequence[float]],
    title: str,
    label: str,
    ax: Axes | None = None,
) -> Axes:
    """Show rates against what the attacker or defender can turn up.

    x: positions, or those of each line by its name; lines: up to three, name -> rates
    in [0, 1]; label: what x is, with its unit. Raises ValueError for a fourth line.
    """
    check_few(lines)
    ax = new_axes(ax, title)
    for role, (name, rates) in zip(COLOURS, lines.items(), strict=False):
        style = {"color": COLOURS[role], "marker": MARKERS[role]}
        at = x[name] if isinstance(x, Mapping) else x
        ax.plot(at, rates, **style, linewidth=1.5, markersize=6, label=name)
    ax.set(ylim=(-0.03, 1.08), xlabel=label, ylabel="rate")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=8, frameon=False)
    return ax


def exposure(
    bits: Mapping[str, Mapping[int, Sequence[float]]],
    marks: Mapping[str, float],
    title: str,
    ax: Axes | None = None,
) -> Axes:
    """Show what a model gives away of each key, by the number of its copies.

    bits: up to three, name -> number of copies -> bits of each key; the line joins
    the means. marks: text -> bits, drawn across. Raises ValueError for a fourth name.
    """
    check_few(bits)
    ax = new_axes(ax, title)
    copies = sorted({n for groups in bits.values() for n in groups})
    for text, height in marks.items():
        ax.axhline(height, color="#bbbbbb", linewidth=1, linestyle="--", zorder=0)
        style = {"size": 7, "ha": "right", "va": "bottom", "color": "#555555"}
        ax.text(len(copies) - 0.52, height, text, **style)
    for shift, role, (name, groups) in zip(
        (-0.12, 0.0, 0.12), COLOURS, bits.items(), strict=False
    ):
        style = {"color": COLOURS[role], "marker": MARKERS[role]}
        at = [copies.index(n) + shift for n in groups]
        for x, keys in zip(at, groups.values(), strict=True):
            ax.plot([x] * len(keys), keys, **style, linestyle="", ms=4, alpha=0.5)
        means = [sum(keys) / len(keys) for keys in groups.values()]
        ax.plot(at, means, **style, linewidth=1.5, markersize=6, label=name)
    ax.set_xticks(range(len(copies)), copies)
    ax.set(xlim=(-0.5, len(copies) - 0.5), xlabel="copies in the training data")
    ax.set_ylabel("exposure in bits")
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_ylim(top=1.35 * ax.get_ylim()[1])  # room for the names
    ax.legend(fontsize=8, frameon=False, loc="upper left")
    return ax


def roc(
    lines: Mapping[str, Sequence[Sequence[float]]],
    title: str,
    ax: Axes | None = None,
) -> Axes:
    """Show the share of members found against that of others accused, both in powers.

    lines: up to three, name -> false and true positive rates above 0.
    Raises ValueError for a fourth line.
    """
    check_few(lines)
    ax = new_axes(ax, title)
    least = min(rates[0] for rates, _ in lines.values())
    ax.plot([least, 1], [least, 1], "--", color="#bbbbbb", label="guessing")
    for role, (name, (rates, found)) in zip(COLOURS, lines.items(), strict=False):
        style = {"color": COLOURS[role], "marker": MARKERS[role], "markevery": 4}
        ax.plot(rates, found, **style, linewidth=1.5, markersize=5, label=name)
    ax.set(xscale="log", yscale="log", xlim=(least, 1), ylim=(least / 2, 1.1))
    ax.set(xlabel="share of non-members accused", ylabel="share of members found")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=8, frameon=False)
    return ax


def heat(
    rates: Sequence[Sequence[float]],
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    ax: Axes | None = None,
    notes: Sequence[Sequence[str]] | None = None,
) -> Axes:
    """Show a table of rates, each cell with its number; darker is higher.

    rates: one row of rates in [0, 1] for each name in `rows`; where all are 0 or 1, as
    answers of yes and no are, they are written so; notes: a small second line for each
    cell
    """
    ax = new_axes(ax, title)
    digits = 0 if all(rate in (0, 1) for row in rates for rate in row) else 2
    ax.imshow(rates, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i, row in enumerate(rates):
        for j, rate in enumerate(row):
            style = {"color": "white" if rate > 0.6 else "black", "ha": "center"}
            at = {"va": "bottom" if notes else "center", "size": 9}
            ax.text(j, i, _rate(rate, digits), **style, **at)
            if notes:
                ax.text(j, i + 0.05, notes[i][j], va="top", size=7, **style)
    ax.set_xticks(range(len(columns)), columns, fontsize=9)
    ax.set_yticks(range(len(rows)), rows, fontsize=9)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


def tree(size: int, leaf: int, title: str, ax: Axes | None = None) -> Axes:
    """Show a Merkle tree, and which of its hashes prove that one leaf is in it.

    size: leaves, at most about 16; leaf: the one to prove, from 0
    Raises ValueError for a leaf that is not there.
    """
    if not 0 <= leaf < size:
        raise ValueError(f"expected a leaf from 0 to {size - 1}, got {leaf}")
    ax = new_axes(ax, title)
    kinds: dict[str, list[tuple[float, float]]] = {
        "the entry": [],
        "sent as proof": [],
        "worked out by the reader": [],
        "not needed": [],
    }
    _branch(ax, kinds, 0, size, leaf, "not needed")
    styles = ((ATTACKED, "^"), (DEFENDED, "s"), ("black", "D"), (CLEAN, "o"))
    for (kind, places), (colour, marker) in zip(kinds.items(), styles, strict=True):
        style = {"s": 90, "c": colour, "marker": marker, "label": kind}
        if places:
            ax.scatter(*zip(*places, strict=True), **style)
    for number in range(size):
        ax.text(number, -0.35, number, ha="center", va="top", size=9)
    ax.set_axis_off()
    ax.set_ylim(-0.8, size.bit_length() + 0.9)
    ax.legend(fontsize=8, frameon=False, ncols=2, loc="upper left")
    return ax


def _branch(
    ax: Axes, kinds: dict[str, list], low: int, high: int, leaf: int, kind: str
) -> tuple[float, float]:
    """Draw the subtree of leaves `low` to `high` - 1; return where its top stands."""
    inside = low <= leaf < high
    if high - low == 1:
        place = (float(low), 0.0)
        kinds["the entry" if inside else kind].append(place)
        return place
    middle = low + (1 << ((high - low - 1).bit_length() - 1))
    sides = ((low, middle), (middle, high))
    ends = []
    for start, end in sides:
        beside = inside and not start <= leaf < end
        name = "sent as proof" if beside else "not needed"
        ends.append(_branch(ax, kinds, start, end, leaf, name))
    place = (sum(x for x, _ in ends) / 2, 1 + max(height for _, height in ends))
    for end in ends:
        ax.plot(*zip(place, end, strict=True), color="#cccccc", zorder=0)
    kinds["worked out by the reader" if inside else kind].append(place)
    return place


def table(
    values: Mapping[str, Mapping[str, Sequence[float]]],
    title: str,
    ax: Axes | None = None,
) -> Axes:
    """Show a table of the ledger: each cell's mean over the seeds and its interval.

    values: row -> column -> one rate in [0, 1] a seed, two seeds or more; an interval
    is cut where no rate can lie
    """
    cells = [list(row.values()) for row in values.values()]
    means = [[sum(seeds) / len(seeds) for seeds in row] for row in cells]
    notes = [[_range(seeds) for seeds in row] for row in cells]
    columns = [name.replace(" ", "\n", 1) for name in next(iter(values.values()))]
    if ax is None:
        size = max(SIZE[0], 1 + len(columns)), max(SIZE[1], 1 + 0.5 * len(values))
        _, ax = plt.subplots(figsize=size, layout="constrained")
    return heat(means, list(values), columns, title, ax, notes)


def _range(seeds: Sequence[float]) -> str:
    low, high = interval(list(seeds))
    low, high = max(low, min(0, *seeds)), min(high, max(1, *seeds))
    return f"[{_rate(low)}, {_rate(high)}]"


def _rate(value: float, digits: int = 2) -> str:
    return f"{float(value):.{digits}f}".replace("-0.00", "0.00")


def spans(
    rows: Mapping[str, Sequence[tuple[float, float, str]]],
    title: str,
    label: str,
    mark: tuple[float, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Show what lasted how long, one line a row, the first row on top.

    rows: name -> (start, end, "clean" | "attacked" | "defended"); label: what the axis
    is, with its unit; mark: a moment and its name, drawn across
    """
    ax = new_axes(ax, title)
    for height, parts in enumerate(rows.values()):
        for start, end, role in parts:
            style = {"color": COLOURS[role], "hatch": HATCHES[role]}
            ax.barh(height, end - start, 0.6, start, edgecolor="white", **style)
    if mark:
        ax.axvline(mark[0], color="black", linewidth=1, linestyle="--")
        ax.text(mark[0], -0.55, f"{mark[1]} ", ha="right", va="bottom", size=8)
    ax.set_yticks(range(len(rows)), list(rows), fontsize=9)
    ax.set_ylim(len(rows) - 0.5, -1.1)
    ax.set_xlabel(label)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
