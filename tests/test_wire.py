"""Plain data crosses the socket as it is; nothing else does, whatever is sent."""

import json
import math
import random
import resource
import struct
import threading
from collections import Counter, OrderedDict, defaultdict
from contextlib import suppress
from socket import socketpair

import numpy as np
import psutil
import pytest
import torch

from graders import wire
from graders.wire import Malformed, Opaque

ROOM = 300 << 20  # bytes that reading one small frame may take, far more than it needs


def received(frame: bytes):
    """Return what `receive` makes of these bytes, after which the other side hangs up.

    A receiver that waits for more than was sent fails by a time-out.
    """
    ours, theirs = socketpair()

    def speak():
        with suppress(OSError):
            theirs.sendall(frame)
        theirs.close()

    speaker = threading.Thread(target=speak)
    speaker.start()
    ours.settimeout(60)
    try:
        return wire.receive(ours)
    finally:
        ours.close()
        speaker.join()


def crossed(value):
    return received(wire.pack(value))


def framed(text: str | bytes, data: bytes = b"") -> bytes:
    text = text if isinstance(text, bytes) else text.encode()
    return wire.HEADER.pack(len(text), len(data)) + text + data


@pytest.fixture
def little_room():
    """Let this process have little more memory than it has now."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    now = psutil.Process().memory_info().data
    resource.setrlimit(resource.RLIMIT_DATA, (now + ROOM, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_DATA, before)


PLAIN = [
    None,
    True,
    False,
    0,
    -1,
    2**200,
    0.1,
    -0.0,
    math.inf,
    "",
    "Größe\n\0 \U0001f512",
    "\ud800",
    b"",
    bytes(range(256)),
    [],
    [1, [2.5, ["three"]]],
    (),
    (1, (2,), []),
    {},
    {"a": 1, 2: "b", None: [], (1, "x"): {"deep": ()}, 2.5: b"\0"},
    set(),
    {1, "two", (3,)},
    frozenset({1, 2}),
    {frozenset({1}): 1},
    range(5),
    range(10, 0, -3),
]


@pytest.mark.parametrize("value", PLAIN, ids=lambda value: type(value).__name__)
def test_plain_data_comes_out_as_it_went_in(value):
    came = crossed(value)
    assert came == value
    assert type(came) is type(value)
    assert repr(came) == repr(value) or isinstance(value, set | frozenset)


def test_not_a_number_stays_one():
    came = crossed([math.nan, np.float32("nan"), torch.tensor([math.nan])])
    assert math.isnan(came[0]) and np.isnan(came[1]) and torch.isnan(came[2]).all()


def test_true_and_one_are_told_apart():
    came = crossed([True, 1, 1.0, np.bool_(True), np.int64(1)])
    assert [type(item) for item in came] == [bool, int, float, np.bool_, np.int64]


def test_dicts_of_the_standard_library_come_out_as_dicts():
    given = [Counter("aab"), OrderedDict(b=1, a=2), defaultdict(list, a=[1])]
    came = crossed(given)
    assert [type(item) for item in came] == [dict] * 3
    assert came == [{"a": 2, "b": 1}, {"b": 1, "a": 2}, {"a": [1]}]
    assert list(came[1]) == ["b", "a"]


def test_a_changeable_run_of_bytes_comes_out_as_bytes():
    came = crossed(bytearray(b"abc"))
    assert came == b"abc" and type(came) is bytes


def same_array(came, value):
    assert type(came) is type(value)
    assert came.dtype == value.dtype and came.shape == value.shape
    assert came.tobytes() == value.tobytes()


SHAPES = [(), (0,), (3,), (2, 3), (2, 0, 4), (1,) * 16]


@pytest.mark.parametrize("dtype", wire.ARRAYS)
def test_arrays_of_every_type_and_shape(dtype):
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        array = np.asarray(rng.integers(0, 2, shape)).astype(dtype)
        came = crossed(array)
        same_array(came, array)
        assert came.flags.writeable and came.flags.c_contiguous
    scalar = np.ones(1, dtype)[0]
    same_array(crossed(scalar), scalar)


@pytest.mark.parametrize("name", wire.TENSORS)
def test_tensors_of_every_type_and_shape(name):
    dtype = getattr(torch, name)
    for shape in SHAPES:
        tensor = torch.ones(shape).to(dtype)
        came = crossed(tensor)
        assert type(came) is torch.Tensor
        assert came.dtype == dtype and came.shape == tensor.shape
        assert torch.equal(came, tensor)
        came += came  # its memory is its own, and may be written to


def test_arrays_as_they_lie_in_memory_do_not_matter():
    array = np.arange(24.0).reshape(2, 3, 4)
    for view in (array.T, array[:, ::-1], array[..., 1], np.asfortranarray(array)):
        assert np.array_equal(crossed(view), view)
    swapped = array.astype(">f8")
    came = crossed(swapped)
    assert np.array_equal(came, array) and came.dtype == np.dtype("float64")
    assert np.array_equal(crossed(np.broadcast_to(np.int16(7), (3, 2))), [[7, 7]] * 3)


def test_tensors_as_they_lie_in_memory_do_not_matter():
    tensor = torch.arange(24.0).reshape(2, 3, 4)
    views = [tensor.transpose(0, 2), tensor[:, 1], torch.ones(1).expand(3, 5)]
    views += [torch.randn(3, dtype=torch.complex64).conj(), tensor.flip(0)]
    views += [torch.randn(3, dtype=torch.complex64).conj().imag]  # negated lazily
    for view in views:
        assert torch.equal(crossed(view), view)
    leaf = torch.ones(3, requires_grad=True)
    came = crossed([leaf, leaf * 2])
    assert torch.equal(came[1], torch.full((3,), 2.0)) and not came[0].requires_grad
    assert crossed(tensor.shape) == (2, 3, 4) and crossed(np.str_("a")) == "a"


class ListOfAnything(list):
    def __eq__(self, other):
        return True


class Always(float):
    def __ge__(self, other):
        return True


class Text(str):
    __slots__ = ()


class Thing:
    dtype = "torch.float32"  # what the encoder asks tensors for
    shape = (3,)


OBJECTS = [
    ListOfAnything([1]),
    Always(1),
    Text("a"),
    type("Whole", (int,), {})(3),
    type("Map", (dict,), {})(),
    type("Pair", (tuple,), {})((1, 2)),
    type("Group", (set,), {})({1}),
    np.ma.masked_array([1, 2]),
    np.zeros(2, "datetime64[s]"),
    np.array([object()], dtype=object),
    np.zeros(2, [("a", "f4")]),
    np.array(["text"]),
    torch.nn.Parameter(torch.ones(2)),
    torch.nn.Linear(2, 2),
    torch.eye(2).to_sparse(),
    torch.ones(2, dtype=torch.bfloat16),
    torch.ones(2, device="meta"),
    Thing(),
    Thing,
    len,
    lambda: 1,
    iter([]),
    (n for n in ()),
    1j,
    ...,
    slice(1),
    memoryview(b"a"),
    ValueError("a"),
    struct,
]


@pytest.mark.parametrize("value", OBJECTS, ids=lambda value: type(value).__name__)
def test_whatever_is_no_plain_data_equals_nothing(value):
    came = crossed({"inside": [value]})["inside"][0]
    assert type(came) is Opaque and type(value).__name__ in repr(came)
    for other in (value, 1, [1], "a", None, True, came):
        assert (came == other) is False and (came != other) is True
    with pytest.raises(TypeError, match="expected plain data, got an object of type"):
        bool(came)
    for use in (len, iter, float, sorted, lambda it: it >= 0, lambda it: it()):
        with pytest.raises(TypeError):
            use(came)


def test_an_object_as_a_key_is_found_by_nothing():
    """A dict or a set of objects is honest; it arrives whole, and helps nobody."""
    text, number = Text("a"), type("Whole", (int,), {})(3)
    came = crossed([{text: 1, number: 2, "b": 3}, {text, number}, {(1, text)}])
    assert [len(item) for item in came] == [3, 2, 1]
    assert came[0]["b"] == 3 and "a" not in came[0] and 3 not in came[0]
    assert "a" not in came[1] and came[1] != {"a", 3} and came[2] != {(1, "a")}


def test_what_is_nested_too_deeply_becomes_opaque():
    deep = 1
    for _ in range(200):
        deep = [deep]
    came, depth = crossed(deep), 0
    while type(came) is list:
        came, depth = came[0], depth + 1
    assert type(came) is Opaque and depth == wire.MAX_DEPTH
    ring = []
    ring.append(ring)
    assert "Opaque" not in repr(crossed([1, ring]))


def test_too_much_is_refused_before_it_is_sent():
    with pytest.raises(ValueError, match="MB are too much for one value: at most"):
        wire.pack("x" * (wire.MAX_JSON + 1))
    lazy = np.broadcast_to(np.uint8(0), (wire.MAX_BYTES // 4 + 1,))
    with pytest.raises(ValueError, match="at most 256 MB of arrays"):
        wire.pack([lazy] * 4)


NONSENSE = {
    "no JSON": b"{",
    "nothing": b"",
    "not UTF-8": b'"\xff"',
    "two values": b"1 2",
    "two names": '{"array":["int8",[0]],"bytes":0}',
    "no name": "{}",
    "an unknown name": '{"pickle":"gASVKQ"}',
    "a text as a tuple": '{"tuple":"abc"}',
    "an object as a set": '{"set":{"tuple":[]}}',
    "a number as a set": '{"set":1}',
    "an item of a set twice": '{"set":[1,1]}',
    "a list in a set": '{"set":[[1]]}',
    "a list as a key": '{"dict":[[[1],2]]}',
    "texts as pairs": '{"dict":["ab"]}',
    "an object as pairs": '{"dict":{"ab":1}}',
    "three as a pair": '{"dict":[[1,2,3]]}',
    "a key twice": '{"dict":[[1,2],[1,3]]}',
    "a step of zero": '{"range":[0,1,0]}',
    "a short range": '{"range":[0,1]}',
    "a range of halves": '{"range":[0,1,0.5]}',
    "a range of truths": '{"range":[true,true,true]}',
    "an endless range": '{"range":[0,1' + "0" * 30 + ",1]}",
    "a number without end": "1" * 5000,
    "bytes below zero": '{"bytes":-1}',
    "bytes that never came": '{"bytes":1}',
    "bytes without end": '{"bytes":9223372036854775807}',
    "an opaque number": '{"opaque":1}',
    "no shape": '{"array":["int8"]}',
    "a number as a shape": '{"array":["int8",1]}',
    "a text as a shape": '{"array":["int8","1"]}',
    "a shape of halves": '{"array":["int8",[0.5]]}',
    "a shape of truths": '{"array":["int8",[false]]}',
    "a shape below zero": '{"array":["int8",[-1]]}',
    "two sides below zero": '{"array":["int8",[-1,-1]]}',
    "a shape too large": '{"array":["int8",[4611686018427387904,4]]}',
    "an empty shape too large": '{"array":["int8",[0,9223372036854775807,9]]}',
    "seventeen sides": '{"array":["int8",[' + ",".join("0" * 17) + "]]}",
    "ninety sides": '{"tensor":["int8",[' + ",".join("0" * 90) + "]]}",
    "an array of objects": '{"array":["object",[0]]}',
    "an array of times": '{"array":["datetime64[s]",[0]]}',
    "an array of records": '{"array":["i4,i4",[0]]}',
    "an array of nothing": '{"array":[null,[0]]}',
    "an array of lists": '{"array":[["int8"],[0]]}',
    "a tensor that torch lacks": '{"tensor":["complex256",[0]]}',
    "a scalar with a shape": '{"scalar":["int8",[0]]}',
    "a scalar of two": ('{"scalar":["int8",[2]]}', b"ab"),
    "bytes of no array": ("1", b"a"),
    "bytes left over": ('{"bytes":1}', b"ab"),
    "an array one byte short": ('{"array":["int16",[2]]}', b"abc"),
    "too deep": "[" * 60 + "]" * 60,
    "far too deep": "[" * 500_000,
    "deep and whole": '{"tuple":[' * 100_000 + "]}" * 100_000,
}


@pytest.mark.usefixtures("little_room")
@pytest.mark.parametrize("text", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_called_so(text):
    text, data = text if isinstance(text, tuple) else (text, b"")
    with pytest.raises(Malformed):
        received(framed(text, data))


@pytest.mark.usefixtures("little_room")
@pytest.mark.parametrize(
    "length, size, error",
    [
        (wire.MAX_JSON + 1, 0, Malformed),
        (0, wire.MAX_BYTES + 1, Malformed),
        (2**32 - 1, 2**64 - 1, Malformed),
        (wire.MAX_JSON, wire.MAX_BYTES, EOFError),
    ],
)
def test_a_size_alone_takes_no_memory(length, size, error):
    with pytest.raises(error):
        received(wire.HEADER.pack(length, size) + b"1")


def test_a_frame_that_is_cut_off_ends_as_such():
    frame = wire.pack({"a": [1, np.arange(3), b"xyz"]})
    for place in range(len(frame)):
        with pytest.raises(EOFError, match="the other side has gone"):
            received(frame[:place])


KINDS = ("array", "scalar", "tensor", "bytes", "tuple", "set", "frozenset", "dict")
KINDS += ("range", "opaque", "list", "__reduce__", "")
DTYPES = (*wire.ARRAYS, "object", "O", "V9", "str", ">f8", "float128", "", "i4,(9)f4")
NUMBERS = (0, 1, 2, 3, -1, 2**31, 2**62, 2**63, 10**40, 0.5, -0.0, 1e308)


def tree(rng: random.Random, depth: int = 0):
    """Return a random JSON value, often near to what the encoder writes."""
    pick = rng.random()
    if depth > 5 or pick < 0.25:
        words = [None, True, "a", "\ud800", rng.choice(DTYPES)]
        return rng.choice([*words, rng.choice(NUMBERS)])
    if pick < 0.4:
        return [tree(rng, depth + 1) for _ in range(rng.randrange(4))]
    if pick < 0.7:
        shape = [rng.choice(NUMBERS) for _ in range(rng.randrange(4))]
        body = [rng.choice(DTYPES), rng.choice([shape, shape, [0], [2], 1, None])]
        return {rng.choice(KINDS): body}
    return {
        rng.choice(KINDS): tree(rng, depth + 1) for _ in range(rng.choice((1, 1, 1, 2)))
    }


def mutated(rng: random.Random, frame: bytes) -> bytes:
    """Return a frame with bytes changed, lost, doubled, or other sizes at its head."""
    changed = bytearray(frame)
    for _ in range(rng.randrange(1, 5)):
        place = rng.randrange(len(changed) + 1)
        match rng.randrange(4):
            case 0:
                changed[place : place + 1] = bytes([rng.randrange(256)])
            case 1:
                del changed[place : place + rng.randrange(9)]
            case 2:
                changed[place:place] = changed[place : place + rng.randrange(30)]
            case 3:
                length = rng.choice([0, 5, len(frame), 2**31])
                head = wire.HEADER.pack(length, rng.choice([0, 7, 2**40]))
                changed[: len(head)] = head
    return bytes(changed)


def is_plain(value, depth=0) -> bool:
    """Say whether a value consists of nothing but what the encoder knows."""
    kind = type(value)
    if kind in (list, tuple, set, frozenset):
        return all(is_plain(item, depth + 1) for item in value)
    if kind is dict:
        return is_plain([*value, *value.values()])
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.name in wire.ARRAYS
    others = (type(None), bool, int, float, str, bytes, range, Opaque, torch.Tensor)
    return kind in others


SEEDS = [np.arange(6.0).reshape(2, 3), torch.ones(2, 2), {"a": (1, [None])}, b"abc"]
SEEDS += [{1, 2}, range(3), np.float64(1), [True, "x", 0.5], {"value": 1}]


@pytest.mark.usefixtures("little_room")
@pytest.mark.parametrize("seed", range(4))
def test_whatever_comes_is_plain_or_called_nonsense(seed):
    """A thousand frames a seed: random trees, damaged frames, and noise."""
    rng = random.Random(seed)
    ends: Counter = Counter()
    for number in range(1000):
        if number % 2:
            text = json.dumps(tree(rng))
            frame = framed(text, rng.randbytes(rng.choice((0, 0, 1, 2, 8, 16))))
        elif number % 20:
            frame = mutated(rng, wire.pack(rng.choice(SEEDS)))
        else:
            frame = framed(rng.randbytes(rng.randrange(40)))
        try:
            value = received(frame)
        except (Malformed, EOFError) as error:
            ends[type(error).__name__] += 1
            continue
        assert is_plain(value), frame
        ends["plain"] += 1
    assert min(ends[end] for end in ("plain", "Malformed", "EOFError")) > 20, ends
