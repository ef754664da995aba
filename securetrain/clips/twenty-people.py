"""Cohorts of one truth, drawn again and again, with the leader's interval. Seed 0."""

from random import Random
from statistics import fmean

from securetrain import kpi_figures, kpi_numbers
from securetrain.film import ATTACKED, CLEAN, DEFENDED, part, points

UNIT = "52-kpis/1-evidence-not-promises"
TITLE = "What chance does to twenty people"
ALT = (
    "Cohorts of twenty, all with one true rate, scatter across a goal. Most intervals "
    "hold the truth. With two hundred people numbers and intervals draw together."
)
SEED, TRUTH, COHORTS, SHOWN = 0, 0.8, 4000, 16  # truth and draws as in the lesson
GOAL, FEW, MANY = kpi_figures.COMPLETION, 20, 200
LEFT, RIGHT, LOW, HIGH, LEAST = 480, 1145, 268, 590, 0.35


def cohorts(size):
    """Return who passed in the first cohorts, and how many did in each of all."""
    rng = Random(SEED)
    drawn = [[rng.random() < TRUTH for _ in range(size)] for _ in range(COHORTS)]
    return drawn[:SHOWN], [sum(one) for one in drawn]


def facts():
    found = {}
    for size in (FEW, MANY):
        shown, counts = cohorts(size)
        bands = [kpi_numbers.wilson(count, size) for count in counts]
        under = [count / size < GOAL for count in counts]
        holds = [low <= TRUTH <= high for low, high in bands]
        idle = [
            miss and bool(kpi_figures.doubt(band, GOAL))
            for miss, band in zip(under, bands, strict=True)
        ]
        found[size] = {
            "who": shown,
            "rates": [count / size for count in counts[:SHOWN]],
            "bands": bands[:SHOWN],
            "holds": holds[:SHOWN],
            "idle": idle[:SHOWN],
            "shares": [fmean(under), fmean(holds), fmean(idle)],
        }
    return found


def holds(f):
    few, many = f[FEW]["shares"], f[MANY]["shares"]
    scatter = [max(f[n]["rates"]) - min(f[n]["rates"]) for n in (FEW, MANY)]
    sure = min(few[1], many[1]) > 0.94 and f[FEW]["holds"].count(False) == 1
    return sure and few[2] > 10 * many[2] and scatter[0] > 2 * scatter[1]


def scenes(f):
    few, percent = f[FEW], kpi_figures.percent
    first, rest = few["rates"][0], few["rates"][1:]
    under, sure, _ = few["shares"]
    passed, missed = sum(few["who"][0]), few["holds"].count(False)
    least, most = percent(min(rest)), percent(max(rest))
    return [
        f"Each learner truly passes with {percent(TRUTH)}. "
        f"The goal is {percent(GOAL)}.",
        (f"Draw a cohort of {FEW}: {passed} pass. The page says {percent(first)}.", 2),
        (f"Nothing changes. The next {len(rest)} cohorts say {least} to {most}.", 8),
        f"Of {COHORTS:,} such cohorts {percent(1 - under)} meet the goal. "
        "That is luck alone.",
        ("The leader's page draws a 95 % interval around each number.", 4),
        f"{percent(sure)} of the {COHORTS:,} hold the truth. "
        f"Of these {SHOWN}, {missed} does not.",
        (f"Now {MANY} people, the same truth: numbers and intervals draw together.", 7),
        "Under its goal, with the goal in its interval: that number is no news.",
    ]


def place(rate):
    """Return where a rate lies, in pixels from the left."""
    return LEFT + (RIGHT - LEFT) * (rate - LEAST) / (1 - LEAST)


def draw(stage, f, at):
    scale(stage, at(0))
    half = min(1, 4 * at(6))  # the first cohorts make room for the larger ones
    base = LOW + (HIGH - LOW) * 0.54 * half
    one, next_ones = at(1) > 0.5, part(at(2), 0, 1) * (SHOWN - 1)
    few = one + int(next_ones)
    rows(stage, f[FEW], base, HIGH, few, at(4), at(5), at(7))
    grown = max(0, at(6) - 0.25) / 0.75
    many = round(SHOWN * grown)
    rows(stage, f[MANY], LOW, LOW + (HIGH - LOW) * 0.46, many, 1, 1, at(7))
    for size, y in ((FEW, (base + HIGH) / 2), (MANY, LOW + (HIGH - LOW) * 0.23)):
        alpha = at(1) if size == FEW else min(1, 3 * grown)
        stage.text(1205, y + 15, f"{size}", 28, alpha, weight="bold")
        stage.text(1205, y - 17, "people", 24, alpha)
    shown, size = (many, MANY) if half == 1 else (few, FEW)
    people(stage, f[size], size, shown, at(0))
    table(stage, f, at, min(1, 3 * grown))
    few, many = (kpi_figures.percent(f[n]["shares"][2]) for n in (FEW, MANY))
    text = f"No news: {few} of cohorts of {FEW}, {many} of cohorts of {MANY}"
    stage.finding(text, at(7))


def scale(stage, alpha):
    """Draw the line of percentages with the truth and the goal."""
    stage.line((LEFT, LOW - 14), (RIGHT, LOW - 14), "black", alpha)
    for rate in (0.4, 0.6, 0.8, 1.0):
        x = place(rate)
        stage.line((x, LOW - 22), (x, LOW - 14), "black", alpha)
        stage.text(x, LOW - 42, kpi_figures.percent(rate), 24, alpha)
    for rate, name, colour, style, side, step in (
        (TRUTH, "truth", DEFENDED, "-", "right", 8),
        (GOAL, "goal", "black", (0, (4, 2)), "left", -8),
    ):
        x, text = place(rate), f"{name} {kpi_figures.percent(rate)}"
        stage.line((x, LOW - 14), (x, HIGH + 12), colour, alpha, ls=style, lw=4)
        stage.text(x + step, HIGH + 32, text, 26, alpha, ha=side, weight="bold")


def rows(stage, cohort, low, high, count, banded, judged, end):
    """Draw the first cohorts, one below the other: number, interval, verdict."""
    step = (high - low) / SHOWN
    for n in range(count):
        y, band = high - step * (n + 0.5), cohort["bands"][n]
        wrong = judged > 0.5 and not cohort["holds"][n]
        colour = ATTACKED if wrong else "black" if cohort["idle"][n] else CLEAN
        colour = colour if wrong or end > 0.02 else "black"
        faint = 1 if cohort["idle"][n] else 1 - 0.65 * end
        x, come = place(cohort["rates"][n]), part(banded, n / SHOWN, 1.5)
        ends = [x + (place(side) - x) * min(1, 2 * come) for side in band]
        how = {"color": colour, "alpha": faint, "zorder": 3}
        dashes = (0, (2, 1)) if wrong else "-"
        stage.ax.plot(ends, (y, y), lw=points(4), ls=dashes, **how)
        size = points(min(16, step * 0.9))
        stage.ax.plot(x, y, marker="^" if wrong else "o", ms=size, **how)


def people(stage, cohort, size, count, alpha):
    """Draw the newest cohort as dots, filled for who passed, and its number."""
    who = cohort["who"][count - 1] if count else [False] * size
    across, gap = (5, 56) if size == FEW else (20, 18)
    down = len(who) // across
    tall = 168 / down
    for fill, passed in ((CLEAN, True), ("white", False)):
        spots = [n for n, did in enumerate(who) if did == passed]
        xs = [230 + gap * (n % across - (across - 1) / 2) for n in spots]
        ys = [600 - tall * (n // across + 0.5) for n in spots]
        stage.ax.plot(xs, ys, "o", ms=points(0.72 * min(gap, tall)), mfc=fill,
                      mec="black", mew=1.5, alpha=alpha)  # fmt: skip
    rate = kpi_figures.percent(cohort["rates"][count - 1]) if count else ""
    text = f"{sum(who)} of {size}: {rate}" if count else f"{size} people"
    stage.text(230, 405, text, 30, alpha, weight="bold")
    stage.text(230, 617, "filled: passed", 24, alpha)


def table(stage, f, at, grown):
    """Write shares of all cohorts beside each other, for few and for many people."""
    for size, x, alpha in ((FEW, 315, at(3)), (MANY, 410, grown)):
        stage.text(x, 355, f"{size}", 26, alpha, weight="bold")
    stage.text(40, 355, f"{COHORTS:,} cohorts of", 24, at(3), ha="left")
    names = "under the goal", "truth in interval", "no news"
    for number, (name, scene) in enumerate(zip(names, (3, 5, 7), strict=True)):
        y, bold = 314 - 38 * number, "bold" if scene == 7 else "normal"
        stage.text(40, y, name, 24, at(scene), ha="left", weight=bold)
        for size, x, alpha in ((FEW, 315, 1), (MANY, 410, grown)):
            text = kpi_figures.percent(f[size]["shares"][number])
            stage.text(x, y, text, 24, min(alpha, at(scene)), weight=bold)
