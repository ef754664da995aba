"""A pickle's opcodes on their stack: one call in front of honest weights."""

import contextlib
import io
import pickle
import pickletools

from securetrain import artifacts, pickles
from securetrain.archives import refusal

UNIT = "41-artifacts/1-a-file-that-runs-code"
TITLE = "Loading a pickle runs a program"
ALT = (
    "Opcodes of a pickle are run one by one beside their stack. Before the honest "
    "weights stands a call of print; it runs, is dropped, and the weights come back."
)
WORDS = "code ran"
WEIGHTS = {"bias": 0.5}
SKIPPED = ("PROTO", "BINPUT", "FRAME", "MEMOIZE")


def facts():
    honest = pickle.dumps(WEIGHTS, 2)
    data = artifacts.PROTOCOL + artifacts.call("builtins", "print", WORDS) + honest[2:]
    reader, steps = pickles._Reader(), []
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name == "STOP":
            break
        reader.step(opcode.name, argument)
        if opcode.name not in SKIPPED:
            shown = [label(value) for value in reader.stack]
            steps.append((text(opcode.name, argument), shown))
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        loaded = pickle.loads(data)
    return {
        "steps": [*steps[:-1], (steps[-1][0], [repr(loaded)])],
        "said": said.getvalue().strip(),
        "loaded": loaded,
        "refused": refusal(pickles.check_allowed, data),
        "passed": refusal(pickles.check_allowed, honest),
    }


def text(name, argument):
    """Return an opcode as it is listed."""
    if argument is None:
        return name
    if name == "GLOBAL":
        argument = argument.replace(" ", ".")
    return f"{name} {argument}" if name == "GLOBAL" else f"{name} {argument!r}"


def label(value):
    """Return a value of the stack in a few signs."""
    if isinstance(value, pickles.Named):
        return value.name
    if isinstance(value, pickles.Made):
        return "None" if "print" in str(value) else "{…}"
    return str(value) if isinstance(value, tuple) else repr(value)


def holds(f):
    names = [name.split()[0] for name, _ in f["steps"]]
    right = names[:5] == ["GLOBAL", "BINUNICODE", "TUPLE1", "REDUCE", "POP"]
    ran = f["said"] == WORDS and f["loaded"] == WEIGHTS
    return right and ran and "print" in f["refused"] and not f["passed"]


def scenes(f):
    return [
        "A pickle is a list of instructions for a small machine with a stack.",
        "Before the honest weights, somebody has put five of their own.",
        ("GLOBAL fetches any function by its name.", 1.2),
        ("The next two lay down what it will be called with.", 2.0),
        ("REDUCE calls it. The code has run, before any weight is read.", 1.6),
        ("POP drops what came back. The stack is clean again.", 1.2),
        ("Then come the weights, as honest as ever.", 3.0),
        "The model works. Nothing in its answers tells of the call.",
        "An allow-list reads the names without running them, and refuses.",
    ]


DONE = {2: (0, 1), 3: (1, 3), 4: (3, 4), 5: (4, 5)}


def draw(stage, f, at):
    steps, last = f["steps"], len(f["steps"])
    ways = DONE | {6: (5, last)}
    done = sum((end - start) * at(scene) for scene, (start, end) in ways.items())
    count = int(done + 0.3)
    stage.text(60, 612, "opcodes", 28, at(0), ha="left", weight="bold")
    for number, (name, _) in enumerate(steps):
        y, evil = 565 - 44 * number, number < 5 and at(1) > 0.5
        shown = at(1) if number < 5 else at(0)
        if number == count - 1 and at(7) < 0.5:
            stage.polygon([(48, y - 20), (690, y - 20), (690, y + 20), (48, y + 20)],
                          fc="#e6e6e6", ec="black", lw=2, zorder=0)  # fmt: skip
        if evil:
            stage.ax.plot(72, y, "^", ms=16, color="#d55e00", mec="black", alpha=shown)
        stage.text(100, y, name, 25, shown, mono=True, ha="left",
                   weight="bold" if evil else "normal")  # fmt: skip
    stack(stage, steps[count - 1][1] if count else [], at)
    if at(4) > 0.02:
        stage.box(1000, 235, 440, 60, "", "attacked", at(4))
        stage.text(1005, 235, f"printed: {f['said']}", 26, at(4))
    stage.finding("The allow-list refuses it: builtins.print is no weight", at(8))


def stack(stage, values, at):
    """Draw the stack, its newest value on top."""
    stage.text(1000, 612, "stack", 28, at(0), weight="bold")
    if at(0) > 0.02:
        for x in (830, 1170):
            stage.line((x, 290), (x, 585), "#7f7f7f", at(0))
        stage.line((830, 290), (1170, 290), "#7f7f7f", at(0))
    for number, value in enumerate(values):
        role = "attacked" if "print" in value else "clean"
        stage.box(1000, 325 + 66 * number, 320, 56, value[:20], role, 1, 24, mono=True)
