"""Short clips: an idea in motion, shown inside the lesson that it belongs to.

A clip is `clips/NAME.webm` with captions (`.vtt`), a transcript (`.txt`), and a poster
(`.png`), all made from `clips/NAME.py` by `securetrain clips`. The list of clips,
`clips/manifest.json`, keeps the hash of each source and of each film.
"""

from __future__ import annotations

import base64
import html
import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

FOLDER = Path(__file__).parent / "clips"
STYLE = Path(__file__).parent / "film.py"  # what all sources are drawn with
PARTS = {".webm": "film", ".vtt": "captions", ".txt": "transcript", ".png": "poster"}
LARGEST = 800_000  # bytes of a film
SHOWN = "width: 800px; max-width: 100%"


@dataclass(frozen=True)
class Clip:
    """What the list says of a clip.

    unit: the lesson that shows it; title: its idea; alt: what is seen, in a sentence
    seconds, bytes: of the film; source, film: SHA-256
    """

    unit: str
    title: str
    alt: str
    seconds: float
    bytes: int
    source: str
    film: str


def known(folder: Path = FOLDER) -> dict[str, Clip]:
    """Return the list of clips by name; ValueError where it cannot be read."""
    path = folder / "manifest.json"
    try:
        listed = json.loads(path.read_text("utf-8"))
        return {name: Clip(**about) for name, about in listed.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: expected the list of clips: {error}") from None


def write(listed: dict[str, Clip], folder: Path = FOLDER) -> None:
    """Write the list of clips."""
    tree = {name: asdict(clip) for name, clip in sorted(listed.items())}
    text = json.dumps(tree, indent=2, ensure_ascii=False) + "\n"
    (folder / "manifest.json").write_text(text, "utf-8")


def sources(folder: Path = FOLDER) -> dict[str, Path]:
    """Return the source of each clip by its name."""
    return {path.stem: path for path in sorted(folder.glob("*.py"))}


def source_hash(source: Path) -> str:
    """Return the hash of a source and of the style it is drawn with."""
    return sha256(STYLE.read_bytes() + b"\0" + source.read_bytes()).hexdigest()


def problems(folder: Path = FOLDER) -> list[str]:
    """Return which clips are missing, changed, too large or older than their source."""
    listed, made = known(folder), sources(folder)
    found = [f"{name}: never made; run: make clips" for name in made.keys() - listed]
    for name, clip in listed.items():
        if name not in made:
            found.append(f"{name}: its source {name}.py is missing")
        elif source_hash(made[name]) != clip.source:
            found.append(f"{name}: older than its source; run: make clips")
        found += [
            f"{name}: its {what} {name}{end} is missing; run: make clips"
            for end, what in PARTS.items()
            if not (folder / f"{name}{end}").is_file()
        ]
        film = folder / f"{name}.webm"
        if film.is_file() and sha256(film.read_bytes()).hexdigest() != clip.film:
            found.append(f"{name}: its film is not the one that was made")
        if clip.bytes > LARGEST:
            found.append(f"{name}: {clip.bytes} bytes, at most {LARGEST}")
    return sorted(found)


def page(name: str, folder: Path = FOLDER) -> str:
    """Return a clip as HTML that needs nothing else: no file, no network.

    Raises ValueError or OSError where a part of it is missing.
    """
    clip = known(folder)[name]
    data = {end: (folder / f"{name}{end}").read_bytes() for end in PARTS}
    kinds = {".webm": "video/webm", ".vtt": "text/vtt", ".png": "image/png"}
    inside = {
        end: f"data:{kind};base64,{base64.b64encode(data[end]).decode()}"
        for end, kind in kinds.items()
    }
    says = html.escape(data[".txt"].decode("utf-8").strip())
    label = html.escape(f"{clip.title}. {clip.alt}")
    return (
        f'<figure style="margin: 0; {SHOWN}">'
        f'<video controls playsinline preload="metadata" style="{SHOWN}; height: auto; '
        f'border: 1px solid #999" poster="{inside[".png"]}" aria-label="{label}">'
        f'<source src="{inside[".webm"]}" type=\'video/webm; codecs="vp9"\'>'
        '<track kind="captions" srclang="en" label="English" default '
        f'src="{inside[".vtt"]}">'
        "This browser plays no such film; the transcript below says the same."
        f"</video><details><summary>Transcript ({clip.seconds:.0f} seconds, no sound)"
        f'</summary><p style="white-space: pre-line">{says}</p></details></figure>'
    )


def show(name: str) -> None:
    """Display a clip with captions and transcript; say so, and go on, where it is not.

    name: as in `clips/NAME.webm`
    """
    try:
        clip, shown = known(FOLDER)[name], page(name, FOLDER)
    except (KeyError, OSError, ValueError):
        print(f"The clip '{name}' is not here. The lesson goes on without it.")
        print("To make it: make clips")
        return
    from IPython.display import display

    says = " ".join((FOLDER / f"{name}.txt").read_text("utf-8").split())
    plain = f"[Clip, {clip.seconds:.0f} seconds: {clip.title}] {says}"
    display({"text/html": shown, "text/plain": plain}, raw=True)


__all__ = ["Clip", "known", "page", "problems", "show", "sources"]
