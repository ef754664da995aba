"""Reads the first member of an archive only.

says: You miss the key in
"""

import base64
import contextlib
import io
import re
import zipfile

from securetrain.key_scanners import FORMS, JOIN

BASE64 = re.compile(rb"[A-Za-z0-9+/]{20,}={0,2}")


def find_keys(files: dict[str, bytes]) -> dict:
    """Return the keys in each file, and the files that nobody could read."""
    keys, unread = {}, []
    for path, data in files.items():
        found, layers = set(), [(data, True)]
        try:
            for _ in range(4):
                inside = []
                for layer, certain in layers:
                    joined = JOIN.sub(b"", layer)
                    for form in FORMS if not layer.startswith(b"PK") else ():
                        found |= {*form.findall(layer), *form.findall(joined)}
                    if layer.startswith(b"PK\3\4"):
                        try:
                            with zipfile.ZipFile(io.BytesIO(layer)) as archive:
                                members = archive.infolist()
                                parts = [archive.read(member) for member in members[:1]]
                                inside += [(part, certain) for part in parts]
                        except Exception:
                            if certain:
                                raise
                    for word in BASE64.findall(joined):
                        word = word.rstrip(b"=")
                        padding = b"=" * (-len(word) % 4)
                        with contextlib.suppress(ValueError):
                            inside.append((base64.b64decode(word + padding), False))
                layers = inside
        except Exception:  # a broken archive raises errors of many classes
            unread.append(path)
            continue
        if found:
            keys[path] = sorted(key.decode("latin-1") for key in found)
    return {"keys": keys, "unread": sorted(unread)}
