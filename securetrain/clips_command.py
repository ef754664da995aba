"""Make the clips: `securetrain clips` films those whose source has changed."""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from types import ModuleType

import numpy as np

from securetrain import clips, film

# Still pictures with little motion: the quick way is as good and as small.
QUALITY = {"crf": "34", "b:v": "0", "deadline": "realtime", "cpu-used": "5"}
QUALITY |= {"g": "300", "threads": "1"}
FLASHES = 3  # a second, as WCAG 2.3.1 allows


def load(path: Path) -> ModuleType:
    """Return a clip's source as a module."""
    name = "securetrain_clip_" + path.stem.replace("-", "_")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def encode(path: Path, pictures: Iterable[np.ndarray]) -> int:
    """Write pictures, (720, 1280, 3) uint8, as VP9 in WebM; return how many."""
    try:
        import av
    except ImportError:
        raise ValueError("filming needs PyAV; install requirements-dev.lock") from None
    with av.open(str(path), "w", format="webm") as out:
        stream = out.add_stream("libvpx-vp9", rate=film.FPS, options=QUALITY)
        stream.width, stream.height = film.WIDTH, film.HEIGHT
        stream.pix_fmt = "yuv420p"
        about = stream.codec_context  # so that browsers show the colours as they are
        about.colorspace = about.color_primaries = about.color_trc = 1  # BT.709
        about.color_range = 1  # 16 to 235
        count = 0
        for pixels in pictures:
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
            out.mux(stream.encode(frame))
            count += 1
        out.mux(stream.encode())
    return count


def decode(path: Path) -> Iterator[np.ndarray]:
    """Yield the pictures of a film, (720, 1280, 3) uint8."""
    import av

    with av.open(str(path)) as film_file:
        for frame in film_file.decode(video=0):
            yield frame.reformat(format="rgb24", src_colorspace="ITU709").to_ndarray()


def flashes(pictures: Iterable[np.ndarray]) -> int:
    """Return the most jumps of brightness, over a tenth of the picture, in one second.

    pictures: (720, 1280, 3) uint8, `film.FPS` a second; a jump is a tenth of the scale
    """
    jumps, before = [], None
    for pixels in pictures:
        light = pixels[::4, ::4].mean(2)
        moved = 0.0 if before is None else (np.abs(light - before) > 25.5).mean()
        jumps.append(moved > 0.1)
        before = light
    return max(sum(jumps[at : at + film.FPS]) for at in range(len(jumps)))


def poster(path: Path, pixels: np.ndarray) -> None:
    """Write a picture as a small PNG of 64 colours."""
    from PIL import Image

    image = Image.fromarray(pixels).quantize(64, dither=Image.Dither.NONE)
    image.save(path, optimize=True)


def transcript(clip: ModuleType, scenes: list[film.Scene]) -> str:
    """Return what a reader gets instead of the film."""
    says = "\n".join(one.says for one in scenes)
    return f"{clip.TITLE}\n\n{says}\n\nSeen: {clip.ALT}\n"


def still(name: str, clip: ModuleType, facts) -> list[str]:
    """Return what is wrong with the picture at the end of each scene."""
    scenes, stage, found = film.timed(clip.scenes(facts)), film.Stage(), []
    for number, scene in enumerate(scenes):
        film.picture(stage, clip, facts, film.progress(scenes, scene.end))
        found += [f"{name}, scene {number}: {fault}" for fault in stage.faults()]
    return found


def make(name: str, folder: Path = clips.FOLDER) -> clips.Clip:
    """Film one clip, with captions, transcript and poster; return what is listed.

    Raises ValueError where what it says does not hold, or a text is cut.
    """
    source = folder / f"{name}.py"
    clip, there = load(source), source.with_suffix
    facts = clip.facts()
    if not clip.holds(facts):
        raise ValueError(f"{name}: what the clip says does not hold any more")
    if faults := still(name, clip, facts):
        raise ValueError("\n".join(faults))
    scenes = film.timed(clip.scenes(facts))
    count = encode(there(".webm"), film.frames(clip, facts))
    pictures = decode(there(".webm"))
    if (most := flashes(pictures)) > FLASHES:
        raise ValueError(f"{name}: {most} flashes in a second, at most {FLASHES}")
    end = film.progress(scenes, scenes[-1].end)
    poster(there(".png"), film.picture(film.Stage(), clip, facts, end))
    there(".vtt").write_text(film.captions(scenes), "utf-8")
    there(".txt").write_text(transcript(clip, scenes), "utf-8")
    data = there(".webm").read_bytes()
    if len(data) > clips.LARGEST:
        raise ValueError(f"{name}: {len(data)} bytes, at most {clips.LARGEST}")
    hashes = clips.source_hash(source), sha256(data).hexdigest()
    seconds = round(count / film.FPS, 2)
    about = clip.UNIT, clip.TITLE, clip.ALT, seconds, len(data)
    return clips.Clip(*about, *hashes)


def sheet(name: str, into: Path, every: float = 2.0) -> list[Path]:
    """Save pictures of a clip, one every so many seconds, nine a page; grey, too."""
    from PIL import Image

    clip, stage, saved = load(clips.FOLDER / f"{name}.py"), film.Stage(), []
    facts = clip.facts()
    scenes = film.timed(clip.scenes(facts))
    times = [*np.arange(every, scenes[-1].end, every), scenes[-1].end]
    ways = (film.progress(scenes, time) for time in times)
    taken = [film.picture(stage, clip, facts, now) for now in ways]
    for page in range(0, len(taken), 9):
        whole = Image.new("RGB", (3 * 640, 3 * 360), "black")
        for number, pixels in enumerate(taken[page : page + 9]):
            small = Image.fromarray(pixels).resize((636, 358))
            whole.paste(small, (number % 3 * 640, number // 3 * 360))
        for kind, image in (("", whole), ("-grey", whole.convert("L"))):
            saved.append(into / f"{name}-{page // 9}{kind}.png")
            image.save(saved[-1])
    return saved


def main(argv: list[str]) -> int:
    """Film the clips whose source has changed, or say what is wrong with them."""
    parser = argparse.ArgumentParser(prog="securetrain clips", description=main.__doc__)
    parser.add_argument("names", nargs="*", help="film these in any case")
    parser.add_argument("--check", action="store_true", help="film nothing")
    parser.add_argument("--sheet", type=Path, help="only save pictures there, to look")
    options = parser.parse_args(argv)
    made = clips.sources()
    if strange := [name for name in options.names if name not in made]:
        raise ValueError(f"no clip {', '.join(strange)}; there are: {', '.join(made)}")
    if options.sheet:
        options.sheet.mkdir(parents=True, exist_ok=True)
        for name in options.names or made:
            print(*sheet(name, options.sheet), sep="\n")
        return 0
    if not options.check:
        _film(options.names, made)
    faults = clips.problems()
    print(*faults, sep="\n", end="\n" if faults else "", file=sys.stderr)
    return 1 if faults else 0


def _film(names: list[str], made: dict[str, Path]) -> None:
    """Film what was asked for, or what has changed, and keep the list."""
    listed = clips.known() if (clips.FOLDER / "manifest.json").is_file() else {}
    listed = {name: clip for name, clip in listed.items() if name in made}
    for name, source in made.items():
        old = listed.get(name)
        fresh = old and old.source == clips.source_hash(source)
        if fresh and not names and (clips.FOLDER / f"{name}.webm").is_file():
            continue
        if names and name not in names:
            continue
        began = time.process_time()
        listed[name] = clip = make(name)
        clips.write(listed)
        spent = time.process_time() - began
        print(f"{name}: {clip.seconds:.0f} s, {clip.bytes / 1e3:.0f} kB,", end=" ")
        print(f"made in {spent:.0f} CPU s")
