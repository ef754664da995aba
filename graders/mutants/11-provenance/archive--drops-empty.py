"""Drops files without content.

says: Honest files are missing
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
                if "\\" in path or {"", ".", ".."} & set(parts):
                    raise ValueError("leads elsewhere")
                if fold(path) in seen:
                    raise ValueError("twice")
                seen.add(fold(path))
                if member.size:
                    files[path] = archive.extractfile(member).read()
    except tarfile.TarError as error:
        raise ValueError("no archive") from error
    return files
