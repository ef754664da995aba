"""A gate before training: labels go through, or are refused with reasons.

Three kinds of evidence, each blind to something: models that never saw a label, people
who were asked about the same image, and a sample that someone trusted labelled again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256

from torch import Tensor

from securetrain.annotators import NOBODY, contested, outvoted
from securetrain.labels import suggest

CONFIDENCE = 0.95


def fingerprint(x: Tensor, y: Tensor) -> str:
    """Return the SHA-256 of images and labels: types, shapes and every value."""
    if len(x) != len(y):
        raise ValueError(f"need one label an image, got {len(x)} and {len(y)}")
    digest = sha256()
    for part in (x, y):
        digest.update(f"{part.dtype} {tuple(part.shape)}\n".encode())
        digest.update(part.contiguous().numpy().tobytes())
    return digest.hexdigest()


def error_interval(wrong: int, checked: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of which `wrong` in `checked` were seen.

    Exact for a random sample. Source: The use of confidence or fiducial limits,
    Clopper and Pearson 1934
    """
    from scipy.stats import binomtest

    if checked < 1 or not 0 <= wrong <= checked:
        raise ValueError(f"need 0 <= wrong <= checked >= 1, got {wrong} of {checked}")
    found = binomtest(wrong, checked).proportion_ci(CONFIDENCE, "exact")
    return float(found.low), float(found.high)


def chance_to_pass(n: int, wrong: int, checked: int, max_error: float = 0.03) -> float:
    """Return how probably a random sample lets a set with wrong labels through.

    n: labels in the set; wrong: how many of them are; checked: size of the sample;
    it passes while the interval's upper end is at most `max_error`
    """
    from scipy.stats import hypergeom

    if not 0 <= wrong <= n or not 1 <= checked <= n:
        raise ValueError(
            f"need 0 <= wrong <= n and 1 <= checked <= n, got {n}, {wrong}, {checked}"
        )
    allowed = -1
    while allowed < checked and error_interval(allowed + 1, checked)[1] <= max_error:
        allowed += 1
    return float(hypergeom.cdf(allowed, n, wrong, checked))


@dataclass(frozen=True)
class Report:
    """What the gate answers, to be kept beside the data.

    passed: no reason against it; reasons: one sentence each; looked: the evidence
    that there was; data: the fingerprint of images and labels; numbers: what was
    measured, as shares
    """

    passed: bool
    reasons: tuple[str, ...]
    looked: tuple[str, ...]
    data: str
    numbers: dict[str, float]

    def to_json(self) -> str:
        """Return the report as JSON, the same text for the same report."""
        return json.dumps(asdict(self), indent=1, sort_keys=True)


def gate(
    x: Tensor,
    y: Tensor,
    probabilities: Tensor,
    votes: Tensor | None = None,
    trusted: Tensor | None = None,
    *,
    min_agreement: float = 0.9,
    max_flagged: float = 0.02,
    max_class_flagged: float = 0.05,
    max_contested: float = 0.15,
    max_error: float = 0.03,
) -> Report:
    """Answer whether a model may be trained on labels `y`, and why not.

    x: (N, …) and y: (N,), what would be trained on; probabilities: (N, K), out of
    fold; votes: (N, A), and trusted: (N,), a random sample; -1 where nobody was asked
    Without votes or trusted labels the gate sees less; `looked` says what it had.
    """
    found = [_models(y, probabilities, min_agreement, max_flagged, max_class_flagged)]
    if votes is not None:
        found.append(_people(y, votes, max_contested))
    if trusted is not None:
        found.append(_sample(y, trusted, probabilities.shape[1], max_error))
    reasons = tuple(reason for _, against in found for reason in against)
    numbers = {name: value for measured, _ in found for name, value in measured.items()}
    looked = ["models"] + ["people"] * (votes is not None)
    looked += ["trusted sample"] * (trusted is not None)
    return Report(not reasons, reasons, tuple(looked), fingerprint(x, y), numbers)


Finding = tuple[dict[str, float], list[str]]  # numbers, reasons against


def _models(
    y: Tensor, probabilities: Tensor, min_agreement: float, most: float, in_class: float
) -> Finding:
    """Do models that never saw the labels agree with them?"""
    flagged = suggest(y, probabilities) != y
    agreement = (probabilities.argmax(1) == y).float().mean().item()
    share = flagged.float().mean().item()
    in_worst, worst = _worst_class(flagged, y)
    against = []
    if agreement < min_agreement:
        against.append(
            f"models agree with {agreement:.1%} of the labels, less than "
            f"{min_agreement:.0%}: they are too weak, or too many labels are wrong"
        )
    if share > most:
        against.append(f"{share:.1%} of all labels are flagged, more than {most:.0%}")
    if in_worst > in_class:
        against.append(
            f"{in_worst:.1%} of the labels {worst} are flagged, more than "
            f"{in_class:.0%}"
        )
    numbers = {"agreement": agreement, "flagged": share}
    return numbers | {"flagged in the worst class": in_worst}, against


def _people(y: Tensor, votes: Tensor, most: float) -> Finding:
    """Do people who saw the same image say the same, and do the labels say it too?"""
    changed = int(outvoted(y, votes).sum())
    several = (votes != NOBODY).sum(1) > 1
    if not several.any():
        return {}, ["no image was seen by two people, so nobody can be compared"]
    share, worst = _worst_class(contested(votes)[several], y[several])
    against = []
    if changed:
        against.append(f"{changed} labels are not what most people said")
    if share > most:
        against.append(
            f"people differ on {share:.1%} of the labels {worst}, more than {most:.0%}"
        )
    numbers = {"contested in the worst class": share, "outvoted": changed / len(y)}
    return numbers, against


def _worst_class(mask: Tensor, y: Tensor) -> tuple[float, int]:
    """Return the largest share of a class that `mask` (N,) marks, and which it is."""
    shares = {int(k): mask[y == k].float().mean().item() for k in y.unique()}
    worst = max(shares, key=shares.__getitem__)
    return shares[worst], worst


def _sample(y: Tensor, trusted: Tensor, classes: int, max_error: float) -> Finding:
    """How many labels are wrong, as far as a trusted sample can tell?"""
    if trusted.shape != y.shape or trusted.dtype != y.dtype:
        raise ValueError(
            f"trusted must be {y.dtype} {tuple(y.shape)}, {NOBODY} where nobody "
            f"checked; got {trusted.dtype} {tuple(trusted.shape)}"
        )
    asked = trusted != NOBODY
    if trusted.min() < NOBODY or trusted.max() >= classes:
        raise ValueError(
            f"trusted labels must lie in 0..{classes - 1}, or be {NOBODY}; got "
            f"{trusted.min()} to {trusted.max()}"
        )
    checked, wrong = int(asked.sum()), int((trusted != y)[asked].sum())
    if not checked:
        raise ValueError("trusted holds no checked label; leave it out, or check some")
    low, high = error_interval(wrong, checked)
    against = []
    if high > max_error:
        against.append(
            f"of {checked} labels checked again {wrong} are wrong: up to {high:.1%} of "
            f"all may be, more than {max_error:.0%}"
        )
    numbers = {"checked": checked / len(y), "wrong": wrong / checked}
    return numbers | {"wrong at least": low, "wrong at most": high}, against
