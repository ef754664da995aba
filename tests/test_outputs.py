"""What a page shows of a hand-in: text and small pictures, and not too much of it."""

import base64
import io
import struct
import zlib

import pytest
from corpus.classroom import prepare
from corpus.forging import add, code_cell

from graders import feedback, rebuild
from graders.checker import Marked
from graders.outputs import MAX_OUTPUT, allowed
from graders.text import clean, harmless_markdown
from graders.wire import Opaque
from securetrain import notebooks
from securetrain.notebook_rules import source


def shown(*data, left=MAX_OUTPUT):
    """Return what is kept of these representations, one dict for each."""
    outputs, _ = allowed({"shown": list(data)}, left)
    return [output["data"] for output in outputs]


def text(raw):
    return base64.b64encode(raw).decode()


def png(width, height):
    """Return a whole black PNG, of a bit for each pixel."""

    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width // 8 + 2) * height), 9)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", rows), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def jpeg(width=40, height=30, **how):
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "JPEG", **how)
    return file.getvalue()


def test_ordinary_pictures_are_shown():
    assert shown({"image/png": text(png(1200, 800))})[0]["image/png"]
    for how in ({}, {"progressive": True}, {"quality": 95, "exif": b"Exif\0\0" * 9}):
        kept = shown({"image/jpeg": text(jpeg(**how)), "text/plain": "a figure"})
        assert set(kept[0]) == {"image/jpeg", "text/plain"}


def test_a_small_file_of_billions_of_pixels_is_not_shown():
    bomb = png(40_000, 40_000)
    assert len(bomb) < 400_000
    assert shown({"image/png": text(bomb), "text/plain": "<Figure>"}) == []
    large = bytearray(jpeg())
    place = large.index(b"\xff\xc0") + 5
    large[place : place + 4] = struct.pack(">HH", 65_000, 65_000)
    assert shown({"image/jpeg": text(bytes(large))}) == []


def test_many_pictures_hold_no_more_pixels_than_one_may():
    kept = shown(*[{"image/png": text(png(4000, 4000))}] * 20)
    assert 1 <= len(kept) <= 6


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n" + b"<svg onload=alert(1)>" * 9,
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xc0\x00\x02",
        b"\xff\xd8\xff\xe0\x00\x01" * 99,
        b"\xff\xd8" + b"\xff\x01\x00\x04ab" + jpeg()[2:],
        b"\xff\xd8" + b"\xff\xd0" + jpeg()[2:],
        jpeg()[:20] + b"\x00" + jpeg()[20:],
        b"GIF89a" * 20,
    ],
)
def test_what_readers_of_pictures_may_take_in_two_ways_is_no_picture(raw):
    for kind in ("image/png", "image/jpeg"):
        assert shown({kind: text(raw)}) == []


def test_anything_may_stand_in_an_answer():
    odd = [None, 7, [], Opaque("str"), b"x", {"image/png": Opaque("str")}, {7: 7}]
    odd += [{"image/png": [1]}, {"text/plain": Opaque("x"), "image/jpeg": b"\xff\xd8"}]
    assert shown(*odd) == []
    for value in (*odd, odd, "x"):
        assert allowed({"text": value, "shown": value}, 100)[0] == (
            [{"output_type": "stream", "name": "stdout", "text": "x"}]
            if value == "x"
            else []
        )


def test_many_small_outputs_cost_more_than_their_text():
    outputs, left = allowed({"shown": [{"text/plain": "7"}] * 100_000}, MAX_OUTPUT)
    assert len(outputs) < 10_000 and left < 101


def test_what_is_left_is_for_all_cells():
    outputs, left = allowed({"text": "a" * 700}, 1000)
    assert left == 300
    outputs, left = allowed(
        {"text": "b" * 700, "error": ["E", "m", 10**4000, []]}, left
    )
    assert outputs[0]["text"].startswith("b" * 300 + "\n[cut") and left == 0
    assert outputs[1]["traceback"] == ["E: m"]
    assert allowed({"text": "c", "shown": [{"text/plain": "d"}]}, left)[0][0]["text"]


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("outputs"))


def built(room, notebook):
    master = notebooks.read(next((room.course / "solutions").glob("*/*.ipynb")))
    return feedback.build(rebuild.plan(master, room.lab, notebook), Marked())


def test_a_page_shows_a_bounded_part_of_very_long_cells(room):
    """What colours code takes the square of its length, as with many dots in a row."""
    notebook = room.answer(clip="..." * 100_000, prose="\\begin{a}" * 50_000)
    for number in range(20):
        add(notebook, "title", code_cell("." * 15_000 + str(number), f"more-{number}"))
    page = built(room, notebook)
    sizes = {cell["id"]: len(source(cell)) for cell in page["cells"]}
    assert max(sizes.values()) < 21_000 and sum(sizes.values()) < 150_000
    assert sizes["check-clip"] > 100, "the course's own cells are whole"
    assert "[cut: a page shows at most 20,000 characters of a cell]" in str(page)


def test_code_reads_as_it_runs(room):
    """Marks that turn the direction of text around may hide what runs."""
    page = built(room, room.answer(clip="x = 'a\u202e\u2066' # ; b\u2069\u2066'\n"))
    code = next(source(cell) for cell in page["cells"] if cell["id"] == "clip")
    assert code == "x = 'a' # ; b'\n"
    assert clean("größe → שלום \u200f漢字") == "größe → שלום \u200f漢字"


@pytest.mark.parametrize("part", ["\x01", "\x1b[0m", "\x7f", "\u202e", "\x1b[0\x01m"])
def test_a_tag_with_something_to_be_removed_in_it_is_no_tag(room, part):
    page = built(room, room.answer(prose=f"<{part}script>a [b]{part}(javascript:c)"))
    prose = next(source(cell) for cell in page["cells"] if cell["id"] == "limits")
    assert "<script" not in prose and "](" not in prose


@pytest.mark.parametrize("word", ["href{javascript:a}{b}", "style{a}{b}", "bbox[a]{b}"])
def test_a_formula_is_only_a_formula(word):
    assert harmless_markdown(f"$\\{word}$") == f"$\\\u200b{word}$"
    assert harmless_markdown(f"$&#92;{word}$") == f"$&amp;#92;{word}$"
    assert harmless_markdown("$\\frac{a}{b} \\hat x$") == "$\\frac{a}{b} \\hat x$"
