"""What a language model keeps of its training lines, and what takes it out again.

The attacker may query a released model: score lines, and have it continue a prefix.
They know how keys look and guess the names of variables. The defender has the training
lines, and the model before its release.
"""

from __future__ import annotations

import base64
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from securetrain.language import (
    ALPHABET,
    CONTEXT,
    END,
    INDEX,
    MockKey,
    check_lines,
    log_likelihood,
)
from securetrain.three_faults import new_key

SECRET_BITS = 16 * math.log2(36)  # of a mock key: AKIA is known, sixteen signs are not
NOON = "12:00:00"  # what an attacker writes where they do not know the time

# --- How a key comes into a line -------------------------------------------------

Form = Callable[[str, str, str], tuple[str, str]]  # name, key, time -> prefix, rest


def setting(name: str, key: str, time: str) -> tuple[str, str]:
    """Return a line of settings."""
    return f"{name}=", key


def log(name: str, key: str, time: str) -> tuple[str, str]:
    """Return a line of a log that repeats the setting at each start."""
    return f"{time} INFO env: {name}=", key


def split(name: str, key: str, time: str) -> tuple[str, str]:
    """Return a line of code that puts the key together from halves."""
    return f"{name}=", f'"{key[:10]}" + "{key[10:]}"'


def spoken(name: str, key: str, time: str) -> tuple[str, str]:
    """Return a line of prose with the key in groups of four."""
    return f"{name} is ", " ".join(key[i : i + 4] for i in range(0, len(key), 4))


def encoded(name: str, key: str, time: str) -> tuple[str, str]:
    """Return a line of settings with the key in base64."""
    return f"{name}_B64=", base64.b64encode(key.encode()).decode()


FORMS: dict[str, Form] = {
    "setting": setting,
    "log": log,
    "split": split,
    "spoken": spoken,
    "base64": encoded,
}


def form_of(name: str) -> Form:
    """Return one of the `FORMS`; a ValueError names them."""
    if name not in FORMS:
        raise ValueError(f"no form '{name}'; there are: {', '.join(FORMS)}")
    return FORMS[name]


def plant_as(
    form: str, lines: Sequence[str], keys: Sequence[MockKey], seed: int
) -> list[str]:
    """Return the lines with each key written `copies` times in a form, all shuffled.

    form: one of `FORMS`; each copy has a time of its own, where the form shows one
    """
    write, rng = form_of(form), random.Random(f"plant {seed}")
    mixed, copies = list(lines), [key for key in keys for _ in range(key.copies)]
    for key in copies:
        hour, minute, second = rng.randrange(24), rng.randrange(60), rng.randrange(60)
        time = f"{hour:02}:{minute:02}:{second:02}"
        mixed.append("".join(write(key.name, key.key, time)))
    rng.shuffle(mixed)
    return mixed


# --- Measuring: exposure ---------------------------------------------------------


@dataclass(frozen=True)
class Exposure:
    """How far a model prefers the true key to keys that it never saw.

    rank: 1 when the true key is likelier than every reference; references: how many
    bits: exposure, at most 82.7, from a normal curve fitted to the references' scores
    """

    rank: int
    references: int
    bits: float

    @property
    def ranked_bits(self) -> float:
        """Exposure by rank alone: no fit, but never above log2 of what it compares."""
        return math.log2((self.references + 1) / self.rank)

    @property
    def share(self) -> float:
        """The share of the key's unknown bits that the model gives away, 0 to 1."""
        return self.bits / SECRET_BITS


def exposure(score: float, references: Tensor) -> Exposure:
    """Return the exposure of a key with this score among the `references`' scores.

    score: the model's log-likelihood of the key; references: (N,), of other keys after
    the same prefix, N at least 10. Beyond their rank the fitted curve extrapolates.
    Raises ValueError for too few references, or a score that is not a number.
    Source: The Secret Sharer, Carlini et al. 2019, arXiv:1802.08232; there with a
    skew-normal curve
    """
    from scipy.stats import norm

    if references.ndim != 1 or len(references) < 10:
        raise ValueError(
            f"references must hold at least 10 scores (N,), got {references.shape}"
        )
    if not math.isfinite(score) or not references.isfinite().all():
        raise ValueError("a score is NaN or infinite; did training diverge?")
    rank = 1 + int((references >= score).sum())
    spread = max(references.std().item(), 1e-12)
    above = norm.logsf((score - references.mean().item()) / spread)
    bits = min(-above / math.log(2), SECRET_BITS)
    return Exposure(rank, len(references), float(bits))


def exposures(
    model: nn.Module,
    keys: Sequence[MockKey],
    seed: int,
    *,
    form: str = "setting",
    references: int = 500,
) -> list[Exposure]:
    """Return each key's exposure among fresh keys after the same prefix.

    Only the characters after the prefix are scored. The references have another random
    stream than `mock_keys`. Raises ValueError for no keys or an unknown form.
    """
    if not keys:
        raise ValueError("exposures() expects at least one key, but came none.")
    write, rng = form_of(form), random.Random(f"references {seed}")
    found = []
    for key in keys:
        prefix, _ = write(key.name, key.key, NOON)
        others = [new_key(rng.getrandbits(64)) for _ in range(references)]
        lines = ["".join(write(key.name, k, NOON)) for k in (key.key, *others)]
        scores = log_likelihood(model, lines, len(prefix))
        found.append(exposure(scores[0].item(), scores[1:]))
    return found


def by_copies(
    keys: Sequence[MockKey], values: Sequence[float]
) -> dict[int, list[float]]:
    """Return number of copies -> the values of the keys with that many."""
    groups: dict[int, list[float]] = {}
    for key, value in zip(keys, values, strict=True):
        groups.setdefault(key.copies, []).append(value)
    return dict(sorted(groups.items()))


# --- Attack: extraction ----------------------------------------------------------


@torch.inference_mode()
def search(model: nn.Module, prefix: str, width: int, length: int) -> list[str]:
    """Return the likeliest continuations that a beam search finds, best first.

    width: how many beginnings are kept after each character, 1 for greedy; length:
    characters of every continuation. Raises ValueError for a width or length below 1.
    """
    check_lines([prefix])
    if width < 1 or length < 1:
        raise ValueError(f"search() expects width and length >= 1: {width}, {length}")
    seen = torch.tensor([[INDEX[END]] * CONTEXT + [INDEX[c] for c in prefix]])
    given, scores = seen.shape[1], torch.zeros(1)
    for _ in range(length):
        chances = model(seen[:, -CONTEXT:]).log_softmax(1)  # (beam, 96)
        chances[:, INDEX[END]] = -torch.inf
        total = (scores[:, None] + chances).flatten()
        scores, best = total.topk(min(width, len(total)))
        rows, characters = best // len(ALPHABET), best % len(ALPHABET)
        seen = torch.cat([seen[rows], characters[:, None]], 1)
    found = seen[scores.isfinite(), given:].tolist()
    return ["".join(ALPHABET[number] for number in text) for text in found]


def extracted(
    model: nn.Module,
    keys: Sequence[MockKey],
    *,
    form: str = "setting",
    width: int = 1,
) -> list[bool]:
    """Return whether each key is among the `width` continuations that a search finds.

    The attacker knows the prefix; they can try each answer where the key would open.
    """
    found = []
    for key in keys:
        prefix, rest = form_of(form)(key.name, key.key, NOON)
        found.append(rest in search(model, prefix, width, len(rest)))
    return found


# --- Defence: fewer copies --------------------------------------------------------


def exact_duplicates(lines: Sequence[str]) -> Tensor:
    """Flag every line that stands earlier in the list already, (N,) bool."""
    check_lines(lines)
    seen: set[str] = set()
    return torch.tensor([line in seen or bool(seen.add(line)) for line in lines])


def near_duplicates(
    lines: Sequence[str], threshold: float = 0.5, size: int = 5
) -> Tensor:
    """Flag every line that resembles an earlier one which stays, (N,) bool.

    threshold: the Jaccard similarity of two lines' sets of `size` characters in a row
    from which they count as copies, above 0, at most 1. Time grows with N squared;
    large sets need MinHash instead.
    Source: Deduplicating Training Data, Lee et al. 2022, arXiv:2107.06499
    """
    check_lines(lines)
    if not 0 < threshold <= 1 or size < 1:
        raise ValueError(
            f"expected 0 < threshold <= 1 and size >= 1, got {threshold} and {size}"
        )
    holders: dict[str, list[int]] = {}  # part -> the lines kept that hold it
    sizes: list[int] = []
    flagged = torch.zeros(len(lines), dtype=torch.bool)
    for number, line in enumerate(lines):
        parts = {line[i : i + size] for i in range(max(1, len(line) - size + 1))}
        shared: dict[int, int] = {}
        for part in parts:
            for other in holders.get(part, ()):
                shared[other] = shared.get(other, 0) + 1
        flagged[number] = any(
            common >= threshold * (len(parts) + sizes[other] - common)
            for other, common in shared.items()
        )
        sizes.append(len(parts))
        if not flagged[number]:
            for part in parts:
                holders.setdefault(part, []).append(number)
    return flagged


def without(lines: Sequence[str], flagged: Tensor) -> list[str]:
    """Return the lines that are not flagged, (N,) bool."""
    if flagged.dtype != torch.bool or flagged.shape != (len(lines),):
        raise ValueError(
            f"flagged must be bool ({len(lines)},), got {flagged.dtype} "
            f"{tuple(flagged.shape)}"
        )
    return [
        line for line, gone in zip(lines, flagged.tolist(), strict=True) if not gone
    ]
