"""Returns the dict, not its bytes.

says: expected bytes
"""

import hashlib

from securetrain.manifests import FORMAT, HASH


def write_manifest(files, name, version, source):
    if type(version) is not int or version < 1:
        raise ValueError("version")
    rows = [
        {
            "path": path,
            "size": len(files[path]),
            "digest": hashlib.sha256(files[path]).hexdigest(),
        }
        for path in sorted(files)
    ]
    facts = {"name": name, "version": version, "source": source}
    return {"format": FORMAT, "hash": HASH, **facts, "files": rows}
