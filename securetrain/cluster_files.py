"""Read the manifests of a cluster, and refuse what the cluster would read otherwise.

An attacker, or a tired colleague, writes a file that the check takes for one thing and
the API server for another: a field that is misspelled and ignored, a kind nobody knows,
a name twice, a list that hides a second object. Each is an error with file and line.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from securetrain import cluster_schemas, plain_yaml
from securetrain.plain_yaml import Document

READ = (".yaml", ".yml", ".json")  # as kubectl does
_WIDE = """APIService CSIDriver CSINode CertificateSigningRequest ClusterRole
    ClusterRoleBinding ClusterTrustBundle ComponentStatus CustomResourceDefinition
    DeviceClass FlowSchema IPAddress IngressClass MutatingAdmissionPolicy
    MutatingAdmissionPolicyBinding MutatingWebhookConfiguration Namespace Node
    PersistentVolume PriorityClass PriorityLevelConfiguration ResourceSlice
    RuntimeClass SelfSubjectAccessReview SelfSubjectReview SelfSubjectRulesReview
    ServiceCIDR StorageClass SubjectAccessReview TokenReview ValidatingAdmissionPolicy
    ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration VolumeAttachment
    VolumeAttributesClass"""
CLUSTER_WIDE = frozenset(_WIDE.split())


class ClusterError(ValueError):
    """Manifests that cannot be judged; `problems` has a line for each reason."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Manifest:
    """One object of a cluster, and where it stands.

    namespace: "" for what belongs to the whole cluster
    prefix: where in its document it stands, when it came in a List
    """

    data: dict[str, Any] = field(repr=False)
    document: Document = field(repr=False)
    prefix: tuple[Hashable, ...] = ()

    @property
    def kind(self) -> str:
        return self.data["kind"]

    @property
    def group(self) -> str:
        """The API group: "" for the core."""
        group, slash, _ = self.data["apiVersion"].partition("/")
        return group if slash else ""

    @property
    def name(self) -> str:
        return self.data["metadata"]["name"]

    @property
    def namespace(self) -> str:
        if self.kind in CLUSTER_WIDE:
            return ""
        return self.data["metadata"]["namespace"]

    @property
    def labels(self) -> dict[str, str]:
        return self.data["metadata"].get("labels") or {}

    def where(self, *path: Hashable) -> str:
        """Return `file:line` of a value, or of the nearest part above it."""
        return self.document.where(*self.prefix, *path)

    def __str__(self) -> str:
        inside = f" in {self.namespace}" if self.namespace else ""
        return f"{self.kind} {self.name}{inside}"


def at(value: Any, *path: str) -> Any:
    """Return the value at a path of keys, None where the way there is no mapping."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def read(paths: str | Path | Iterable[str | Path]) -> list[Manifest]:
    """Return the objects of files and folders (with all below), Lists unfolded.

    Raises ClusterError with a line for each problem: what `plain_yaml` refuses, an
    unknown kind or field, a wrong type, no name, no namespace, an object twice,
    a folder without manifests. Raises NoTool when kubernetes-validate is missing.
    """
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    documents, problems = [], []
    for path in paths:
        for file in _files(Path(path), problems):
            try:
                documents += plain_yaml.read_file(file)
            except plain_yaml.YamlError as error:
                problems.append(str(error))
    if not (documents or problems):
        problems.append(f"{', '.join(map(str, paths))}: no object in any file here")
    return _judged(documents, problems)


def parse(text: str | bytes, source: str = "input") -> list[Manifest]:
    """Return the objects of one text. Raises ClusterError, as `read` does."""
    try:
        return _judged(plain_yaml.read(text, source), [])
    except plain_yaml.YamlError as error:
        raise ClusterError([str(error)]) from None


def take(objects: Any, source: str = "objects") -> list[Manifest]:
    """Return objects that are plain data already, as a list of dicts.

    Every object has one "line": its number in the list, from 1.
    Raises ClusterError, as `read` does.
    """
    if not isinstance(objects, list):
        kind = type(objects).__name__
        raise ClusterError([f"{source}: expected a list of objects, got {kind}"])
    made = [Document(one, source, {(): n}) for n, one in enumerate(objects, 1)]
    return _judged(made, [])


def _files(path: Path, problems: list[str]) -> Iterator[Path]:
    """Yield the files that kubectl would read; note what cannot be."""
    if path.is_file():
        yield path
        return
    if not path.is_dir():
        problems.append(f"{path}: expected a file or folder, found none")
        return
    found = False
    for file in sorted(path.rglob("*")):
        if file.suffix.lower() not in READ or file.is_dir():
            continue
        if file.suffix not in READ:
            problems.append(f"{file}: kubectl reads no {file.suffix}; rename it")
        elif file.is_symlink() or not file.is_file():
            problems.append(f"{file}: expected a file, found a link or a device")
        else:
            found = True
            yield file
    if not found:
        problems.append(f"{path}: no manifest here (expected {', '.join(READ)})")


def _judged(documents: list[Document], problems: list[str]) -> list[Manifest]:
    manifests: list[Manifest] = []
    first: dict[tuple[str, ...], Manifest] = {}
    for document in documents:
        for one in _unfolded(Manifest(document.data, document), problems):
            if wrong := list(_wrong(one)):
                problems += wrong
                continue
            key = (one.group, one.kind, one.namespace, one.name)
            if before := first.get(key):
                problems.append(f"{one.where()}: {one} stands at {before.where()}, too")
            first[key] = one
            manifests.append(one)
    if problems:
        raise ClusterError(problems)
    return manifests


def _unfolded(one: Manifest, problems: list[str]) -> Iterator[Manifest]:
    """Yield an object, or those in a List."""
    data = one.data
    if not isinstance(data, dict):
        problems.append(f"{one.where()}: expected an object, got a {_kind(data)}")
        return
    kind, items = data.get("kind"), data.get("items")
    if not (isinstance(kind, str) and kind.endswith("List") and "items" in data):
        yield one
        return
    if not isinstance(items, list):
        problems.append(f"{one.where('items')}: expected a list, got {_kind(items)}")
        return
    for number, item in enumerate(items):
        inner = Manifest(item, one.document, (*one.prefix, "items", number))
        if isinstance(item, dict) and kind != "List":  # PodList: kinds may be left out
            shared = {"kind": kind.removesuffix("List")}
            if "apiVersion" in data:
                shared["apiVersion"] = data["apiVersion"]
            inner = Manifest(shared | item, one.document, inner.prefix)
        yield from _unfolded(inner, problems)


def _wrong(one: Manifest) -> Iterator[str]:
    """Yield what is wrong with an object."""
    data = one.data
    for key in ("apiVersion", "kind"):
        if not isinstance(data.get(key), str) or not data[key]:
            yield f"{one.where(key)}: expected a text under {key}"
            return
    metadata = data.get("metadata")
    if not isinstance(metadata, dict):
        yield f"{one.where('metadata')}: {one.kind}: expected a mapping under metadata"
        return
    wanted = ["name"] if one.kind in CLUSTER_WIDE else ["name", "namespace"]
    for key in wanted:
        if not isinstance(metadata.get(key), str) or not metadata[key]:
            why = "; kubectl's -n would decide" if key == "namespace" else ""
            where = one.where("metadata", key)
            yield f"{where}: {one.kind}: expected a text under metadata.{key}{why}"
    for path, what in cluster_schemas.errors(data):
        yield f"{one.where(*path)}: {what}"
    yield from _not_in_templates(one)


def _not_in_templates(one: Manifest) -> Iterator[str]:
    """Yield what the schema of a pod's template has and the API server refuses."""
    job = ("spec", "jobTemplate", "spec", "template", "spec")
    for path in (("template", "spec"), ("spec", "template", "spec"), job):
        if at(one.data, *path, "ephemeralContainers"):
            where = one.where(*path, "ephemeralContainers")
            why = "ephemeralContainers are added to a running pod, not to a template"
            yield f"{where}: {one.kind}: {why}"


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__
