"""Names that are nearly the name of a known package, as typosquatters choose them.

The attacker registers a name that a person mistypes, or reads as another. They want
one install command among thousands to fetch it. A name that was never near any other,
and one that a language model invented, this check cannot see.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from random import Random
from typing import NamedTuple

from securetrain.package_index import normal

# Letters that pass for others in a terminal's font, each spelled one way.
LOOKS = (("rn", "m"), ("vv", "w"), ("cl", "d"))
SAME = str.maketrans(
    {"0": "o", "1": "l", "i": "l", "5": "s", "а": "a", "е": "e", "о": "o", "р": "p"}
    | {"с": "c", "х": "x", "у": "y", "і": "l", "ο": "o", "ν": "v", "α": "a"}
)
AFFIXES = re.compile(r"^(python[23]?|py)-|-(python[23]?|py)$|(?<=[a-z])[23]$")
SHORTEST = 4  # letters; below, half of all names are one letter apart

# What data and training code installs most; the command checks against these names
# unless it is told others.
WORDS = """
accelerate aiohttp albumentations boto3 catboost click dash dask dataset datasets
diffusers fastai fastapi flask gensim gradio grpcio huggingface-hub jax jinja2 joblib
jupyterlab keras langchain lightgbm litellm llama-cpp-python matplotlib mlflow networkx
ngboost nltk notebook numba numpy onnx onnxruntime openai opencv-python optuna pandas
peft pillow polars protobuf psutil pyaml pyarrow pydantic pytest python-dateutil
pytorch-lightning pyyaml ray requests safetensors scapy scikit-image scikit-learn scipy
seaborn sentence-transformers sentencepiece setuptools spacy sqlalchemy statsmodels
streamlit sympy tensorboard tensorboardx tensorflow timm tokenizers torch torchaudio
torchvision tqdm transformers tritonclient urllib3 vllm wandb wheel xgboost
"""
POPULAR = frozenset(WORDS.split())


def reason(name: str, known: Iterable[str]) -> str:
    """Return why a name may be taken for a known one, "" when it may not.

    A name that installers hold for a known one (`Torch_Vision` for torch-vision) is
    that one, and not near it.
    """
    given = _parts(normal(name))
    names = _known(frozenset(known))
    if given.name in names:
        return ""
    for one, parts in names.items():
        if how := _how(given, parts):
            return f"{how} {one}"
    return ""


class _Parts(NamedTuple):
    """A name, and what of it is compared."""

    name: str
    bare: str
    looks: str
    words: list[str]
    stem: str


@lru_cache(4096)
def _parts(name: str) -> _Parts:
    bare = name.replace("-", "")
    words = sorted(name.split("-"))
    return _Parts(name, bare, _looks(bare), words, AFFIXES.sub("", name))


@lru_cache(16)
def _known(names: frozenset[str]) -> dict[str, _Parts]:
    return {name: _parts(name) for name in sorted({normal(one) for one in names})}


def _how(given: _Parts, known: _Parts) -> str:
    """Return how a name differs from a known one, "" when by more than a slip."""
    if given.bare == known.bare:
        return "differs only in separators from"
    if given.looks == known.looks:
        return "looks like"
    if len(known.bare) < SHORTEST:
        return ""
    if given.words == known.words:
        return "has the same words as"
    if {given.name, given.stem} & {known.name, known.stem}:
        return "has the same stem as"
    return "is one slip away from" if one_slip(given.bare, known.bare) else ""


def _looks(name: str) -> str:
    """Return a name with letters that look alike spelled alike."""
    plain = unicodedata.normalize("NFKD", name)
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    plain = plain.translate(SAME)
    for pair, letter in LOOKS:
        plain = plain.replace(pair, letter)
    return plain


def one_slip(a: str, b: str) -> bool:
    """Say whether one letter more, less, other, or two swapped, make `a` into `b`."""
    if a == b or abs(len(a) - len(b)) > 1 or (a[:1] != b[:1] and a[-1:] != b[-1:]):
        return False
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    rest, other = a[start:], b[start:]
    if len(a) == len(b):
        swapped = rest[:2] == other[:2][::-1] and rest[2:] == other[2:]
        return rest[1:] == other[1:] or swapped
    return rest[1:] == other or rest == other[1:]


# --- What an attacker registers ------------------------------------------------------


def squats(name: str, rng: Random) -> dict[str, str]:
    """Return one name of each kind that a squatter would register for `name`.

    Kinds that do not fit the name, or leave it as it is, are left out.
    Raises ValueError for a name of fewer than three letters.
    """
    word = normal(name)
    if len(word) < 3:
        raise ValueError(f"{name!r} is too short: expected three letters or more")
    place = rng.randrange(1, len(word) - 1)
    letter = rng.choice("abcdefghkmnopqrstuvwxyz")
    parts = word.split("-")
    kinds: dict[str, Callable[[], str]] = {
        "letter left out": lambda: word[:place] + word[place + 1 :],
        "letter doubled": lambda: word[:place] + word[place] + word[place:],
        "letter replaced": lambda: word[:place] + letter + word[place + 1 :],
        "letters swapped": lambda: (
            word[:place] + word[place + 1] + word[place] + word[place + 2 :]
        ),
        "looks alike": lambda: word.replace("l", "1").replace("o", "0"),
        "separators": lambda: "".join(parts) if parts[1:] else f"{word[:2]}-{word[2:]}",
        "words turned": lambda: "-".join(reversed(parts)),
        "prefix": lambda: f"python-{word}",
        "other alphabet": lambda: word.replace("o", "о").replace("a", "а"),
    }
    made = {kind: make() for kind, make in kinds.items()}
    return {kind: text for kind, text in made.items() if normal(text) != word}


def escapes(name: str, others: Sequence[str], rng: Random) -> dict[str, str]:
    """Return names that the check does not know of: two slips, and an invented one."""
    once = squats(name, rng).get("letter replaced", f"{normal(name)}x")
    twice = squats(once, rng).get("letters swapped", f"{once}x")
    made = f"{name.split('-')[0]}-{rng.choice(others).split('-')[-1]}-tools"
    return {"two slips": twice, "invented": made}


def false_alarms(names: Iterable[str]) -> dict[str, str]:
    """Return which honest names are near another honest one, and why."""
    every = {normal(name) for name in names}
    return {
        name: why for name in sorted(every) if (why := reason(name, every - {name}))
    }
