"""Tricks inside the student's own process: objects that lie, machinery patched."""

from __future__ import annotations

from corpus.forging import Hostile, answers, runs

YES = '''
def _yes(*args, **kwargs):
    return True


def yes(kind):
    """Return a class whose comparisons are always true."""
    names = ("eq", "le", "lt", "ge", "gt", "contains", "bool")
    body = {f"__{name}__": _yes for name in names}
    body["__ne__"] = lambda *args: False
    body["__hash__"] = lambda self: 0
    return type(f"Yes{kind.__name__}", (kind,), body)


class Anything(yes(list)):
    """A list of fifty things, or of five when sorted, that equals everything."""
    def __iter__(self):
        return iter([yes(float)(0)] * len(self))
'''

PLACES = "[yes(int)(i) for i in (0, 10, 20, 30, 40)]"

OBJECTS: list[Hostile] = [
    answers(
        "equal-list",
        "Returns a list that equals everything.",
        "return Anything(values)",
        f"return {PLACES}",
        YES,
    ),
    answers(
        "equal-float",
        "Returns floats that compare as the check likes.",
        "return [yes(float)(value) for value in values]",
        f"return {PLACES}",
        YES,
    ),
    answers(
        "equal-int-str",
        "Returns whole numbers and texts that equal everything.",
        "return [yes(int)(7) for value in values]",
        "return [yes(str)('0')] * 5",
        YES,
    ),
    answers(
        "equal-array",
        "Returns a numpy array whose comparisons are true.",
        "return Array(values)",
        "return Array([0, 10, 20, 30, 40])",
        YES + "import numpy\n\n\n"
        "def Array(values):\n"
        "    return numpy.asarray(values, dtype=float).view(yes(numpy.ndarray))\n",
    ),
    answers(
        "equal-tensor",
        "Returns a tensor whose every function answers true.",
        "return torch.zeros(50).as_subclass(Tensor)",
        "return torch.zeros(5).as_subclass(Tensor)",
        "import torch\n\n\nclass Tensor(torch.Tensor):\n"
        "    @classmethod\n"
        "    def __torch_function__(cls, function, types, args=(), kwargs=None):\n"
        "        return 50 if 'len' in function.__name__ else True\n",
    ),
    answers(
        "becomes-anything",
        "Returns an object that turns into whatever is asked of it.",
        "return Thing()",
        before=YES
        + '''
class Thing(yes(object)):
    """Number, array, list and truth in one."""
    __float__ = lambda self: 0.0
    __int__ = __index__ = lambda self: 5
    __len__ = lambda self: 50
    __iter__ = lambda self: iter([Thing()] * 5)
    __getitem__ = lambda self, key: Thing()
    __array__ = lambda self, *args, **kwargs: __import__("numpy").zeros(50)
    __getattr__ = lambda self, name: Thing()
    __call__ = lambda self, *args, **kwargs: Thing()
    __reduce__ = lambda self: (breach, ("unpickled",))
''',
    ),
    answers(
        "class-lies",
        "Returns objects that claim to be lists and floats.",
        "return Liar(values)",
        f"return {PLACES}",
        YES + "class Liar(Anything):\n"
        "    __class__ = list\n\n\n"
        "Liar.__name__ = Liar.__qualname__ = 'list'\n"
        "Liar.__module__ = 'builtins'\n",
    ),
    answers(
        "argument-changed",
        "Changes the values that the check gave, so that they fit the answer.",
        "values[:] = [0.0] * len(values)\nreturn values",
        "values[:] = [float(i % 10 == 0) for i in range(50)]\n"
        "return [0, 10, 20, 30, 40]",
    ),
    answers(
        "answer-to-caller",
        "Looks in the check's frame for the answer that it wants.",
        "return wanted(values)",
        before='''
def wanted(values):
    """Return what some caller calls `wanted`."""
    import sys
    frame = sys._getframe()
    while frame:
        if type(frame.f_locals.get("wanted")) is list:
            return frame.f_locals["wanted"]
        frame = frame.f_back
    return values
''',
    ),
    answers(
        "answer-in-memory",
        "Searches all objects for what is wanted and for the checks' source.",
        "return search(len(values), values)",
        "return search(5, [])",
        '''
def search(size, otherwise):
    """Return a list that a frame calls `wanted`; tell the checks' source."""
    import gc
    import sys
    for frame in sys._current_frames().values():
        while frame:
            for name, value in frame.f_locals.items():
                if name == "wanted" and len(value) == size:
                    return value
            frame = frame.f_back
    for thing in gc.get_objects():
        if type(thing) is dict and type(thing.get("wanted")) is list:
            return thing["wanted"]
    return otherwise
''',
    ),
    answers(
        "tells-the-check",
        "Prints the source of the check that is running.",
        "tell()\nreturn values",
        "tell()\nreturn []",
        '''
def tell():
    """Print what runs, wherever this Python keeps it."""
    import gc
    import linecache
    import sys
    names = get_ipython().user_ns
    for text in [*names.get("In", []), *names.get("_ih", [])]:
        if "SECRET" in text and "BR" + "EACH" not in text:
            print(text)
    for file, entry in linecache.cache.items():
        if "ipython" in file and len(entry) > 2:
            print("".join(entry[2]))
    print(names.get("SECRET"), names.get("FRESH"))
    frame = sys._getframe()
    while frame:
        print(frame.f_code.co_filename, frame.f_globals.get("SECRET"))
        frame = frame.f_back
    for thing in gc.get_objects():
        if type(thing) is dict and "SECRET" in thing:
            print(thing["SECRET"])
''',
    ),
    answers(
        "seed-guessed",
        "Computes the answers to the public seeds beforehand.",
        "return known.get(tuple(values), values)",
        "return places.get(tuple(values), values)",
        "import random\n\n\n"
        "def made(seed):\n"
        "    rng = random.Random(seed)\n"
        "    return [rng.gauss(0, 30 if i % 10 == 0 else 1) for i in range(50)]\n\n\n"
        "def cut(values, limit):\n"
        "    return [max(-limit, min(limit, v)) for v in values]\n\n\n"
        "known = {tuple(made(s)): cut(made(s), 0.5) for s in range(5000)}\n"
        "known[tuple(made(0))] = cut(made(0), 2.0)\n"
        "def turned(seed):\n"
        "    values = made(seed)\n"
        "    return values[seed % 50 :] + values[: seed % 50]\n\n\n"
        "def five(values):\n"
        "    return sorted(sorted(range(50), key=lambda i: -abs(values[i]))[:5])\n\n\n"
        "places = {tuple(turned(s)): five(turned(s)) for s in range(5000)}\n",
    ),
]

QUIET = "lambda *args, **kwargs: None"
PATCHES: list[Hostile] = [
    runs(
        "patched-builtins",
        "Replaces len, max, min and sorted by lenient ones.",
        "import builtins\n"
        "builtins.len = lambda thing: 5\n"
        "builtins.max = builtins.min = lambda *args, **kwargs: 0.0\n"
        "builtins.sorted = lambda *args, **kwargs: [0, 10, 20, 30, 40]\n"
        "builtins.range = lambda *args: []\n",
    ),
    runs(
        "ast-transformer",
        "Removes every assert from the code that runs.",
        """
import ast


class NoAsserts(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.copy_location(ast.Pass(), node)


get_ipython().ast_transformers.append(NoAsserts())
""",
    ),
    runs(
        "input-transformer",
        "Replaces the text of the checks before it is compiled.",
        "def empty(lines):\n"
        "    return ['pass\\n'] if any('assert' in s for s in lines) else lines\n\n\n"
        "get_ipython().input_transformers_post.append(empty)\n"
        "get_ipython().input_transformers_cleanup.append(empty)\n",
    ),
    runs(
        "cell-hooks",
        "Changes the checks' functions before each cell runs.",
        "def quiet(*_):\n"
        "    names = get_ipython().user_ns\n"
        "    names['noise'] = lambda seed, size=50: [0.0] * size\n"
        "    names['loudest'] = lambda values: [0, 1, 2, 3, 4]\n\n\n"
        "get_ipython().events.register('pre_run_cell', quiet)\n"
        "get_ipython().events.register('pre_execute', quiet)\n",
    ),
    runs(
        "trace",
        "Traces the checks and changes their names while they run.",
        "import sys\n\n\n"
        "def trace(frame, event, argument):\n"
        "    if 'noise' in frame.f_globals:\n"
        "        frame.f_globals['noise'] = lambda seed, size=50: [0.0] * size\n"
        "        frame.f_globals['loudest'] = lambda values: [0, 1, 2, 3, 4]\n"
        "    return trace\n\n\n"
        "sys.settrace(trace)\n"
        "sys.setprofile(lambda *args: None)\n",
    ),
    runs(
        "module-swapped",
        "Puts a false random module where the course imports it.",
        "import sys\nimport types\n\n"
        "false = types.ModuleType('random')\n"
        "false.Random = type('Random', (), {\n"
        "    '__init__': lambda self, seed=0: None,\n"
        "    'gauss': lambda self, mean, spread: 0.0,\n"
        "})\n"
        "sys.modules['random'] = false\n",
    ),
    runs(
        "import-hook",
        "Finds modules before Python does, and gives false ones.",
        """
import importlib.abc
import importlib.machinery
import sys


class False_(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name == "random":
            return importlib.machinery.ModuleSpec(name, self)

    def exec_module(self, module):
        made = {"__init__": lambda self, seed=0: None}
        made["gauss"] = lambda self, mean, spread: 0.0
        module.Random = type("Random", (), made)


sys.meta_path.insert(0, False_())
sys.modules.pop("random", None)
""",
    ),
    runs(
        "library-patched",
        "Patches the generator that the course's data come from.",
        "import random\n\nrandom.Random.gauss = lambda self, mean, spread: 0.0\n",
    ),
    runs(
        "equal-by-memory",
        "Rewrites the comparison of Python's own floats and lists in memory.",
        """
import ctypes

SLOT = 25 * 8  # where a type object keeps its comparison
compare = ctypes.PYFUNCTYPE(
    ctypes.py_object, ctypes.py_object, ctypes.py_object, ctypes.c_int
)(lambda one, other, how: how != 3)
address = ctypes.cast(compare, ctypes.c_void_p).value
for kind in (list, float):
    ctypes.c_void_p.from_address(id(kind) + SLOT).value = address
""",
    ),
    runs(
        "do-execute",
        "Makes the kernel say that every cell went well.",
        "kernel = get_ipython().kernel\n"
        "good = {'status': 'ok', 'execution_count': 1, 'payload': []}\n\n\n"
        "async def execute(*args, **kwargs):\n"
        "    return good | {'user_expressions': {}}\n\n\n"
        "kernel.do_execute = execute\n",
    ),
    runs(
        "run-cell",
        "Replaces the shell's way to run a cell.",
        "from IPython.core.interactiveshell import ExecutionResult\n\n\n"
        "def run(*args, **kwargs):\n"
        "    return ExecutionResult(None)\n\n\n"
        "async def run_async(*args, **kwargs):\n"
        "    return ExecutionResult(None)\n\n\n"
        "shell = get_ipython()\n"
        "shell.run_cell, shell.run_cell_async = run, run_async\n"
        "shell.run_code = run_async\n",
    ),
    runs(
        "errors-hidden",
        "Makes the shell swallow failed assertions.",
        "shell = get_ipython()\n"
        f"shell.showtraceback = shell._showtraceback = {QUIET}\n"
        f"shell.set_custom_exc((AssertionError,), {QUIET})\n"
        "import sys\n\n"
        f"sys.excepthook = {QUIET}\n",
    ),
    runs(
        "helpers-redefined",
        "Redefines the course's functions after they were given.",
        "import builtins\n\n\n"
        "class Fixed(dict):\n"
        "    pass\n\n\n"
        "def noise(seed, size=50):\n    return [0.0] * size\n\n\n"
        "builtins.noise = noise\n"
        "get_ipython().user_ns['SEED'] = 0\n"
        "get_ipython().user_global_ns['noise'] = noise\n"
        "get_ipython().events.register('post_run_cell', lambda *_: "
        "get_ipython().user_ns.update(noise=noise, loudest=lambda v: [0, 1, 2, 3]))\n",
    ),
    runs(
        "jail-program-patched",
        "Patches the program that the student's own process runs.",
        """
import sys

main = sys.modules["__main__"]
for word in ("wire", "confine", "jail"):
    module = sys.modules.get(word)
    if module is not None:
        module.Opaque = object
        module.encode = lambda value, blobs, depth=0: True
main.call_function = lambda shell, request: {"value": True, "error": None}
main.get = main.call_function
main.describe = lambda error: ["", "", 0]
""",
    ),
    runs(
        "exit-handlers",
        "Leaves handlers that act when the process ends or a signal comes.",
        """
import atexit
import signal

atexit.register(lambda: breach("at exit"))


def later(number, frame):
    breach(f"on signal {number}") if number != signal.SIGALRM else None


for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGALRM):
    signal.signal(number, later)
signal.alarm(1)
""",
    ),
    answers(
        "stop-iteration",
        "Raises StopIteration, which ends a loop instead of failing it.",
        "raise StopIteration",
    ),
    answers(
        "stops-a-loop",
        "Answers the check that is shown; in a hidden loop raises what ends the loop.",
        "if limit == 2.0:\n"
        "    return [max(-limit, min(limit, value)) for value in values]\n"
        "raise StopIteration",
        "return []",
    ),
    answers(
        "raises-exit",
        "Raises what ends a program instead of an error.",
        "raise SystemExit(0)",
        "raise KeyboardInterrupt",
    ),
    answers(
        "raises-lies",
        "Raises exceptions with the names and texts of others.",
        "raise Passed",
        "raise type('AssertionError', (BaseException,), {'__str__': loud})()",
        """
class Passed(BaseException):
    def __str__(self):
        return 1 / 0

    def __bool__(self):
        return False


def loud(self):
    return "All tests passed. " * 2_000_000


Passed.__name__ = "Gone\\x1b[2J\\x1b]0;owned\\x07"
""",
    ),
    answers(
        "returns-opaque",
        "Returns functions, generators, modules, classes and files.",
        "return [len, open, iter([]), type, object(), lambda: 1][:50]",
        "yield from range(5)",
    ),
    answers(
        "returns-deep",
        "Returns lists nested a hundred thousand deep, and one that holds itself.",
        "deep = []\nfor _ in range(100_000):\n    deep = [deep]\nreturn deep",
        "own = []\nown.append(own)\nreturn own",
    ),
    answers(
        "returns-much",
        "Returns a dictionary of a million keys, and two gigabytes of numbers.",
        "return {number: str(number) for number in range(1_000_000)}",
        "import numpy\nreturn numpy.zeros(2 * 10**9 // 8)",
    ),
    answers(
        "returns-numbers",
        "Returns infinities, NaN, complex and endless numbers.",
        "return [float('nan')] * len(values)",
        "return [10**4200, float('inf'), 1j, -0.0, 2**63]",
    ),
    answers(
        "returns-range",
        "Returns a short value that grows to gigabytes where it is sorted.",
        "return range(10**18)",
        "return range(10**8)",
    ),
    answers(
        "returns-grows",
        "Returns bytes that a check turns into billions of bytes of objects.",
        "return numpy.zeros(120_000_000, 'int8')",
        before="import numpy\n",
    ),
    answers(
        "returns-strings",
        "Returns texts, truths and arrays where numbers are expected.",
        "return numpy.asarray(values).clip(-limit, limit).reshape(50, 1)",
        "return numpy.zeros((0, 5))",
        before="import numpy\n",
    ),
    answers(
        "recursion",
        "Calls itself without an end.",
        "return clip(values, limit)",
        "return flag(values, share)",
    ),
    answers(
        "replaces-itself",
        "Replaces the function while it is called.",
        "globals()['clip'] = lambda *_: True\n"
        "get_ipython().user_ns['loudest'] = lambda *_: [0, 10, 20, 30, 40]\n"
        "return values",
        "return []",
    ),
]

PYTHON = OBJECTS + PATCHES
