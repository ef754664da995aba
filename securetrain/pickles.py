"""What a pickle would do, read from its opcodes without doing it.

The attacker writes the file. A pickle is a program: one opcode fetches any function
by name, another calls it. They want a loader that runs it, and a scanner that reads
something else than the loader does, or that stops reading first.

Source: Python's `pickle` and `pickletools`; the idea of a closed list of functions,
PyTorch's weights-only unpickler
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from securetrain.archives import Refused

LARGEST = 16 << 20  # bytes of a checkpoint's pickle: it holds names and shapes only
DEEPEST = 100_000  # values on the stack or in the memo

STORAGES = {
    "BFloat16": 2, "Bool": 1, "Byte": 1, "Char": 1, "ComplexDouble": 16,
    "ComplexFloat": 8, "Double": 8, "Float": 4, "Half": 2, "Int": 4, "Long": 8,
    "Short": 2,
}  # fmt: skip
ITEM_SIZES = {f"torch.{kind}Storage": size for kind, size in STORAGES.items()}
CALLS = {
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
}
ALLOWED = frozenset(CALLS | ITEM_SIZES.keys())  # what a file of weights needs

# The usual suspects, as many a home-made scanner lists them.
DENIED = (
    "os.", "posix.", "nt.", "subprocess.", "sys.", "socket.", "shutil.", "pty.",
    "builtins.eval", "builtins.exec", "builtins.compile", "builtins.open",
    "builtins.__import__", "builtins.getattr", "runpy.", "importlib.", "pickle.",
)  # fmt: skip


# --- Reading -------------------------------------------------------------------


@dataclass(frozen=True)
class Named:
    """A function or class that the pickle fetches by its name."""

    name: str


@dataclass(frozen=True)
class Made:
    """What a call of `by` returned; "dict" and "list" stand for empty ones."""

    by: str


@dataclass
class Program:
    """What a pickle asks for: names to import, in order, and names that it calls.

    storages: (type, key, elements) of each block of numbers that it refers to
    """

    imports: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    storages: list[tuple[str, str, int]] = field(default_factory=list)


MARK = object()
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
LITERALS = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINBYTES",
    "SHORT_BINBYTES", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
}  # fmt: skip
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
CONTAINERS = ("dict", "list", "collections.OrderedDict")


def refuse(why: str) -> Refused:
    """Return the refusal of a pickle."""
    return Refused("pickle", why)


def program(data: bytes) -> Program:
    """Return what a pickle would import, call and load; nothing of it is done.

    Follows the stack and the memo, so that a name put together from strings is read
    as the loader reads it. Only the opcodes that saved weights need are known.
    Raises Refused for every other opcode, and wherever it cannot be certain.
    """
    if len(data) > LARGEST:
        raise refuse(f"{len(data)} bytes of pickle: expected at most {LARGEST}")
    reader, end, frame = _Reader(), 0, 0
    for code, argument, place in _opcodes(data):
        frame = _frame(code, argument, place, frame)
        if code == "GLOBAL" and not _plain(data, place, argument):
            raise refuse("a name with escapes in it, which the loader reads otherwise")
        try:
            reader.step(code, argument)
        except (IndexError, KeyError, ValueError) as error:
            if isinstance(error, Refused):
                raise
            raise refuse(f"{code} at byte {place} finds nothing to work on") from None
        if len(reader.stack) + len(reader.memo) > DEEPEST:
            raise refuse(f"more than {DEEPEST} values: expected names and shapes")
        end = place + 1
    if end != len(data) or frame > end:
        raise refuse("bytes after the pickle's end, or a frame beyond it")
    return reader.program


def _plain(data: bytes, place: int, argument: str) -> bool:
    """Return whether the bytes of a GLOBAL are the name that `pickletools` reads."""
    lines = argument.replace(" ", "\n", 1)
    return data.startswith(f"c{lines}\n".encode(), place)


def _frame(code: str, argument: Any, place: int, end: int) -> int:
    """Return where the frame ends that an opcode stands in.

    CPython reads a line that crosses that place otherwise than `pickletools` does.
    """
    if place > end > 0:
        raise refuse("an opcode that reaches beyond its frame")
    if place == end:
        end = 0
    if code != "FRAME":
        return end
    if end:
        raise refuse("a frame inside a frame")
    return place + 9 + argument


def _opcodes(data: bytes) -> Iterator[tuple[str, Any, int]]:
    """Yield name, argument and place of each opcode; Refused for a broken pickle."""
    try:
        for code, argument, place in pickletools.genops(data):
            yield code.name, argument, place
    except Refused:
        raise
    except (ValueError, IndexError, OverflowError, MemoryError) as error:
        raise refuse(f"cannot be read to its end: {error}") from None


class _Reader:
    """A pickle machine in which names stay names and calls leave a note."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.program = Program()

    def step(self, code: str, argument: Any) -> None:
        """Do one opcode. IndexError, KeyError, ValueError: there is too little."""
        stack = self.stack
        if code in ("PROTO", "FRAME"):
            return
        if code in CONSTANTS:
            stack.append(CONSTANTS[code])
        elif code in LITERALS:
            stack.append(argument)
        elif code in ("EMPTY_DICT", "EMPTY_LIST"):
            stack.append(Made("dict" if code == "EMPTY_DICT" else "list"))
        elif code == "MARK":
            stack.append(MARK)
        elif code == "TUPLE" or code in TUPLES:
            stack.append(tuple(self._pop(TUPLES.get(code))))
        elif code in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            key = len(self.memo) if code == "MEMOIZE" else argument
            if key > DEEPEST:  # the loader would make room for all below it
                raise refuse(f"memo {key}: expected at most {DEEPEST}")
            self.memo[key] = self._top()
        elif code in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif code == "POP":
            self._pop(1)
        elif code == "STOP":
            self._pop(1)
            if stack:
                raise refuse("values are left over at its end")
        else:
            self._act(code, argument)

    def _act(self, code: str, argument: Any) -> None:
        """Do an opcode that fetches, calls or changes something."""
        if code in ("GLOBAL", "STACK_GLOBAL"):
            self._fetch(code, argument)
        elif code == "REDUCE":
            called, _ = self._pop(2)
            if not isinstance(called, Named):
                raise refuse("it calls what is not fetched by name")
            self.program.calls.append(called.name)
            self.stack.append(Made(called.name))
        elif code == "BINPERSID":
            self._storage(*self._pop(1))
        elif code in ("SETITEM", "APPEND"):
            self._pop(2 if code == "SETITEM" else 1)
            self._fill(code)
        elif code in ("SETITEMS", "APPENDS"):
            self._pop(None)
            self._fill(code)
        elif code == "BUILD":
            self._pop(1)
            if self._top() != Made("collections.OrderedDict"):
                raise refuse("it sets attributes of something else than a dict")
        else:
            raise refuse(f"opcode {code}, which no file of weights needs")

    def _top(self) -> Any:
        if self.stack[-1] is MARK:
            raise IndexError
        return self.stack[-1]

    def _pop(self, count: int | None) -> list[Any]:
        """Take `count` values off the stack, or all down to the last mark."""
        if count is None:
            found = []
            while (value := self.stack.pop()) is not MARK:
                found.append(value)
            return found[::-1]
        taken = self.stack[len(self.stack) - count :]
        if len(taken) < count or MARK in taken:
            raise IndexError
        del self.stack[len(self.stack) - count :]
        return taken

    def _fetch(self, code: str, argument: Any) -> None:
        parts = argument.split(" ") if code == "GLOBAL" else self._pop(2)
        if len(parts) != 2 or not all(type(part) is str for part in parts):
            raise refuse("the name of a function is not plain text")
        name = ".".join(parts)
        self.program.imports.append(name)
        self.stack.append(Named(name))

    def _storage(self, id: Any) -> None:
        match id:
            case ("storage", Named(kind), str(key), str(), int(count)) if count >= 0:
                self.program.storages.append((kind, key, count))
                self.stack.append(Made("storage"))
            case _:
                raise refuse("a reference to something else than a block of numbers")

    def _fill(self, code: str) -> None:
        """Only a dict takes items, and only a list is appended to."""
        wanted = ("list",) if code.startswith("APPEND") else CONTAINERS[::2]
        if self._top() not in [Made(kind) for kind in wanted]:
            raise refuse(f"{code} on something else than a {wanted[0]}")


# --- Deciding --------------------------------------------------------------------


def check_allowed(data: bytes) -> Program:
    """Return a pickle's program; Refused unless it asks for nothing but weights.

    Whatever is not on the list is refused, and so is whatever cannot be read.
    """
    found = program(data)
    if strange := sorted(set(found.imports) - ALLOWED):
        raise refuse(f"it fetches {', '.join(map(ascii, strange[:3]))}")
    if called := sorted(set(found.calls) - CALLS):
        raise refuse(f"it calls {called[0]!a}, which makes no weights")
    if unknown := sorted({kind for kind, *_ in found.storages} - ITEM_SIZES.keys()):
        raise refuse(f"numbers of an unknown kind, {unknown[0]!a}")
    return found


def denied(data: bytes) -> list[str]:
    """Return the names of a pickle that a list of dangerous functions knows.

    This is the check that the course warns against: it reads names as many scanners
    do, the last two strings before STACK_GLOBAL, and lets everything else through.
    """
    names, texts = [], []
    for code, argument, _ in _opcodes(data):
        if code == "GLOBAL":
            names.append(argument.replace(" ", "."))
        elif code == "STACK_GLOBAL":
            names.append(".".join(texts[-2:]))
        elif isinstance(argument, str):
            texts.append(argument)
    return [name for name in names if name.startswith(DENIED)]
