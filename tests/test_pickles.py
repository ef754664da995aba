"""Pickles and checkpoints: nothing but weights passes, and every honest file does."""

import io
import json
import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from securetrain import artifacts, checkpoints, models, pickles
from securetrain.archives import Refused, refusal

VERSION = "2.10.0"


def saved(value, **more) -> bytes:
    out = io.BytesIO()
    torch.save(value, out, **more)
    return out.getvalue()


@pytest.fixture(scope="module")
def honest() -> bytes:
    return saved(models.small_resnet(0).state_dict())


def write(folder: Path, content: bytes, name: str = "model.pt") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def why(path: Path, version: str = VERSION) -> str:
    return refusal(checkpoints.check, path, version)


# --- Honest files --------------------------------------------------------------


KINDS = [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool]
HONEST = {
    "a network": lambda: models.small_resnet(1).state_dict(),
    "parameters": lambda: dict(models.small_resnet(1).named_parameters()),
    "every kind of number": lambda: {str(k): torch.ones(3, dtype=k) for k in KINDS},
    "facts beside it": lambda: {"epoch": 3, "loss": 0.5, "ok": True, "names": ["a"],
                                "none": None, "pair": (1, -2), "large": 1 << 70},
    "nothing": dict,
    "one tensor": lambda: torch.arange(5.0),
    "shared numbers": lambda: (lambda t: [t[:2], t[2:]])(torch.arange(4.0)),
    "many tensors": lambda: OrderedDict((f"layer.{n}", torch.ones(2))
                                        for n in range(400)),
}  # fmt: skip


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("name", HONEST)
def test_what_torch_saves_of_weights_passes(name, protocol, tmp_path):
    content = saved(HONEST[name](), pickle_protocol=protocol)
    assert why(write(tmp_path, content)) == ""


def test_the_program_says_what_is_in_it(honest, tmp_path):
    program = checkpoints.check_checkpoint(write(tmp_path, honest))
    assert set(program.imports) <= pickles.ALLOWED
    state = models.small_resnet(0).state_dict()
    assert len(program.storages) == len(state)
    assert sum(n for *_, n in program.storages) == sum(
        t.numel() for t in state.values()
    )


# --- Code ------------------------------------------------------------------------


@pytest.fixture
def evil(honest, tmp_path):
    return artifacts.checkpoints(honest, tmp_path / "marker")


NAMES = {
    "os.system": "os.system", "builtins.exec": "builtins.exec",
    "hidden exec": "builtins.exec", "timeit.timeit": "timeit",
    "logging.FileHandler": "logging.FileHandler", "numpy.savetxt": "numpy.savetxt",
    "torch.save": "torch.save", "damaged checksum": "checksum", "cut off": "end",
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_every_payload_runs_when_it_is_loaded_and_is_refused_with_its_name(
    evil, tmp_path
):
    marker = tmp_path / "marker"
    assert evil.keys() - {"honest"} == NAMES.keys()
    for name, content in evil.items():
        path = write(tmp_path, content)
        with pytest.raises(pickle.UnpicklingError) if name != "honest" else _nothing():
            torch.load(path, weights_only=True)
        assert not marker.exists(), name
        with pytest.raises(EOFError) if name == "cut off" else _nothing():
            loaded = torch.load(path, weights_only=False)
            assert len(loaded) == len(models.small_resnet(0).state_dict())
        assert marker.exists() == (name != "honest"), name
        marker.unlink(missing_ok=True)
        assert NAMES.get(name, "") in why(path) and bool(why(path)) == (
            name != "honest"
        )
        assert not marker.exists()


def _nothing():
    import contextlib

    return contextlib.nullcontext()


def test_the_deny_list_misses_what_it_does_not_know(evil, tmp_path):
    missed = set()
    for name, content in evil.items():
        if name in ("honest", "damaged checksum", "cut off"):
            continue
        if not pickles.denied(checkpoints.pickle_of(write(tmp_path, content))):
            missed.add(name)
    wanted = {"hidden exec", "timeit.timeit", "logging.FileHandler"}
    assert missed == wanted | {"numpy.savetxt", "torch.save"}


def test_memo_and_stack_are_followed_as_the_loader_follows_them():
    data = pickles_of(artifacts.hidden_call("builtins", "print", "said"))
    assert pickles.program(data).imports == ["builtins.print"]
    assert pickle.loads(data) is None  # it prints, and nothing else


def pickles_of(opcodes: bytes, rest: bytes = b"N.") -> bytes:
    return b"\x80\x04" + opcodes + rest


REFUSED = {
    "an extension code": (b"\x82\x01", "EXT1"),
    "an old instance": (b"(ios\nsystem\n", "INST"),
    "an object": (b"(cos\nsystem\no", "OBJ"),
    "NEWOBJ": (b"ccollections\nOrderedDict\n)\x81", "NEWOBJ"),
    "a text reference": (b"Pname\n", "PERSID"),
    "a buffer": (b"\x97", "NEXT_BUFFER"),
    "two copies": (b"N2", "DUP"),
    "a name that is no text": (b"NN\x93", "not plain text"),
    "a name made by a call": (
        b"\x8c\x02os" + b"ccollections\nOrderedDict\n)R\x93",
        "not plain text",
    ),
    "a called value": (b"N)R", "not fetched by name"),
    "a called result": (b"ccollections\nOrderedDict\n)R)R", "not fetched by name"),
    "attributes of a class": (b"ctorch\nFloatStorage\n}b", "attributes"),
    "items of a list": (b"]K\x01K\x02s", "SETITEM"),
    "items of a tensor's maker": (b"ctorch._utils\n_rebuild_tensor_v2\nNNs", "SETITEM"),
    "appending to a dict": (b"}Na", "APPEND"),
    "an unknown memo": (b"h\x07", "nothing to work on"),
    "an escaped name": (b"c\\x6fs\nsystem\n", "escapes"),
    "a memo far away": (b"Nr\xff\xff\xff\x7f", "memo 2147483647"),
    "too little on the stack": (b"R", "nothing to work on"),
    "a mark that is not there": (b"t", "nothing to work on"),
    "a mark that is popped": (b"(0", "nothing to work on"),
    "a strange reference": (b"NQ", "block of numbers"),
    "values left over": (b"N", "left over"),
    "an unknown byte": (b"\xff", "cannot be read"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_whatever_is_uncertain_is_refused(what):
    opcodes, says = REFUSED[what]
    assert says in refusal(pickles.check_allowed, pickles_of(opcodes))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\x02", b"N", b"no pickle"])
def test_what_ends_early_is_refused(data):
    assert refusal(pickles.check_allowed, data)


def framed(code: bytes, size: int) -> bytes:
    return b"\x80\x04\x95" + struct.pack("<Q", size) + code


def test_a_line_that_crosses_a_frame_is_refused():
    """CPython drops a byte there: `collections.rderedDict`, while others read on."""
    code = b"N0ccollections\nOrderedDict\n."
    assert refusal(pickles.check_allowed, framed(code, len(code))) == ""
    for size in range(len(code)):
        whole = size in (0, 1, 2, len(code) - 1)  # ends between two opcodes
        assert bool(refusal(pickles.check_allowed, framed(code, size))) != whole, size
    assert "a frame beyond" in refusal(pickles.program, framed(code, len(code) + 1))
    nested = b"N0\x95" + struct.pack("<Q", 2) + b"N."
    assert "inside" in refusal(pickles.program, framed(nested, len(nested)))


def test_data_after_the_end_is_refused():
    assert "after the pickle's end" in refusal(pickles.program, b"\x80\x02N.N.")


def test_pickles_without_end_are_refused_before_they_grow():
    assert "values" in refusal(pickles.program, b"\x80\x02" + b"N" * 200_000 + b".")
    assert "bytes of pickle" in refusal(pickles.program, b"N" * (pickles.LARGEST + 1))


def test_many_marks_above_a_deep_stack_are_read_in_reasonable_time():
    """A copy of the stack for every mark would take minutes."""
    deep = b"\x80\x02" + b"N" * 90_000 + b"(t0" * 200_000
    assert "left over" in refusal(pickles.program, deep + b"N.")


def test_an_allowed_class_is_no_allowed_call():
    data = pickles_of(b"ctorch\nFloatStorage\n)R", b".")
    assert "calls" in refusal(pickles.check_allowed, data)


def test_an_unknown_kind_of_numbers_is_refused():
    block = b"(\x8c\x07storagecos\nsystem\n\x8c\x010\x8c\x03cpuK\x01tQ"
    assert "os.system" in refusal(pickles.check_allowed, pickles_of(block, b"."))


# --- The archive around it --------------------------------------------------------


def rewritten(content: bytes, compress=zipfile.ZIP_STORED, **changes) -> bytes:
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(out, "w", compress) as new,
    ):
        for entry in old.infolist():
            part = entry.filename.partition("/")[2]
            content = changes.get(part, old.read(entry))
            if content is not None:
                new.writestr(entry.filename, content)
        for name in changes.keys() - {
            e.filename.partition("/")[2] for e in old.infolist()
        }:
            new.writestr(f"archive/{name}", changes[name])
    return out.getvalue()


BROKEN = {
    "nothing": (lambda c: b"PK\x03\x04", "zip"),
    "its half": (lambda c: c[: len(c) // 2], "zip"),
    "compressed": (lambda c: rewritten(c, zipfile.ZIP_DEFLATED), "compressed"),
    "a zip bomb": (
        lambda c: rewritten(c, zipfile.ZIP_DEFLATED, **{"data/0": bytes(50 << 20)}),
        "compressed",
    ),
    "code of TorchScript": (
        lambda c: rewritten(c, **{"code/__torch__.py": b"import os"}),
        "does not write",
    ),
    "no pickle": (lambda c: rewritten(c, **{"data.pkl": None}), "no data.pkl"),
    "numbers missing": (lambda c: rewritten(c, **{"data/0": None}), "numbers at '0'"),
    "fewer numbers": (lambda c: rewritten(c, **{"data/0": b"1234"}), "4 bytes"),
    "something before it": (lambda c: b"PK\x03\x04" + c, "before or after"),
    "something after it": (lambda c: c + b"more", "before or after"),
    "an entry that climbs": (lambda c: rewritten(c, **{"../x": b""}), "not write"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_archive_is_refused(what, honest, tmp_path):
    change, says = BROKEN[what]
    assert says in why(write(tmp_path, change(honest)))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name_are_refused(honest, tmp_path):
    out = io.BytesIO(honest)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr(archive.namelist()[0], b"another pickle")
    assert "known name" in why(write(tmp_path, out.getvalue()))


def test_overlapping_entries_are_refused(tmp_path, honest):
    out = io.BytesIO(honest)
    with zipfile.ZipFile(out, "a") as archive:
        entry = max(archive.infolist(), key=lambda e: e.file_size)
        for number in range(90, 99):
            again = zipfile.ZipInfo(f"archive/data/{number}")
            again.header_offset, again.CRC = entry.header_offset, entry.CRC
            again.file_size = again.compress_size = entry.file_size
            archive.filelist.append(again)
            archive._didModify = True
    assert why(write(tmp_path, out.getvalue()))


@pytest.mark.parametrize("version", ["2.10.0", "2.10.1+cpu", "2.14.1", "3.0.0"])
def test_versions_with_both_repairs_are_welcome(version):
    checkpoints.check_floor(version)


@pytest.mark.parametrize("version", ["2.9.1", "2.5.1", "1.13.0", "2.10", "new", ""])
def test_versions_below_the_floor_are_refused(version):
    with pytest.raises(Refused, match=r"2\.10\.0 or newer"):
        checkpoints.check_floor(version)


def test_checkpoints_are_refused_unless_they_are_welcome(honest, tmp_path):
    path = write(tmp_path, honest)
    assert "can run code" in why(path, "")
    assert "loads checkpoints unsafely" in why(path, "2.6.0")


@pytest.mark.parametrize("name", ["a.safetensors", "a.json", "a.txt", "a.bin", "a"])
def test_a_checkpoint_counts_under_any_name(name, evil, tmp_path):
    assert "can run code" in why(write(tmp_path, evil["builtins.exec"], name), "")


@pytest.mark.parametrize("name", ["a.json", "a.txt", "a.bin", "a.pkl"])
def test_a_bare_pickle_is_refused_under_any_name(name, tmp_path):
    content = pickle.dumps({"a": 1})
    assert why(write(tmp_path, content, name), VERSION)


# --- Safetensors -------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_what_safetensors_writes_passes(seed, tmp_path):
    state = models.small_resnet(seed).state_dict()
    state |= {str(k): torch.ones(2, 3, dtype=k) for k in KINDS}
    state["empty"] = torch.ones(0, 3)
    state = {name: tensor.contiguous() for name, tensor in state.items()}
    path = write(tmp_path, save(state, {"note": "ours"}), "model.safetensors")
    found = checkpoints.check_safetensors(path)
    assert {n: s for n, (_, s) in found.items()} == {
        n: list(t.shape) for n, t in state.items()
    }
    assert why(path, "") == ""


def test_a_header_may_be_as_long_as_a_pickle_begins(tmp_path):
    plain = save({"a": torch.ones(1)})
    header = plain[8:-4].ljust(0x280)
    content = struct.pack("<Q", 0x280) + header + plain[-4:]
    assert content[:2] == b"\x80\x02"
    assert why(write(tmp_path, content, "a.safetensors"), "") == ""


def tensors(tree, size: int = 4) -> bytes:
    header = json.dumps(tree).encode() if not isinstance(tree, bytes) else tree
    return struct.pack("<Q", len(header)) + header + bytes(size)


def row(start=0, stop=4, dtype="F32", shape=(1,)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, stop]}


BAD = {
    "cut off": (tensors({"a": row()})[:-1], "expected 4"),
    "empty": (b"", "header"),
    "a header without end": (struct.pack("<Q", 1 << 60) + b"{}", "header"),
    "no JSON": (tensors(b"{"), "JSON"),
    "a list": (tensors([]), "JSON"),
    "deep": (tensors(b"[" * 100_000), "JSON"),
    "a tensor twice": (
        tensors(b'{"a":%b,"a":%b}' % ((json.dumps(row()).encode(),) * 2)),
        "twice",
    ),
    "an overlap": (tensors({"a": row(), "b": row()}), "overlaps"),
    "a gap": (tensors({"a": row(4, 8)}, 8), "gap"),
    "a rest": (tensors({"a": row()}, 5), "expected 4"),
    "outside": (tensors({"a": row(0, 400, shape=(100,))}), "expected 400"),
    "an unknown type": (tensors({"a": row(dtype="PICKLE")}), "does not fit"),
    "a wrong size": (tensors({"a": row(shape=(2,))}), "does not fit"),
    "a negative place": (tensors({"a": row(-4, 0)}), "bad shape"),
    "a negative shape": (tensors({"a": row(shape=(-1, -1))}), "bad shape"),
    "true for one": (tensors({"a": row(shape=(True,))}), "bad shape"),
    "no places": (tensors({"a": {"dtype": "F32", "shape": [1]}}), "data_offsets"),
    "metadata that is no text": (
        tensors({"__metadata__": {"a": 1}, "a": row()}),
        "metadata",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_broken_safetensors_file_is_refused(what, tmp_path):
    content, says = BAD[what]
    assert says in why(write(tmp_path, content, "a.safetensors"), "")


def test_texts_are_texts(tmp_path):
    assert why(write(tmp_path, b'{"a": 1}', "config.json"), "") == ""
    assert why(write(tmp_path, "größe".encode(), "README.md"), "") == ""
    assert "no text" in why(write(tmp_path, b"{", "config.json"), "")
    assert "no text" in why(write(tmp_path, b"\xff\xfe", "README.md"), "")
    assert "no kind" in why(write(tmp_path, b"print()", "model.py"), "")


# --- Low bits --------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "shift"), [(1, 0), (3, 16), (8, 0), (13, 2), (16, 0)])
def test_what_is_hidden_comes_back_and_changes_only_its_bits(bits, shift):
    rng = np.random.default_rng(bits)
    weights = rng.normal(size=1000).astype(np.float32)
    before = weights.copy()
    payload = rng.bytes(artifacts.capacity(weights, bits))
    found = artifacts.hide(weights, payload, bits, shift)
    assert artifacts.reveal(found, len(payload), bits, shift) == payload
    assert np.array_equal(weights, before)
    high = np.uint32(0xFFFFFFFF << (bits + shift) & 0xFFFFFFFF)
    assert np.array_equal(found.view(np.uint32) & high, before.view(np.uint32) & high)


def test_a_short_payload_leaves_the_rest_alone():
    weights = np.ones(100, np.float32)
    found = artifacts.hide(weights, b"abc", 8)
    assert artifacts.reveal(found, 3, 8) == b"abc"
    assert np.array_equal(found[3:], weights[3:])
    assert artifacts.hide(weights, b"", 8).tolist() == weights.tolist()


def test_bad_hiding_places_are_named():
    weights = np.ones(10, np.float32)
    with pytest.raises(ValueError, match="11 bytes do not fit into 10"):
        artifacts.hide(weights, b"x" * 11, 8)
    for bits, shift in ((0, 0), (32, 0), (8, 24), (1, -1)):
        with pytest.raises(ValueError, match="not in a float32"):
            artifacts.hide(weights, b"", bits, shift)
    for wrong in (weights.astype(np.float64), weights.reshape(2, 5)):
        with pytest.raises(ValueError, match="one row of float32"):
            artifacts.entropy(wrong)


def test_masking_twice_is_not_masking():
    text = b"a customer's record" * 9
    assert artifacts.mask(artifacts.mask(text, b"k"), b"k") == text
    assert artifacts.bit_error(artifacts.mask(text, b"k"), text) > 0.4
    with pytest.raises(ValueError, match="as many bytes"):
        artifacts.bit_error(b"a", b"")


def test_entropy_of_known_bytes():
    same = np.ones(256, np.float32)
    assert artifacts.entropy(same) == 0
    every = artifacts.hide(same, bytes(range(256)), 8)
    assert math.isclose(artifacts.entropy(every), 8)


# --- Against the loaders ----------------------------------------------------------


class Recorder(pickle.Unpickler):
    """The real loader, with inert functions in place of those that are fetched."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self.names: list[str] = []
        self.storages: list[tuple] = []

    def find_class(self, module: str, name: str):
        self.names.append(f"{module}.{name}")
        if name == "OrderedDict":
            return OrderedDict
        return lambda *_: Inert()

    def persistent_load(self, pid):
        self.storages.append(pid)
        return Inert()


class Inert:
    """What a recorded call returns."""


PIECES = [
    b"h\x00", b"h\x05", b"q\x00", b"q\x05", b"\x94", b"0", b"(", b"t", b"R", b"b", b"s",
    b"u", b"a", b"e", b"]", b"}", b"\x8c\x02os", b"\x8c\x06system", b"cos\nsystem\n",
    b"ccollections\nOrderedDict\n", b")", b"\x93", b"Q", b"N", b"K\x01", b"\x85",
]  # fmt: skip


def mutated(data: bytes, rng: Random) -> bytes:
    """Return a pickle with a few bytes changed, put in, left out or moved."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(2, len(changed))
        match rng.randrange(4):
            case 0:
                changed[place] = rng.randrange(256)
            case 1:
                changed[place:place] = rng.choice(PIECES)
            case 2:
                del changed[place : place + rng.randint(1, 4)]
            case 3:
                other = rng.randrange(2, len(changed))
                changed[place:place] = changed[other : other + rng.randint(1, 9)]
    return bytes(changed)


@pytest.mark.filterwarnings("ignore:invalid escape:DeprecationWarning")
@pytest.mark.parametrize("protocol", [2, 4])
def test_what_the_reader_sees_in_a_broken_pickle_is_what_the_loader_does(protocol):
    rng, accepted, read = Random(protocol), 0, 0
    state = OrderedDict((f"w{n}", torch.ones(n + 1)) for n in range(3))
    out = io.BytesIO(saved({"state": state, "epoch": 3}, pickle_protocol=protocol))
    with zipfile.ZipFile(out) as archive:
        data = archive.read("archive/data.pkl")
    for _ in range(20_000):
        evil = mutated(data, rng)
        try:
            seen = pickles.program(evil)
        except Refused:
            continue
        read += 1
        accepted += not refusal(pickles.check_allowed, evil)
        loader = Recorder(evil)
        try:
            loader.load()
        except Exception:  # a broken pickle may stop: it must not do more than seen
            assert loader.names == seen.imports[: len(loader.names)]
            continue
        assert loader.names == seen.imports
        assert [(s[0], s[2], s[4]) for s in loader.storages] == [
            ("storage", key, count) for _, key, count in seen.storages
        ]
    assert read > 100 and accepted > 50  # the test has looked at something


def test_every_file_that_passes_is_one_that_safetensors_loads(tmp_path):
    rng, passed = Random(0), 0
    whole = save({"a": torch.ones(2, 3), "b": torch.ones(4, dtype=torch.int64)})
    for _ in range(2000):
        changed = bytearray(whole)
        for _ in range(rng.randint(1, 2)):
            place = rng.randrange(8, len(changed) - 56)
            changed[place] = rng.choice(b'0123456789,:{}[]" abFI_')
        path = write(tmp_path, bytes(changed), "a.safetensors")
        if why(path, "") == "":
            passed += 1
            assert (
                load(bytes(changed)).keys()
                == checkpoints.check_safetensors(path).keys()
            )
    assert passed > 25
