"""Lets the errors of tarfile through.

says: Refuse with ValueError
"""

import io
import tarfile

from securetrain.archives import fold


def read_archive(data):
    files, seen = {}, set()
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for member in archive:
            if member.isdir():
                continue
            path, parts = member.name, member.name.split("/")
            if not member.isreg() or "\\" in path or {"", ".", ".."} & set(parts):
                raise ValueError("bad member")
            if fold(path) in seen:
                raise ValueError("twice")
            seen.add(fold(path))
            files[path] = archive.extractfile(member).read()
    return files
