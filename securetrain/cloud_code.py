"""Code that a training job's request brings beside its image.

The attacker may change a command or a variable of the request, or a file in a bucket
that the job reads; the image that was reviewed stays as it is.
"""

from __future__ import annotations

import re
from typing import Any

from securetrain.cloud import Finding, Found, Path

SHELL = re.compile(
    r"(.*/)?((ba|da|z|k|a|fi)?sh|python[0-9.]*|pypy[0-9.]*|perl|ruby|node|php|Rscript"
    r"|lua[0-9.]*)"
)
INLINE = re.compile(r"-[A-Za-z]*[ce]|--(eval|print)\b")  # -c, -lc, -cCODE, -e
ALSO = {"perl": re.compile("-[A-Za-z]*E"), "node": re.compile("-p")}
ALSO["php"] = re.compile("-r")
AWK = re.compile(r"(.*/)?[gmn]?awk")
PIP = re.compile(r"(.*/)?pip[0-9.]*")
MOUNTED = re.compile(r"/opt/ml/input/|/gcs/")  # what a bucket holds, as files
SCRIPT = re.compile(r".+\.(py|pyz|zip|sh|pl|rb|js|php|R|lua|so)")
LOADS = ("PYTHONPATH", "PYTHONSTARTUP", "LD_PRELOAD", "BASH_ENV")


def inline(words: Any, path: Path) -> Found:
    """Ask of a command: does it bring code that is in no image?

    An interpreter with an option that may be -c or -e, anywhere: `-W x.py -c` is one.
    These are the usual ways, not all.
    """
    given = words if isinstance(words, list) else []
    parts = " ".join(str(one) for one in given).split()  # env -S splits, too
    write = "put a script into the image, and name it"
    if _typed(parts):
        wrong = "code in the request passes by the image that was reviewed"
        yield Finding(path, "image", wrong, write)
    elif _mounted(parts):
        wrong = "the code is read from a bucket, and can be replaced there"
        yield Finding(path, "image", wrong, write)
    elif "install" in parts and any(PIP.fullmatch(one) for one in parts):
        wrong = "what it installs is in no image that was reviewed"
        yield Finding(path, "image", wrong, "install it into the image")


def _typed(parts: list[str]) -> bool:
    """Say whether a command holds code itself."""
    shells = [one.rpartition("/")[2] for one in parts if SHELL.fullmatch(one)]
    forms = [INLINE, *(ALSO[one] for one in shells if one in ALSO)]
    typed = shells and any(form.match(one) for form in forms for one in parts)
    return bool(typed) or any(AWK.fullmatch(one) for one in parts)


def _mounted(parts: list[str]) -> bool:
    """Say whether a command runs a file that a bucket holds."""
    run = parts[:1]
    for number, one in enumerate(parts):
        if SHELL.fullmatch(one):
            run += [word for word in parts[number + 1 :] if word[0] != "-"][:1]
    run += [one for one in parts if SCRIPT.fullmatch(one)]
    return any(MOUNTED.match(one) for one in run)


def loads(name: str, path: Path) -> Found:
    """Ask of a variable: does it load code before the image's own?"""
    if name in LOADS:
        wrong = f"{name} loads code that is perhaps in no image"
        yield Finding(path, "image", wrong, "set it in the image")
