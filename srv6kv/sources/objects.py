"""Kubernetes objects in the text of a manifest, raw, with their place.

Rule: pure. Only identity is looked at here; whether an object makes sense is for ``kube.parse``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from srv6kv import yamllines
from srv6kv.kube import defaults
from srv6kv.kube.gaps import unnamed_gap
from srv6kv.kube.model import Gap, Identity
from srv6kv.notes import Kind, Note, Reason, Subject
from srv6kv.settings import configmap
from srv6kv.yamllines import Excerpt, Node

# The kinds of interest, their API group ("" is the core), and whether they live in a namespace.
KINDS = {
    "Service": ("", True),
    "EndpointSlice": ("discovery.k8s.io", True),
    "Node": ("", False),
    "Pod": ("", True),
    "ConfigMap": ("", True),
}


_Unnamed = tuple[Note, Gap]
"""A document without a usable identity: the note on it, and what it could define."""


@dataclass(frozen=True, slots=True)
class RawObject:
    """An object as its manifest has it: kind, apiVersion and namespace ("default", or none for
    Nodes) filled in where they were implied; and the contiv.conf, if this is the ConfigMap that has
    it."""

    kind: str
    namespace: str
    name: str
    body: dict[str, object]
    file: str = field(compare=False)
    line: int = field(compare=False)
    settings: Excerpt | None = field(default=None, compare=False)

    @property
    def identity(self) -> Identity:
        """What makes it the same object after a change."""
        return self.kind, self.namespace, self.name

    def completed(self) -> dict[str, object]:
        """The body as an API server would keep it: what it fills in is filled in."""
        return defaults.completed(self.kind, self.body)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What one text defines, in its order, and a note and a gap for each document without a usable
    identity; ``is_blank`` if the text holds no document at all."""

    objects: tuple[RawObject, ...]
    unnamed: tuple[Note, ...]
    gaps: frozenset[Gap]
    is_blank: bool


def manifest_of(text: str, file: str) -> Manifest:
    """The objects in all documents of a text, lists expanded; TextError if it cannot be read."""
    documents = [node for node in yamllines.documents(text) if node.value is not None]
    found = [item for document in documents for item in _found(document, {}, file)]
    objects = tuple(item for item in found if isinstance(item, RawObject))
    unnamed = [item for item in found if not isinstance(item, RawObject)]
    notes, gaps = tuple(note for note, _ in unnamed), frozenset(gap for _, gap in unnamed)
    return Manifest(objects, notes, gaps, not documents)


def _found(node: Node, implied: Mapping[str, str], file: str) -> Iterator[RawObject | _Unnamed]:
    """The objects of interest in a document or list item, and notes on what has no identity."""
    if not isinstance(node.value, dict):
        yield _unnamed(file, node.line, "", "not an object")
        return
    kind = node.value_at("kind") or implied.get("kind")
    version = node.value_at("apiVersion") or implied.get("apiVersion") or ""
    if not isinstance(kind, str):
        yield _unnamed(file, _line(node, "kind"), "kind", "missing" if kind is None else "not text")
    elif kind == "List" or (kind.endswith("List") and _is_known(kind[:-4], version)):
        yield from _listed(node, kind, version, file)
    elif _is_known(kind, version) and (found := _identified(node, kind, version, file)):
        yield found


def _is_known(kind: str, version: object) -> bool:
    # Another group's Service, as Knative's, is not Kubernetes' own.
    if kind not in KINDS or not isinstance(version, str):
        return kind in KINDS
    return not version or version.rpartition("/")[0] == KINDS[kind][0]


def _listed(node: Node, kind: str, version: object, file: str) -> Iterator[RawObject | _Unnamed]:
    items = node.value_at("items")
    if not isinstance(items, list):
        what = "missing" if items is None else "not a list"
        yield _unnamed(file, _line(node, "items"), "items", what, kind.removesuffix("List"))
        return
    implied: dict[str, str] = {}
    if kind != "List":
        implied = {"kind": kind[:-4], "apiVersion": version if isinstance(version, str) else ""}
    for item in items:
        yield from _found(item, implied, file)


def _identified(node: Node, kind: str, version: object, file: str) -> RawObject | _Unnamed | None:
    metadata = node.at("metadata")
    if metadata is None or not isinstance(metadata.value, dict):
        what = "missing" if metadata is None or metadata.value is None else "not a mapping"
        return _unnamed(file, _line(node, "metadata"), "metadata", what, kind)
    name, namespace = metadata.value_at("name"), metadata.value_at("namespace") or "default"
    for field_name, value in (("name", name), ("namespace", namespace)):
        if not isinstance(value, str) or not value:
            what = "missing" if value in (None, "") else "not text"
            line = _line(metadata, field_name)
            place = namespace if field_name == "name" and isinstance(namespace, str) else ""
            return _unnamed(file, line, f"metadata.{field_name}", what, kind, place)
    if kind == "ConfigMap" and name != configmap.CONFIG_MAP:
        return None
    place = str(namespace) if KINDS[kind][1] else ""
    body = _filled(node, kind, version, place)
    excerpt = configmap.excerpt_of(node, file) if kind == "ConfigMap" else None
    return RawObject(kind, place, str(name), body, file, node.line, excerpt)


def _filled(node: Node, kind: str, version: object, namespace: str) -> dict[str, object]:
    """The object with what its manifest implied, as the API server would complete it."""
    plain = node.plain()
    body: dict[str, object] = {**plain} if isinstance(plain, dict) else {}
    metadata = body["metadata"]
    if namespace and isinstance(metadata, dict):
        body["metadata"] = {**metadata, "namespace": namespace}
    return {**body, "kind": kind, **({"apiVersion": version} if version else {})}


def _line(node: Node, key: str) -> int:
    return (node.at(key) or node).line


def _unnamed(
    file: str, line: int, field_name: str, what: str, kind: str = "", namespace: str = ""
) -> _Unnamed:
    path = f"{field_name}: " if field_name else ""
    text = f"{path}{what}, so the document is skipped; what the file defined before stays"
    note = Note(Subject(Kind.FILE, f"{file}:{line}"), Reason.MANIFEST_OBJECT_UNNAMED, text)
    return note, unnamed_gap(kind, namespace)
