"""The schemas of Kubernetes: which kinds there are, and which fields each of them has.

The attacker, or a tired colleague, misspells a field that guards something. A server
may drop what it does not know and take the default. Kinds that others brought to a
cluster have no schema here, and are errors, too.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Hashable, Iterator, Mapping
from importlib.metadata import version
from typing import Any

from securetrain import slow_imports

VERSION = "1.37"  # of Kubernetes, whose schemas are asked
VERSIONED = re.compile(r"([a-z0-9][a-z0-9.-]*/)?v[a-z0-9]+")
SHOWN = 200  # characters of a schema's complaint


class NoTool(ValueError):
    """Nothing was judged: a tool is not installed here."""


def tool() -> str:
    """Return the schemas' tool, its version, and the Kubernetes version asked.

    Raises NoTool when it is not installed.
    """
    _schemas()
    return f"kubernetes-validate {version('kubernetes-validate')} ({VERSION})"


def errors(data: Mapping[str, Any]) -> Iterator[tuple[tuple[Hashable, ...], str]]:
    """Yield the path of each value that Kubernetes would not take, and why.

    data: an object whose apiVersion and kind are texts
    Raises NoTool when kubernetes-validate is missing.
    """
    validator = _validator(data["apiVersion"], data["kind"])
    if validator is None:
        hint = ""
        if data["kind"] in ("Kustomization", "Component"):
            hint = "; render it first: kubectl kustomize"
        known = f"{data['apiVersion']} {data['kind']}"
        yield ("kind",), f"Kubernetes {VERSION} has no {known}{hint}"
        return
    for error in validator.iter_errors(data):
        path = tuple(error.absolute_path)
        what = ".".join(map(str, path)) or data["kind"]
        yield path, f"{what}: {error.message[:SHOWN]}"


@functools.cache
def _schemas() -> Any:
    """Return kubernetes-validate. Raises NoTool when it is not installed."""
    try:
        with slow_imports.without_iris():
            from kubernetes_validate import utils
    except ImportError:
        why = "kubernetes-validate is missing: pip install kubernetes-validate"
        raise NoTool(why) from None
    if f"{VERSION}.0" not in utils.all_versions():
        number = version("kubernetes-validate")
        why = f"kubernetes-validate {number} has no schemas of Kubernetes {VERSION}"
        raise NoTool(f"{why}: install the version of the course's lock")
    return utils


@functools.cache
def _definitions() -> Any:
    from referencing import Registry, Resource

    place = f"kubernetes-json-schema/v{VERSION}.0-local-strict/_definitions.json"
    return Resource.from_contents(_schemas().schema_contents(place, VERSION)), Registry


@functools.cache
def _validator(api_version: str, kind: str) -> Any:
    """Return the validator of a kind, None where Kubernetes has no such kind."""
    utils = _schemas()
    if not (VERSIONED.fullmatch(api_version) and kind.isascii() and kind.isalnum()):
        return None  # they become the name of a file
    group, slash, number = api_version.partition("/")
    name = f"{group.split('.')[0]}-{number}" if slash else group
    place = f"kubernetes-json-schema/v{VERSION}.0-local-strict"
    try:
        path = f"{place}/{kind.lower()}-{name}.json"
        schema = utils.schema_contents(path, VERSION)
    except OSError:
        return None
    asked = {"group": group if slash else "", "kind": kind}
    asked["version"] = number if slash else group
    if asked not in schema.get("x-kubernetes-group-version-kind", []):
        return None
    from jsonschema.validators import Draft202012Validator
    from referencing import Resource

    definitions, registry = _definitions()
    resource = Resource.from_contents(schema)
    return Draft202012Validator(schema, registry=definitions @ (resource @ registry()))
