"""Package indexes on this machine, with real wheels in them: whose file does pip take?

The attacker can upload to an index that the victim's installer asks: a new name, a
higher version, another file under a known version. They want their code to run where
the package is installed, built or imported.

Every payload here does one thing: it writes a marker file that the caller names. The
server answers on 127.0.0.1 only, as PEP 503 and PEP 691 describe.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

JSON = "application/vnd.pypi.simple.v1+json"
BEGINNING = datetime(2025, 1, 1, tzinfo=UTC)
BACKEND = """
import base64
import os

{code}
NAME, WHEEL = {name!r}, {wheel!r}


def build_wheel(folder, config_settings=None, metadata_directory=None):
    with open(os.path.join(folder, NAME), "wb") as file:
        file.write(base64.b64decode(WHEEL))
    return NAME
"""


@dataclass(frozen=True)
class File:
    """A file of a release, as an index offers it."""

    name: str
    content: bytes = field(repr=False)
    uploaded: datetime = BEGINNING

    @property
    def sha256(self) -> str:
        return sha256(self.content).hexdigest()

    @property
    def project(self) -> str:
        """The package's name, as indexes compare it (PEP 503)."""
        stem = self.name.removesuffix(".tar.gz")
        parts = stem.rsplit("-", 1) if stem != self.name else stem.split("-", 1)
        return normal(parts[0])


def normal(name: str) -> str:
    """Return a name as every installer compares it: `Torch_Vision` is torch-vision."""
    return re.sub(r"[-_.]+", "-", name).lower()


# --- Packages ----------------------------------------------------------------------


def leave(marker: Path) -> str:
    """Return a line of Python that writes an empty file, and does nothing else."""
    return f"open({str(marker)!r}, 'a').close()"


def wheel(
    name: str,
    version: str,
    files: Mapping[str, str],
    *,
    needs: Sequence[str] = (),
    build: str = "",
    uploaded: datetime = BEGINNING,
) -> File:
    """Return a real wheel, the same bytes for the same arguments.

    files: path below site-packages -> text; needs: requirements of other packages;
    build: a build number such as "1", which wins over the same version without one
    """
    stem = f"{normal(name).replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    metadata += [f"Requires-Dist: {need}" for need in needs]
    every = dict(files) | {
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: securetrain\n"
        "Root-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{path},{_record(text)}" for path, text in every.items()]
    every[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, text in every.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    tag = f"{stem}-{build}" if build else stem
    return File(f"{tag}-py3-none-any.whl", out.getvalue(), uploaded)


def _record(text: str) -> str:
    """Return hash and size, as a wheel's list of its files has them."""
    digest = base64.urlsafe_b64encode(sha256(text.encode()).digest())
    return f"sha256={digest.decode().rstrip('=')},{len(text.encode())}"


def sdist(built: File, code: str) -> File:
    """Return a source release that runs `code` when it is built into a wheel.

    Its builder stands in the archive itself, as a setup.py does, and needs nothing
    else. Whoever wants to know what the release depends on must run it.
    """
    stem = "-".join(built.name.split("-")[:2])
    given = base64.b64encode(built.content).decode()
    name, version = stem.rsplit("-", 1)
    texts = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "steps"\n'
        'backend-path = ["."]\n',
        "steps.py": BACKEND.format(code=code, name=built.name, wheel=given),
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path, text in texts.items():
            entry = tarfile.TarInfo(f"{stem}/{path}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    packed = gzip.compress(out.getvalue(), mtime=0)
    return File(f"{stem}.tar.gz", packed, built.uploaded)


# --- The server --------------------------------------------------------------------


@dataclass
class Served:
    """Indexes that are being served; change `indexes` and the next answer changes.

    indexes: name -> its files; asked: the paths of all requests, in order
    """

    address: str
    indexes: dict[str, list[File]]
    asked: list[str] = field(default_factory=list)

    def url(self, index: str) -> str:
        """Return what `--index-url` takes. Raises ValueError for an unknown index."""
        if index not in self.indexes:
            raise ValueError(f"no index {index!r}, there are {sorted(self.indexes)}")
        return f"{self.address}/{index}/simple/"


@contextmanager
def serve(indexes: Mapping[str, Sequence[File]]) -> Iterator[Served]:
    """Serve indexes on a free port of 127.0.0.1 until the block ends.

    indexes: name -> files; a name is letters, digits, - or _
    """
    for name in indexes:
        if not re.fullmatch(r"[\w-]+", name):
            raise ValueError(f"expected letters, digits, - or _, got {name!r}")
    served = Served("", {name: list(files) for name, files in indexes.items()})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            found = _answer(served, self.path, self.headers.get("Accept", ""))
            kind, body = found or ("text/plain", b"no such page")
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            """Stay quiet: a learner reads what pip says."""

    with running(Handler) as address:
        served.address = address
        yield served


@contextmanager
def running(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Run a server on a free port of 127.0.0.1, and end it with the block."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.daemon = True
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _answer(served: Served, path: str, accept: str) -> tuple[str, bytes] | None:
    """Return kind and content of a page, None when there is none."""
    parts = path.partition("?")[0].strip("/").split("/")
    if len(parts) != 3 or parts[0] not in served.indexes:
        return None
    index, kind, name = parts
    files = served.indexes[index]
    if kind == "files":
        found = [file for file in files if file.name == name]
        return ("application/octet-stream", found[-1].content) if found else None
    offered = [file for file in files if file.project == normal(name)]
    if kind != "simple" or not offered:
        return None
    page = _json if JSON in accept else _html
    return page(served, index, normal(name), offered)


def _json(
    served: Served, index: str, project: str, files: list[File]
) -> tuple[str, bytes]:
    rows = [
        {
            "filename": file.name,
            "url": f"{served.address}/{index}/files/{file.name}",
            "hashes": {"sha256": file.sha256},
            "size": len(file.content),
            "upload-time": file.uploaded.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        for file in files
    ]
    versions = sorted({file.name.split("-")[1] for file in files})
    tree = {"meta": {"api-version": "1.1"}, "name": project, "versions": versions}
    return JSON, json.dumps(tree | {"files": rows}).encode()


def _html(
    served: Served, index: str, project: str, files: list[File]
) -> tuple[str, bytes]:
    links = [
        f'<a href="{served.address}/{index}/files/{file.name}#sha256={file.sha256}">'
        f"{escape(file.name)}</a><br>"
        for file in files
    ]
    page = f"<!DOCTYPE html><title>{escape(project)}</title>{''.join(links)}"
    return "text/html; charset=utf-8", page.encode()
