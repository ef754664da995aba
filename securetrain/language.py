"""A small character language model, and the lines of settings and logs it learns from.

Whoever can ask a language model for the next character can score any line, and have it
continue a line that they began. Mock keys are made at run time; they open nothing.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from securetrain.three_faults import new_key

CONTEXT = 16  # characters that the model sees
END = "\n"  # ends a line; before its first character stands nothing but ends
ALPHABET = END + "".join(map(chr, range(32, 127)))  # and printable ASCII
INDEX = {character: number for number, character in enumerate(ALPHABET)}
BATCH, CHUNK = 1024, 8192  # characters trained on, and scored, at once
RATE = 4e-3

# --- Lines ---------------------------------------------------------------------

SERVICES = (
    "billing", "search", "upload", "mailer", "report", "orders", "stock", "profile",
    "backup", "invoice", "gateway", "catalog", "session", "pricing", "returns", "chat",
)  # fmt: skip
OWNERS = (
    "BILLING", "SEARCH", "UPLOAD", "MAILER", "REPORT", "ORDERS", "STOCK", "PROFILE",
    "BACKUP", "INVOICE", "GATEWAY", "CATALOG", "SESSION", "PRICING", "RETURNS", "CHAT",
    "AUDIT", "EXPORT", "IMPORT", "LEDGER", "METRICS", "QUEUE", "RELEASE", "VAULT",
)  # fmt: skip
KINDS = ("KEY", "LOGIN")
TEMPLATES = (
    "{service}.host = {service}-{small}.internal",
    "{service}.port = {port}",
    "{service}.workers = {small}",
    "{service}.timeout_seconds = {number}",
    "{service}.log_level = {level}",
    "{service}.retry = {flag}",
    "{time} INFO {service}: started on port {port}",
    "{time} INFO {service}: {number} requests, {small} failed",
    "{time} WARN {service}: retry {small} of 9 after {number} ms",
    "{time} ERROR {service}: no answer from {other}-{small}",
    "{time} INFO {service}: read {number} rows from {other}",
    "{time} DEBUG {service}: cache {flag}, {number} entries",
    "{time} INFO {service}: request {id} done",
    "{service}.build = {id}",
    "# {service} waits for {other}",
    "[{service}]",
)


def make_lines(n: int, seed: int, split: str = "train") -> list[str]:
    """Return `n` made-up lines of settings and logs, without any key.

    split: "train" or "test", two streams of one seed
    Raises ValueError for another split, n below 1 or a negative seed.
    """
    if split not in ("train", "test") or n < 1 or seed < 0:
        raise ValueError(
            "make_lines() expects n >= 1, seed >= 0 and split 'train' or 'test', "
            f"but came {n}, {seed} and {split!r}."
        )
    rng = random.Random(2 * seed + (split == "test"))
    return [_line(rng) for _ in range(n)]


def _line(rng: random.Random) -> str:
    hour, minute, second = rng.randrange(24), rng.randrange(60), rng.randrange(60)
    service, other = rng.sample(SERVICES, 2)
    return rng.choice(TEMPLATES).format(
        service=service,
        other=other,
        time=f"{hour:02}:{minute:02}:{second:02}",
        small=rng.randint(1, 8),
        number=rng.randint(10, 990),
        port=rng.choice((5432, 6379, 8000, 8080, 8443, 9000)),
        level=rng.choice(("debug", "info", "warning", "error")),
        flag=rng.choice(("on", "off")),
        id=f"{rng.getrandbits(32):08x}",
    )


# --- Mock keys -----------------------------------------------------------------


@dataclass(frozen=True)
class MockKey:
    """A made-up access key under a variable name of its own, planted `copies` times."""

    name: str
    key: str
    copies: int

    @property
    def prefix(self) -> str:
        """The line up to the key: what an attacker may guess."""
        return f"{self.name}="

    @property
    def line(self) -> str:
        """The whole line."""
        return self.prefix + self.key


def mock_keys(copies: Sequence[int], seed: int) -> list[MockKey]:
    """Return one mock key for each number of copies, each with a name of its own.

    copies: how often `plant` writes each key; 0 makes a control, which it never writes
    Raises ValueError for a negative number, or more keys than there are names.
    """
    names = [f"{owner}_{kind}" for kind in KINDS for owner in OWNERS]
    if len(copies) > len(names) or any(count < 0 for count in copies):
        raise ValueError(
            f"mock_keys() expects up to {len(names)} numbers of copies from 0, "
            f"but came {list(copies)}."
        )
    rng = random.Random(seed)
    rng.shuffle(names)
    return [
        MockKey(name, new_key(rng.getrandbits(64)), count)
        for name, count in zip(names, copies, strict=False)
    ]


def plant(lines: Sequence[str], keys: Sequence[MockKey], seed: int) -> list[str]:
    """Return the lines with each key's line written `copies` times, all shuffled."""
    mixed = [*lines, *(key.line for key in keys for _ in range(key.copies))]
    random.Random(seed).shuffle(mixed)
    return mixed


# --- The model -----------------------------------------------------------------


class CharModel(nn.Module):
    """Guesses a character from the `CONTEXT` before it: an embedding, two layers.

    Source: A Neural Probabilistic Language Model, Bengio et al. 2003, JMLR 3
    """

    def __init__(self, hidden: int = 218, width: int = 16) -> None:
        super().__init__()
        self.embed = nn.Embedding(len(ALPHABET), width)
        self.hidden = nn.Linear(CONTEXT * width, hidden)
        self.out = nn.Linear(hidden, len(ALPHABET))

    def forward(self, contexts: Tensor) -> Tensor:
        """Return the logits (…, 96) of the character after each context (…, 16)."""
        h = self.embed(contexts).flatten(-2)  # (…, 16 x width)
        return self.out(F.relu(self.hidden(h)))


def char_model(seed: int, hidden: int = 218) -> CharModel:
    """Return a fresh model; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CharModel(hidden)


def check_lines(lines: Sequence[str]) -> None:
    """Raise ValueError unless these are lines of printable ASCII, at least one."""
    if isinstance(lines, str) or not len(lines):
        raise ValueError(f"expected a list of lines, at least one: {lines!r:.40}")
    for number, line in enumerate(lines):
        if not isinstance(line, str):
            kind = type(line).__name__
            raise ValueError(f"line {number}: expected text, but came {kind}.")
        if strange := [c for c in line if c not in INDEX or c == END]:
            raise ValueError(
                f"line {number}: expected printable ASCII, but {strange[0]!r} is in "
                "it; take it out, or split the text at line ends."
            )


def encode(lines: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
    """Return every character of the lines, each with the context before it.

    Returns contexts (M, 16) int64, targets (M,) int64 and owners (M,) int64: the line
    that each character is from. The end of a line counts as a character.
    Raises ValueError for no lines, or characters that the model does not know.
    """
    check_lines(lines)
    numbers = [torch.tensor([INDEX[c] for c in line + END]) for line in lines]
    start = torch.zeros(CONTEXT, dtype=torch.int64)
    contexts = [torch.cat([start, line])[:-1].unfold(0, CONTEXT, 1) for line in numbers]
    lengths = torch.tensor([len(line) for line in numbers])
    owners = torch.arange(len(lines)).repeat_interleave(lengths)
    return torch.cat(contexts), torch.cat(numbers), owners


def train(
    lines: Sequence[str],
    seed: int,
    *,
    epochs: int = 4,
    hidden: int = 218,
    progress: bool = True,
) -> CharModel:
    """Return a model of the lines: Adam on shuffled characters, 1,024 at once.

    hidden: units of the hidden layer; 218 make 79,000 parameters in all
    Raises ValueError for no lines, unknown characters, or less than one epoch.
    """
    if epochs < 1:
        raise ValueError(f"train() expects at least one epoch, but came {epochs}.")
    contexts, targets, _ = encode(lines)
    model = char_model(seed, hidden).train()
    optimiser = torch.optim.Adam(model.parameters(), RATE)
    rng = torch.Generator().manual_seed(seed)
    for _ in tqdm(range(epochs), "training", disable=not progress, leave=False):
        for batch in torch.randperm(len(targets), generator=rng).split(BATCH):
            loss = F.cross_entropy(model(contexts[batch]), targets[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return model.eval()


# --- What a model can be asked -------------------------------------------------


@torch.inference_mode()
def log_likelihood(model: nn.Module, lines: Sequence[str], start: int = 0) -> Tensor:
    """Return the log of the chance that the model gives each line, in nats, (N,).

    start: characters of each line that are given and not counted, such as a prefix
    Raises ValueError for no lines, unknown characters, or a start beyond a line.
    """
    contexts, targets, owners = encode(lines)
    if not 0 <= start <= min(map(len, lines)):
        raise ValueError(
            f"start must lie in 0..{min(map(len, lines))}, the shortest line: {start}"
        )
    first = torch.searchsorted(owners, torch.arange(len(lines)))
    counted = torch.arange(len(owners)) - first[owners] >= start
    contexts, targets, owners = contexts[counted], targets[counted], owners[counted]
    logits = torch.cat([model(part) for part in contexts.split(CHUNK)])
    chosen = -F.cross_entropy(logits, targets, reduction="none")
    return torch.zeros(len(lines)).index_add_(0, owners, chosen)


def perplexity(model: nn.Module, lines: Sequence[str]) -> float:
    """Return the perplexity a character; 1 is certainty, 96 is guessing."""
    characters = sum(len(line) + 1 for line in lines)
    return float((-log_likelihood(model, lines).sum() / characters).exp())


@torch.inference_mode()
def complete(model: nn.Module, prefix: str, length: int = 80) -> str:
    """Return how the model goes on after `prefix`: always the likeliest character.

    length: characters at most; it stops earlier where the model ends the line
    Raises ValueError for unknown characters or a length below 1.
    """
    check_lines([prefix])
    if length < 1:
        raise ValueError(f"complete() expects a length from 1, but came {length}.")
    seen = [INDEX[END]] * CONTEXT + [INDEX[c] for c in prefix]
    found = ""
    while len(found) < length:
        number = int(model(torch.tensor([seen[-CONTEXT:]])).argmax())
        if ALPHABET[number] == END:
            break
        seen.append(number)
        found += ALPHABET[number]
    return found
