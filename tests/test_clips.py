"""Clips: whole, of their sources, readable without sound; shown and skipped cleanly."""

import json
import re
import shutil
import textwrap
from pathlib import Path

import av
import numpy as np
import pytest
from browser_lab import CHROMIUM, SECOND, Seen, browser, faults

from securetrain import catalogue, clips, clips_command, film, notebooks
from securetrain.cli import main

ROOT = Path(__file__).resolve().parents[1]
KNOWN = clips.known()
NAMES = sorted(KNOWN)
CUE = re.compile(r"(\d\d:\d\d:\d\d\.\d{3}) --> (\d\d:\d\d:\d\d\.\d{3})")
TINY = """
UNIT, TITLE, ALT = "01-clip/1-loud", "One box", "A box comes."
HOLDS, WIDE, SAYS = True, 300, "A box comes."


def facts():
    return {"wide": WIDE}


def holds(f):
    return HOLDS


def scenes(f):
    return [SAYS]


def draw(stage, f, at):
    stage.box(640, 400, f["wide"], 60, "a box", "attacked", at(0))
"""


def seconds(clock: str) -> float:
    hours, minutes, rest = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def cues(text: str) -> list[tuple[float, float, list[str]]]:
    """Return start, end and lines of each cue of a WebVTT file."""
    head, *blocks = text.rstrip("\n").split("\n\n")
    assert head == "WEBVTT"
    found = []
    for block in blocks:
        times, *lines = block.split("\n")
        match = CUE.fullmatch(times)
        assert match and lines, f"no cue: {block!r}"
        found.append((seconds(match[1]), seconds(match[2]), lines))
    return found


# The clips of the course


def test_every_clip_is_whole_and_of_its_source(capsys):
    assert main(["clips", "--check"]) == 0, capsys.readouterr().err
    assert len(NAMES) >= 8
    stages = {catalogue.unit(clip.unit).stage for clip in KNOWN.values()}
    assert stages >= set("012345")


@pytest.mark.parametrize("name", NAMES)
def test_a_film_is_small_silent_and_720p(name):
    clip = KNOWN[name]
    path = clips.FOLDER / f"{name}.webm"
    assert path.stat().st_size == clip.bytes <= clips.LARGEST
    with av.open(str(path)) as opened:
        (stream,) = opened.streams
        assert (stream.type, stream.codec_context.name) == ("video", "vp9")
        assert (stream.width, stream.height) == (film.WIDTH, film.HEIGHT)
        assert 15 <= stream.average_rate <= 25
        assert stream.codec_context.colorspace == 1, "colours are not BT.709"
        first = next(opened.decode(video=0))
        assert first.width == film.WIDTH
        opened.seek(0)
        count = sum(packet.size > 0 for packet in opened.demux(video=0))
    assert abs(count / stream.average_rate - clip.seconds) < 0.1
    assert 30 <= clip.seconds <= 60


@pytest.mark.parametrize("name", NAMES)
def test_captions_can_be_read_in_time(name):
    found = cues((clips.FOLDER / f"{name}.vtt").read_text("utf-8"))
    assert found[0][0] == 0 and found[-1][1] <= KNOWN[name].seconds
    for before, after in zip(found, found[1:], strict=False):
        assert before[1] < after[0] <= before[1] + 0.1, "they overlap, or leave a gap"
    for start, end, lines in found:
        assert len(lines) <= film.LINES and max(map(len, lines)) <= film.LINE
        assert sum(map(len, lines)) / (end - start) <= film.SPEED, lines
    says = (clips.FOLDER / f"{name}.txt").read_text("utf-8")
    assert says.startswith(KNOWN[name].title + "\n") and KNOWN[name].alt in says
    for _, _, lines in found:
        assert " ".join(lines) in says


@pytest.mark.parametrize("name", NAMES)
def test_what_a_clip_says_is_computed_and_its_source_still_draws(name):
    from PIL import Image

    clip = clips_command.load(clips.FOLDER / f"{name}.py")
    facts = clip.facts()
    assert clip.holds(facts), "what the clip says does not hold any more"
    assert clips_command.still(name, clip, facts) == []
    scenes = film.timed(clip.scenes(facts))
    told = film.captions(scenes), clips_command.transcript(clip, scenes)
    kept = [
        (clips.FOLDER / f"{name}{end}").read_text("utf-8") for end in (".vtt", ".txt")
    ]
    assert list(told) == kept, "it would say something else now: make clips"
    assert (
        KNOWN[name].unit,
        KNOWN[name].title,
        KNOWN[name].alt,
    ) == (clip.UNIT, clip.TITLE, clip.ALT)
    last = film.picture(film.Stage(), clip, facts, [1.0] * len(scenes))
    shown = Image.open(clips.FOLDER / f"{name}.png").convert("RGB")
    assert np.abs(last.astype(int) - np.asarray(shown)).mean() < 4


def test_every_lesson_shows_its_clip_and_no_other():
    shown: dict[str, str] = {}
    for path in notebooks.find(ROOT / "course"):
        unit = path.relative_to(ROOT / "course").with_suffix("").as_posix()
        for cell in notebooks.read(path)["cells"]:
            for name in re.findall(
                r'clips\.show\("([^"]*)"\)', "".join(cell["source"])
            ):
                assert name not in shown, f"{name} is shown twice"
                shown[name] = unit
    assert shown == {name: clip.unit for name, clip in KNOWN.items()}


# What a learner gets


@pytest.fixture
def displayed(monkeypatch):
    """Return a list that keeps what is displayed."""
    kept = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: kept.append(data))
    return kept


def test_a_clip_is_shown_with_captions_label_and_transcript(displayed):
    clips.show("merkle-proof")
    (data,) = displayed
    shown, plain = data["text/html"], data["text/plain"]
    for part in (
        "<video controls",
        "poster=",
        'kind="captions"',
        "default",
        "<details>",
    ):
        assert part in shown
    assert f'aria-label="{KNOWN["merkle-proof"].title}. ' in shown
    assert "plays no such film" in shown and "autoplay" not in shown
    assert not re.search(r"https?:|src=\"(?!data:)", shown), (
        "it asks for something else"
    )
    says = (clips.FOLDER / "merkle-proof.txt").read_text("utf-8")
    assert " ".join(says.split()) in plain and plain.startswith("[Clip, ")


@pytest.mark.parametrize("broken", ["no clip", "no film", "no list", "odd list"])
def test_a_missing_clip_is_named_and_the_lesson_goes_on(
    broken, displayed, tmp_path, monkeypatch, capsys
):
    for path in clips.FOLDER.glob("merkle-proof.*"):
        shutil.copy(path, tmp_path)
    shutil.copy(clips.FOLDER / "manifest.json", tmp_path)
    name = "merkle-prof" if broken == "no clip" else "merkle-proof"
    if broken == "no film":
        (tmp_path / "merkle-proof.webm").unlink()
    elif broken == "no list":
        (tmp_path / "manifest.json").unlink()
    elif broken == "odd list":
        (tmp_path / "manifest.json").write_text('{"merkle-proof": [1]}')
    monkeypatch.setattr(clips, "FOLDER", tmp_path)
    clips.show(name)
    said = capsys.readouterr().out
    assert not displayed and f"The clip '{name}' is not here." in said
    assert "goes on without it" in said and "make clips" in said


# Bad input: the build stops and names it


@pytest.fixture
def folder(tmp_path):
    """A folder of clips with one whole clip, and its list."""
    for path in clips.FOLDER.glob("merkle-proof.*"):
        shutil.copy(path, tmp_path)
    clips.write({"merkle-proof": KNOWN["merkle-proof"]}, tmp_path)
    return tmp_path


def test_a_whole_folder_has_no_problems(folder):
    assert clips.problems(folder) == []


@pytest.mark.parametrize("end", [".webm", ".vtt", ".txt", ".png", ".py"])
def test_a_missing_part_is_named(folder, end):
    (folder / f"merkle-proof{end}").unlink()
    (problem,) = clips.problems(folder)
    assert f"merkle-proof{end} is missing" in problem


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: (f / "merkle-proof.py").write_text("#\n"), "older than its source"),
        (lambda f: (f / "merkle-proof.webm").write_bytes(b"x"), "not the one that was"),
        (lambda f: (f / "other.py").write_text("#\n"), "other: never made"),
    ],
)
def test_what_does_not_fit_the_list_is_named(folder, change, says):
    change(folder)
    (problem,) = clips.problems(folder)
    assert says in problem


def test_a_list_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "manifest.json").write_text("[")
    with pytest.raises(ValueError, match=r"manifest\.json: expected the list of clips"):
        clips.problems(tmp_path)


def test_a_tiny_clip_is_filmed_whole(tmp_path):
    (tmp_path / "tiny.py").write_text(TINY)
    clip = clips_command.make("tiny", tmp_path)
    clips.write({"tiny": clip}, tmp_path)
    assert clips.problems(tmp_path) == []
    listed = json.loads((tmp_path / "manifest.json").read_text())["tiny"]
    pictures = list(clips_command.decode(tmp_path / "tiny.webm"))
    assert len(pictures) == round(listed["seconds"] * film.FPS) > 60
    assert pictures[0].shape == (720, 1280, 3)
    told = film.picture(film.Stage(), clips_command.load(tmp_path / "tiny.py"),
                        {"wide": 300}, [1.0])  # fmt: skip
    assert np.abs(pictures[-1].astype(int) - told).mean() < 2, "colours have moved"
    assert np.abs(pictures[0].astype(int) - told).mean() > 0.5, "nothing moves"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("HOLDS, WIDE, SAYS = True", "HOLDS, WIDE, SAYS = False", "does not hold"),
        ('"A box comes."\n\n', f'"{"long " * 18}"\n\n', "more than 2 lines"),
        ("640, 400", "640, 100", "'a box' leaves the picture or enters the band"),
        ("640, 400", "1270, 400", "'a box' leaves the picture"),
        ("640, 400", "130, 672", "'a box' lies over 'One box'"),
        ('"attacked", at(0)', '"attacked", at(0), 20', "'a box' is smaller than 24"),
    ],
)
def test_a_clip_that_misleads_or_cannot_be_read_is_not_filmed(tmp_path, old, new, says):
    assert old in TINY
    (tmp_path / "tiny.py").write_text(TINY.replace(old, new))
    with pytest.raises(ValueError, match=re.escape(says)):
        clips_command.make("tiny", tmp_path)
    assert not (tmp_path / "tiny.webm").exists()


def test_flashes_are_counted_and_a_fade_is_none():
    def grey(value):
        return np.full((720, 1280, 3), value, "uint8")

    fade = [grey(value) for value in range(0, 250, 10)]
    assert clips_command.flashes(fade) == 0
    assert clips_command.flashes([grey(0), grey(200)] * 20) == film.FPS
    small = grey(0)
    small[:100, :100] = 255
    assert clips_command.flashes([grey(0), small] * 20) == 0


def test_an_unknown_name_is_refused(capsys):
    assert main(["clips", "no-such-clip"]) == 2
    said = capsys.readouterr().err
    assert "no clip no-such-clip; there are: " in said and "merkle-proof" in said


# In a browser, offline


@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")
def test_a_browser_plays_a_clip_with_captions_and_asks_for_nothing_else(tmp_path):
    shown = clips.page("merkle-proof")
    page_text = f"<!doctype html><html lang=en><title>Clip</title><main>{shown}</main>"
    file, seen = tmp_path / "clip.html", Seen()
    file.write_text(page_text, "utf-8")
    with browser(tmp_path, seen) as page:
        page.goto(file.as_uri())
        video = page.locator("video")
        video.evaluate("v => { v.currentTime = 8; }")
        page.wait_for_function(
            "() => { const v = document.querySelector('video');"
            "return v.readyState >= 2 && v.textTracks[0].activeCues?.length }",
            timeout=30 * SECOND,
        )
        size = video.evaluate("v => [v.videoWidth, v.videoHeight, v.duration]")
        active = video.evaluate("v => v.textTracks[0].activeCues[0].text")
        count = video.evaluate("v => v.textTracks[0].cues.length")
        assert size[:2] == [film.WIDTH, film.HEIGHT]
        assert abs(size[2] - KNOWN["merkle-proof"].seconds) < 0.2
        found = cues((clips.FOLDER / "merkle-proof.vtt").read_text("utf-8"))
        assert count == len(found)
        assert active in ["\n".join(lines) for _, _, lines in found]
        assert not faults(page, video, "figure")
        assert not seen.errors
        asked = [
            r for r in seen.requests if not r.startswith(("data:", "file:", "blob:"))
        ]
        assert asked == []


def test_a_caption_takes_the_time_that_reading_takes():
    said = ["word " * 16, ("short", 6.0), "the last one"]
    scenes = film.timed([said[0].strip(), *said[1:]])
    assert [s.start for s in scenes[1:]] == [s.end for s in scenes[:-1]]
    for scene in scenes:
        assert len(scene.says) / (scene.end - scene.start) <= film.SPEED
        assert scene.end - scene.start >= scene.motion + 1
        assert film.progress(scenes, scene.end)[scenes.index(scene)] == 1
    lines = textwrap.wrap(scenes[0].says, film.LINE)
    assert "\n".join(lines) in film.captions(scenes)
