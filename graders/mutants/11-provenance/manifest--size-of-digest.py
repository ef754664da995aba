"""Writes the length of the digest as the size.

says: The size of a file
"""

import hashlib

from securetrain.manifests import FORMAT, HASH, canonical


def write_manifest(files, name, version, source):
    if type(version) is not int or version < 1:
        raise ValueError("version")
    rows = [
        {
            "path": path,
            "size": len(hashlib.sha256(files[path]).digest()),
            "digest": hashlib.sha256(files[path]).hexdigest(),
        }
        for path in sorted(files)
    ]
    facts = {"name": name, "version": version, "source": source}
    return canonical({"format": FORMAT, "hash": HASH, **facts, "files": rows})
