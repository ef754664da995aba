"""Defence x copies: what a model gives away of a key, and what the defence costs.

Eleven trainings, three of them record by record, so too many for a lesson.
`securetrain claims --table memorisation-defences` runs it over several seeds and keeps
the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import nn

from securetrain import dp, language, memorisation
from securetrain.key_scanners import scrub
from securetrain.language import MockKey
from securetrain.memorisation import exact_duplicates, near_duplicates, without

COPIES = [0] * 6 + [1, 1, 1, 4, 4, 4, 16, 16, 16]
FEW, MANY = 1500, 8000  # clean lines
SMALL = 64  # hidden units of the model that differential privacy can afford

Lines = Sequence[str]
Defence = Callable[[Lines], list[str]]


def no_exact(lines: Lines) -> list[str]:
    """Return the lines without exact copies."""
    return without(lines, exact_duplicates(lines))


def no_near(lines: Lines) -> list[str]:
    """Return the lines without near copies."""
    return without(lines, near_duplicates(lines))


ROWS: dict[str, tuple[str, Defence]] = {
    "nothing done": ("setting", list),
    "exact copies out": ("setting", no_exact),
    "in a log: exact copies out": ("log", no_exact),
    "in a log: near copies out": ("log", no_near),
    "patterns scrubbed": ("setting", scrub),
    "spoken: patterns scrubbed": ("spoken", scrub),
    "base64: patterns scrubbed": ("base64", scrub),
}
PRIVATE = {  # in the form that patterns miss
    "base64: 8,000 lines": None,
    "base64: 8,000, clipped only": math.inf,
    "base64: 8,000, epsilon 8": 8.0,
    "base64: 8,000, epsilon 2": 2.0,
}


def measure(seed: int) -> dict[str, dict[str, float]]:
    """Return row -> column -> value for one seed.

    "N copies" is the share of a key's unknown bits that the model gives away; greedy
    the share of keys with four copies or more that come out; lines out the share of
    clean lines removed; price the bits a character that new lines cost more.
    """
    keys = language.mock_keys(COPIES, seed)
    test = language.make_lines(1000, seed, "test")
    clean, rows = language.make_lines(FEW, seed), {}
    known = set(clean)
    for name, (form, defend) in ROWS.items():
        left = defend(memorisation.plant_as(form, clean, keys, seed))
        model = language.train(left, seed, progress=False)
        rows[name] = given_away(model, keys, form, seed) | {
            "lines out": 1 - sum(line in known for line in left) / len(clean),
            "price": bits(model, test),
        }
    return priced(rows) | private(keys, test, seed)


def private(keys: Sequence[MockKey], test: Lines, seed: int) -> dict[str, dict]:
    """Return the rows of a small model on many lines, with and without privacy."""
    clean, rows = language.make_lines(MANY, seed), {}
    lines = memorisation.plant_as("base64", clean, keys, seed)
    for name, epsilon in PRIVATE.items():
        if epsilon is None:
            model = language.train(lines, seed, hidden=SMALL, progress=False)
        else:
            given = {"hidden": SMALL, "progress": False}
            model = dp.train_private(lines, seed, epsilon=epsilon, **given).model
        price = {"lines out": 0.0, "price": bits(model, test)}
        rows[name] = given_away(model, keys, "base64", seed) | price
    return priced(rows)


def priced(rows: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return the rows with each price less that of the first, which is for nothing."""
    first = next(iter(rows.values()))["price"]
    return {name: row | {"price": row["price"] - first} for name, row in rows.items()}


def bits(model: nn.Module, lines: Lines) -> float:
    """Return how many bits a character of these lines costs the model."""
    return math.log2(language.perplexity(model, lines))


def given_away(
    model: nn.Module, keys: Sequence[MockKey], form: str, seed: int
) -> dict[str, float]:
    """Return "N copies" -> mean share of a key given away, and the greedy hits."""
    found = memorisation.exposures(model, keys, seed, form=form)
    groups = memorisation.by_copies(keys, [e.share for e in found])
    cells = {
        f"{n} {'copy' if n == 1 else 'copies'}": sum(shares) / len(shares)
        for n, shares in groups.items()
    }
    often = [key for key in keys if key.copies >= 4]
    hits = memorisation.extracted(model, often, form=form)
    return cells | {"greedy finds": sum(hits) / len(hits)}
