"""Does not think of backslashes.

says: a backslash in a path
"""

import io
import tarfile

from securetrain.archives import fold


def read_archive(data):
    files, seen = {}, set()
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                if member.isdir():
                    continue
                path, parts = member.name, member.name.split("/")
                if not member.isreg():
                    raise ValueError("no file")
                if {"", ".", ".."} & set(parts):
                    raise ValueError("leads elsewhere")
                if fold(path) in seen:
                    raise ValueError("twice")
                seen.add(fold(path))
                files[path] = archive.extractfile(member).read()
    except tarfile.TarError as error:
        raise ValueError("no archive") from error
    return files
