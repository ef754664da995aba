"""Ends at the first broken archive.

says: One file that cannot be read ends your scan
"""

import base64
import io
import re
import zipfile

from securetrain.key_scanners import FORMS, JOIN

BASE64 = re.compile(rb"[A-Za-z0-9+/]{20,}={0,2}")


def find_keys(files: dict[str, bytes]) -> dict:
    """Return the keys in each file, and the files that nobody could read."""
    keys, unread = {}, []
    for path, data in files.items():
        found, layers = set(), [data]
        try:
            for _ in range(4):
                inside = []
                for layer in layers:
                    joined = JOIN.sub(b"", layer)
                    for form in FORMS:
                        found |= {*form.findall(layer), *form.findall(joined)}
                    if layer.startswith(b"PK"):
                        with zipfile.ZipFile(io.BytesIO(layer)) as archive:
                            names = archive.namelist()
                            inside += [archive.read(name) for name in names]
                    for word in BASE64.findall(joined):
                        word = word.rstrip(b"=")
                        whole = word[: len(word) - len(word) % 4]
                        inside.append(base64.b64decode(whole))
                layers = inside
        except zipfile.BadZipFile as error:
            raise ValueError(f"{path}: {error}") from error
        if found:
            keys[path] = sorted(key.decode() for key in found)
    return {"keys": keys, "unread": sorted(unread)}
