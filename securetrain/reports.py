"""Signed reports: what a long check found, about exactly these files.

A scan for poison takes minutes, a hook has two seconds. So the scan runs once and signs
what it found together with the hash of what it looked at; the hook compares. The
attacker sends other data with an old report, a report of another kind, or one that
says "failed", and hopes that only its presence is checked.

Whether the scan was any good, no signature says.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from securetrain import manifests, plain_json
from securetrain.archives import Refused
from securetrain.manifests import File, canonical

FORMAT = "securetrain-report-1"
CONTEXT = b"securetrain report v1\n"
KEYS = {"format", "kind", "about", "passed", "reasons", "numbers"}
KIND = re.compile("[a-z][a-z0-9-]{0,39}")
# What the course's topics report on; a team may add words of its own.
KINDS = ("labels", "poison-scan", "memorisation", "robustness")


@dataclass(frozen=True)
class Report:
    """What one check found.

    kind: which check it was, such as "poison-scan"; about: `fingerprint` of the files
    passed: whether they may be used; reasons: why not; numbers: what was measured
    """

    kind: str
    about: str
    passed: bool
    reasons: tuple[str, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)


def fingerprint(files: Mapping[str, File]) -> str:
    """Return one SHA-256 for a set of files: their paths, sizes and contents.

    files: as `manifests.describe` finds them, or as a manifest lists them
    """
    rows = [[path, files[path].size, files[path].digest] for path in sorted(files)]
    return sha256(canonical(rows)).hexdigest()


def write(report: Report, private_key: bytes) -> tuple[bytes, bytes]:
    """Return a report as text, and its signature, 64 bytes.

    Raises Refused for what `read` would not take.
    """
    tree = {"format": FORMAT, "kind": report.kind, "about": report.about}
    tree |= {"passed": report.passed, "reasons": list(report.reasons)}
    text = canonical(tree | {"numbers": dict(report.numbers)})
    _parse(text)
    return text, manifests.sign(text, private_key, CONTEXT)


def read(text: bytes, signature: bytes, public_key: bytes) -> Report:
    """Return a report whose signature holds. Raises Refused for any other."""
    manifests.check_signature(text, signature, public_key, CONTEXT)
    return _parse(text)


def _parse(text: bytes) -> Report:
    try:
        tree = plain_json.read(text)
    except ValueError as error:
        raise Refused("report", f"the report is {error}") from None
    if not isinstance(tree, dict) or tree.keys() != KEYS or tree["format"] != FORMAT:
        why = f"a report has exactly the keys {', '.join(sorted(KEYS))}, of {FORMAT}"
        raise Refused("report", why)
    if not isinstance(tree["kind"], str) or not KIND.fullmatch(tree["kind"]):
        why = f"kind {tree['kind']!r:.60}: expected a word such as {KINDS[1]!r}"
        raise Refused("report", why)
    manifests.check_digest(tree["about"])
    return Report(tree["kind"], tree["about"], *_result(tree))


def _result(tree: Mapping[str, Any]) -> tuple[bool, tuple[str, ...], dict[str, float]]:
    """Return what a check found: `passed`, and if given `reasons` and `numbers`."""
    passed = tree.get("passed")
    reasons, numbers = tree.get("reasons", []), tree.get("numbers", {})
    if not isinstance(passed, bool):
        raise Refused("report", f"passed {passed!r:.60}: expected true or false")
    if not isinstance(reasons, list) or not all(isinstance(r, str) for r in reasons):
        raise Refused("report", "reasons: expected a list of texts")
    if passed and reasons:
        raise Refused("report", "it says passed, and gives reasons against")
    if not isinstance(numbers, dict) or not all(
        type(value) in (int, float) for value in numbers.values()
    ):
        raise Refused("report", "numbers: expected a table of numbers")
    return passed, tuple(reasons), numbers


def of_result(kind: str, about: str, result: bytes) -> Report:
    """Return the report of a check that wrote its result as JSON.

    result: an object with `passed`, and if it has them `reasons` and `numbers`, as
    `label_gate.Report.to_json` writes it; other keys are left out
    Raises Refused when it does not say whether it passed.
    """
    try:
        tree = plain_json.read(result)
    except ValueError as error:
        raise Refused("report", f"the result is {error}") from None
    if not isinstance(tree, dict):
        raise Refused("report", "the result is no object with `passed`")
    return Report(kind, about, *_result(tree))


def check(
    needed: Collection[str],
    about: str,
    found: Mapping[str, tuple[bytes, bytes]],
    public_key: bytes,
) -> None:
    """Raise Refused unless each needed kind has a report about these files that passed.

    about: `fingerprint` of the files; found: kind -> text and signature
    """
    for kind in needed:
        text, signature = found.get(kind, (b"", b""))
        if not text or not signature:
            raise Refused("report", f"no signed report {kind!r} about these files")
        report = read(text, signature, public_key)
        if report.kind != kind:
            raise Refused("report", f"{kind}: it is a report {report.kind!r}")
        if report.about != about:
            why = f"{kind}: it is about other files ({report.about[:12]}…) than these"
            raise Refused("report", f"{why} ({about[:12]}…): scan them anew")
        if not report.passed:
            why = "; ".join(report.reasons) or "no reason is given"
            raise Refused("report", f"{kind}: did not pass: {why}")
