"""`securetrain serving`: start a prediction service only when its settings are closed.

    securetrain serving check service.yaml …
    securetrain serving run service.yaml --weights model.safetensors

`check` names file and line of each setting that is missing, unknown or open; `run`
checks first, and then serves the course's network for images of one channel. A file of
keys is JSON, the SHA-256 of each client's key -> the client's name. With `state:
name.db` the images of the last day are counted in a file, and a restart keeps them.

Exit status: 0 nothing found; 1 a setting is open, or a file cannot be read as settings;
2 wrong use, a port that is taken, or a state that cannot be written.
"""

from __future__ import annotations

import argparse
import re
import sys
from contextlib import closing
from pathlib import Path

from securetrain import plain_json, serving_settings, terminals

LARGEST = 1_000_000  # bytes of a file of keys


def check(options: argparse.Namespace) -> int:
    """Check every file; 1 when something in one is open."""
    if missing := [path for path in options.files if not path.is_file()]:
        raise ValueError(f"{missing[0]}: expected a file")
    wrong = 0
    for path in options.files:
        try:
            serving_settings.read(path)
        except ValueError as error:
            print(terminals.lines(str(error)), file=sys.stderr)
            wrong += 1
    files = f"{len(options.files)} file{'' if len(options.files) == 1 else 's'}"
    print(f"{files} checked, {wrong} with open settings")
    return int(wrong > 0)


def run(options: argparse.Namespace) -> int:
    """Serve a model until the process is ended; 1 when a setting is open."""
    try:
        given = serving_settings.read(options.settings)
    except ValueError as error:
        print(terminals.lines(str(error)), file=sys.stderr)
        return 1
    keys = read_keys(options.settings.parent / given.keys)
    if not options.weights.is_file():
        raise ValueError(f"{options.weights}: expected a file of weights")
    from securetrain import serving_app, serving_client, serving_quota  # torch: slow

    state = options.settings.parent / given.state if given.state else ":memory:"
    with (
        closing(serving_quota.Quota(state, given.images_a_day)) as day,
        serving_client.listen(given.host, given.port) as listener,
    ):
        model = serving_app.load(options.weights)
        app = serving_app.guarded(model, given, keys, day)
        port = listener.getsockname()[1]
        print(f"serving {options.weights} on {given.host}, port {port}", flush=True)
        serving_app.run(app, listener, given.connections)
    return 0


def read_keys(path: Path) -> dict[str, str]:
    """Return SHA-256 of a key -> name. Raises ValueError for anything else."""
    if not path.is_file() or path.stat().st_size > LARGEST:
        raise ValueError(f"{path}: expected a file of keys, up to {LARGEST} bytes")
    try:
        keys = plain_json.read(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if not isinstance(keys, dict) or not keys:
        raise ValueError(f"{path}: expected hashes of keys, and the clients' names")
    for number, (digest, name) in enumerate(keys.items(), 1):
        if not re.fullmatch("[0-9a-f]{64}", digest):
            raise ValueError(f"{path}: entry {number}: expected a SHA-256 in hex")
        if not isinstance(name, str) or not name:  # no name, no limit
            raise ValueError(f"{path}: entry {number}: expected the client's name")
    return keys


def main(argv: list[str]) -> int:
    """Run the command; 1 when a setting is open."""
    whole = argparse.ArgumentParser(
        prog="securetrain serving",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = whole.add_subparsers(required=True, metavar="check | run")
    one = parts.add_parser("check", help="refuse settings that are open")
    one.add_argument("files", type=Path, nargs="+", metavar="FILE")
    one.set_defaults(do=check)
    one = parts.add_parser("run", help="serve a model, if its settings are closed")
    one.add_argument("settings", type=Path, metavar="FILE")
    one.add_argument("--weights", type=Path, required=True, help="safetensors")
    one.set_defaults(do=run)
    options = whole.parse_args(argv)
    return options.do(options)
