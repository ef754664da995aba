"""Tricks on the line between the student's process and the grader.

The student writes on every socket the process holds, as if it were the jail's own
program, and then ends the process so that nothing honest follows.
"""

from __future__ import annotations

from corpus.forging import (
    Hostile,
    Notebook,
    Place,
    add,
    answers,
    change,
    code_cell,
    fill,
    runs,
)

TOOLS = '''
import json
import os
import socket
import stat
import struct


def channels():
    """Return every socket that this process holds."""
    found = []
    for number in range(256):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                found.append(socket.socket(fileno=os.dup(number)))
        except OSError:
            pass
    return found


def frame(tree, data=b""):
    """Return a frame as the grader reads it."""
    header = tree if type(tree) is bytes else json.dumps(tree).encode()
    return struct.pack("!IQ", len(header), len(data)) + header + data


def tell(tree, data=b"", then=True):
    """Say something on every line; end the process, for nothing honest follows."""
    for channel in channels():
        try:
            channel.sendall(tree if then is None else frame(tree, data))
        except OSError:
            pass
    if then is not False:
        os._exit(0)


def answer(value, **more):
    """Return an answer that claims this value, as the wire writes it."""
    names = {"value": value, "error": None} | more
    return {"dict": [[key, value] for key, value in names.items()]}
'''


def _says(name: str, story: str, tree: str, data: str = "b''") -> Hostile:
    """Return a hand-in whose functions answer by this expression."""
    body = f"tell(answer({tree}), {data})"
    return answers(name, f"The student {story}.", body, before=TOOLS)


def _claims(name: str, story: str, tree: str, data: str = "b''") -> Hostile:
    """Return a hand-in with a cell that says this about what it showed."""
    code = f"{TOOLS}\n\ntell({tree}, {data})\n"
    return runs(name, f"The student {story}.", code)


def _raw(name: str, story: str, content: str) -> Hostile:
    """Return a hand-in whose functions write these bytes."""
    body = f"tell({content}, then=None)"
    return answers(name, f"The student {story}.", body, before=TOOLS)


VALUES = [
    _says(
        "wire-nan-shape",
        "sends an array of a size that is no number",
        "{'array': ['float64', [float('nan')]]}",
        "bytes(400)",
    ),
    _says(
        "wire-infinite-shape",
        "sends an array of infinite size",
        "{'tensor': ['float32', [float('inf'), 2]]}",
    ),
    _says(
        "wire-negative-shape",
        "sends an array of negative size",
        "{'array': ['int64', [-1, -50]]}",
        "bytes(400)",
    ),
    _says(
        "wire-empty-huge",
        "sends arrays that are empty and huge at once",
        "[{'array': ['float64', [0, 2**62, 2**62]]}] * 50",
    ),
    _says(
        "wire-tensor-huge",
        "sends a tensor that is empty and huge at once",
        "{'tensor': ['float64', [0, 2**62, 2**62]]}",
    ),
    _says(
        "wire-shape-overflow",
        "sends an array whose size overflows to a small one",
        "{'array': ['float64', [2**32, 2**32]]}",
    ),
    _says(
        "wire-many-dimensions",
        "sends an array of a thousand dimensions",
        "{'array': ['int8', [1] * 1000]}",
        "bytes(1)",
    ),
    _says(
        "wire-objects",
        "sends arrays of objects, dates and records",
        "[{'array': [kind, [1]]} for kind in ('O', 'V8', 'M8[s]', 'U9', 'object')]",
        "bytes(400)",
    ),
    _says(
        "wire-booleans",
        "sends truth values that are neither true nor false",
        "{'tensor': ['bool', [50]]}",
        "bytes([7]) * 50",
    ),
    _says(
        "wire-unhashable",
        "sends a set of lists and a dictionary with such keys",
        "[{'set': [[1], [2]]}, {'dict': [[[1], 2]]}]",
    ),
    _says(
        "wire-collisions",
        "sends a set of numbers that all have the same hash",
        "{'set': [n * (2**61 - 1) for n in range(150_000)]}",
    ),
    _says(
        "wire-two-names",
        "sends values that are two things at once",
        "{'bytes': 0, 'opaque': 'list'}",
    ),
    _says(
        "wire-opaque",
        "sends opaque values with odd names",
        "[{'opaque': 'list\\x1b[2J\\n' * 99}] * 50",
    ),
    _says(
        "wire-numbers",
        "sends ranges and sizes that are no whole numbers",
        "{'range': [0, 2**70, True]}",
    ),
    _says("wire-left-over", "sends bytes that belong to no array", "1", "bytes(9)"),
    _says(
        "wire-surrogates",
        "sends text that is no Unicode",
        "['\\ud800', {'dict': [['\\udfff', '\\x00']]}] * 25",
    ),
]

FRAMES = [
    _raw(
        "wire-passed",
        "says that everything passed, in many ways",
        'b\'{"status": "ok", "passed": true, "score": 100}\\n\' * 1000',
    ),
    _raw("wire-binary", "sends noise", "os.urandom(200_000)"),
    _raw(
        "wire-pickle",
        "sends a pickle that would run a command",
        "b'cos\\nsystem\\n(S\"touch %s/pickle\"\\ntR.' % OUTSIDE.encode()",
    ),
    _raw(
        "wire-huge",
        "announces a frame of 16 exabytes",
        "struct.pack('!IQ', 2**32 - 1, 2**64 - 1) + bytes(99)",
    ),
    _raw(
        "wire-cut",
        "announces more than it sends",
        "struct.pack('!IQ', 10_000, 10_000) + b'[' * 99",
    ),
    _raw("wire-nothing", "sends frames of no length", "bytes(12 * 5000)"),
    _raw("wire-deep", "sends a value nested a million deep", "frame(b'[' * 1_000_000)"),
    _raw(
        "wire-deep-closed",
        "sends a whole value, nested very deep",
        "frame(b'[' * 90_000 + b']' * 90_000)",
    ),
    _raw(
        "wire-integers", "sends a number of a million digits", "frame(b'9' * 1_000_000)"
    ),
    _raw(
        "wire-encoding",
        "sends text in another encoding",
        "frame('\"ä\"'.encode('utf-16'))",
    ),
    _raw(
        "wire-list",
        "sends a list where an answer is expected",
        "frame([['value', True], ['error', None]])",
    ),
    _raw("wire-true", "sends nothing but true", "frame(True) * 500"),
    _raw(
        "wire-no-value",
        "sends an answer without a value",
        "frame({'dict': [['error', None]]})",
    ),
    _raw(
        "wire-error-odd",
        "sends an error of another shape",
        "frame({'dict': [['error', {'tuple': [True, [], {'opaque': 'x'}]}]]})",
    ),
    _raw(
        "wire-error-long",
        "sends an error of fifteen megabytes",
        "frame({'dict': [['error', ['ValueError', 'x' * 15_000_000, 10**4000, []]]]})",
    ),
    _raw(
        "wire-error-gone",
        "claims that the grader is to blame",
        "frame({'dict': [['error', ['Gone', '\\x1b]0;owned\\x07wall', 1, ['Gone']]]]})",
    ),
    _raw(
        "wire-changed",
        "lies about the arguments that the function changed",
        "b''.join(frame(answer([0.0] * 50, changed=[[lists, 0.5], {'dict': []}]))"
        " for lists in ([0.0] * 50, [[]] * 50, [{'opaque': 'float'}] * 50))",
    ),
    _raw(
        "wire-changed-odd",
        "sends changed arguments of odd shapes",
        "frame(answer([0.0] * 50, changed={'dict': [[1, {'opaque': 'x'}]]}))",
    ),
    _raw(
        "wire-ahead",
        "answers thousands of questions ahead",
        "frame(answer([0.0] * 50)) * 200",
    ),
]

CLAIMS = [
    _claims(
        "claim-opaque-text",
        "says that a cell printed an opaque object",
        "answer(None, text={'opaque': 'str'}, shown={'opaque': 'list'})",
    ),
    _claims(
        "claim-array-text",
        "says that a cell printed an array",
        "answer(None, text={'array': ['int64', [2]]})",
        "bytes(16)",
    ),
    _claims(
        "claim-odd-shown",
        "says that a cell showed numbers and objects",
        "answer(None, shown=[1, [], {'dict': [['image/png', 7]]},"
        " {'dict': [['image/png', {'array': ['int64', [2]]}]]},"
        " {'dict': [['text/plain', {'opaque': 'str'}]]}])",
        "bytes(16)",
    ),
    _claims(
        "claim-tensor-huge",
        "says that a cell printed an impossible tensor",
        "answer(None, text={'tensor': ['float64', [0, 2**62, 2**62]]})",
    ),
    _claims(
        "claim-collisions",
        "says that a cell showed numbers of one hash",
        "answer(None, text={'set': [n * (2**61 - 1) for n in range(150_000)]})",
    ),
    _claims(
        "claim-much",
        "says that a cell showed a million things",
        "answer(None, shown=[{'dict': []}] * 1_000_000)",
    ),
    _claims(
        "claim-control",
        "says that a cell printed codes for a terminal",
        "answer(None, text='\\x1b]0;owned\\x07\\x9b2J\\x1b[2J' * 99,"
        " shown=[{'dict': [['text/plain', '\\x1b]0;owned\\x07\\u202e']]}])",
    ),
    _claims(
        "claim-error",
        "says that a cell raised an error of odd texts",
        "{'dict': [['error', ['\\ud800<b>', '\\x00\\x1b[2J', -10**300, ['\\ud800']]]]}",
    ),
]

# Goes on answering as the jail's program does, but for what is put in its place.
JAIL = '''
import sys


def jail():
    """Return the names of the program that runs this cell."""
    frame = sys._getframe()
    while "call_function" not in frame.f_globals:
        frame = frame.f_back
    return frame.f_globals


def says(shown=(), text=""):
    """Make every cell from now on show this."""
    jail()["run"] = lambda shell, request: {"text": text, "shown": shown, "error": None}
'''


def _goes_on(name: str, story: str, code: str, cells: int) -> Hostile:
    """Return a hand-in with a cell, and many more that claim what it prepared."""

    def edit(notebook: Notebook, place: Place) -> None:
        for number in range(cells):
            add(notebook, "parameters", code_cell("pass\n", f"more-{number}"))
        first = fill(f"{JAIL}\n\n{code}\n", name, place)
        add(notebook, "parameters", code_cell(first, "mine"))

    return change(name, f"The student {story}.", edit)


MANY = [
    _goes_on(
        "claim-arrays-again",
        "says of each of many cells that it showed forty megabytes",
        "import numpy\n\nsays([numpy.zeros(40_000_000, 'int8')])",
        100,
    ),
    _goes_on(
        "claim-slow-again",
        "says of each of many cells what takes seconds to read",
        "import struct\n\n"
        "tree = b'[[]],' * 3_000_000\n"
        'tree = b\'{"dict":[["error",null],["shown",[\' + tree + b\'0]]]}\'\n'
        "whole = struct.pack('!IQ', len(tree), 0) + tree\n"
        "jail()['_answer'] = lambda *_: whole",
        50,
    ),
    _goes_on(
        "claim-error-again",
        "says of each of many cells that it failed, in fifteen megabytes",
        "jail()['run'] = lambda *_: {'error': ['E' * 10**7, 'm' * 5 * 10**6, 1]}",
        40,
    ),
]

LINES = [
    answers(
        "line-closed",
        "Closes every file that the process has.",
        "os.closerange(0, 4096)\nreturn values",
        before=TOOLS,
    ),
    answers(
        "line-half-closed",
        "Stops reading or writing on the line.",
        "for one in channels():\n    one.shutdown(socket.SHUT_WR)\nreturn values",
        "for one in channels():\n    one.shutdown(socket.SHUT_RD)\nreturn []",
        TOOLS,
    ),
    runs(
        "line-thread",
        "Leaves a thread that goes on answering, forever.",
        TOOLS
        + """

import threading
import time


def go_on():
    while True:
        tell(answer([0.0] * 50), then=False)
        time.sleep(0.01)


threading.Thread(target=go_on, daemon=True).start()
""",
    ),
    runs(
        "line-child",
        "Leaves a child that answers in the place of the process.",
        TOOLS
        + """

if os.fork():
    os._exit(0)
for number in range(3000):
    tell(answer([0.0] * 50), then=False)
os._exit(0)
""",
    ),
    runs(
        "line-files",
        "Sends open files over the line, and looks for those it should not have.",
        TOOLS
        + """

import array

file = array.array("i", [os.open("/usr", os.O_RDONLY)] * 200)
for channel in channels():
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, file)]
    channel.sendmsg([frame(answer(None))], rights)
if "ipykernel" not in str(type(get_ipython())) and len(channels()) > 1:
    breach("holds more than one line")
os._exit(0)
""",
    ),
]

WIRE: list[Hostile] = VALUES + FRAMES + CLAIMS + MANY + LINES
