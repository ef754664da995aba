"""The small lab with stronger checks: a private seed, a secret, what is wanted."""

from __future__ import annotations

from typing import Any

TOPIC, NAME = "01-clip", "clip"
FULL = {"check-clip": 2.0, "check-flag": 3.0}
NOTHING = dict.fromkeys(FULL, 0.0)

RIGHT = {
    "clip": (
        "def clip(values, limit):\n"
        "    return [max(-limit, min(limit, value)) for value in values]\n"
    ),
    "flag": (
        "def flag(values, share):\n"
        "    order = sorted(range(len(values)), key=lambda i: -abs(values[i]))\n"
        "    return order[: round(share * len(values))]\n"
    ),
}
WRONG = {
    "clip": "def clip(values, limit):\n    return values\n",
    "flag": "def flag(values, share):\n    return []\n",
}
CHECKS = {
    "check-clip": '''"""Values beyond the limit are moved to it, all others stay."""
import os


def check_clip(seed, limit):
    given = noise(seed)
    wanted = [max(-limit, min(limit, value)) for value in given]
    clipped = clip(given, limit)
    assert len(clipped) == len(given), "a value was dropped: clip moves, it keeps all"
    assert max(clipped) <= limit, "a value above the limit came through"
    assert min(clipped) >= -limit, "a value below -limit came through"
    assert clipped == wanted, "a value in range was changed"
    assert given == noise(seed), "the input was changed: return a new list"


check_clip(SEED, 2.0)
### BEGIN HIDDEN TESTS
SECRET = "TOKEN"
FRESH = int(os.environ.get("SECURETRAIN_PRIVATE_SEED", "7"))


def well_clipped(seed):
    check_clip(seed, 0.5)
    return True


assert all(map(well_clipped, range(FRESH, FRESH + 3))), "fails on other data"
### END HIDDEN TESTS
''',
    "check-flag": '''"""The loud places are found, the quiet ones left alone."""
import os


def check_flag(seed):
    values, turn = noise(seed), seed % 50
    values = values[turn:] + values[:turn]  # no places are right for two seeds
    wanted = sorted(sorted(range(50), key=lambda place: -abs(values[place]))[:5])
    found = loudest(values)
    assert found, "nothing was flagged: the loud values stay in"
    assert len(found) <= 5, "too many were flagged: quiet values are lost too"
    assert found == wanted, "other places than the loudest were flagged"


check_flag(SEED)
### BEGIN HIDDEN TESTS
SECRET = "TOKEN"
FRESH = int(os.environ.get("SECURETRAIN_PRIVATE_SEED", "7"))
for seed in range(FRESH, FRESH + 3):
    check_flag(seed)
### END HIDDEN TESTS
''',
}


def strengthen(solution: dict[str, Any], token: str) -> None:
    """Put the checks into the lab's source.

    token: stands in the hidden tests and must never reach a student
    """
    for cell in solution["cells"]:
        if cell["id"] in CHECKS:
            cell["source"] = CHECKS[cell["id"]].replace("TOKEN", token)


def answered(released: dict[str, Any], answers: dict[str, str], prose: str) -> None:
    """Answer the released lab."""
    for cell in released["cells"]:
        if cell["id"] in answers:
            cell["source"] = answers[cell["id"]]
        if cell["id"] == "limits":
            cell["source"] = prose
