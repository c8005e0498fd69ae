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


@dataclass(frozen=True, slots=True)
class RawObject:
    """An object as its manifest has it.

    Attributes:
        kind: one of KINDS.
        namespace: "default" where the manifest names none; empty for Nodes.
        name: metadata.name.
        body: the JSON object; kind, apiVersion and namespace filled in where they were implied.
        file: the manifest.
        line: of the object in it.
        settings: the contiv.conf, if this is the ConfigMap that has it.
    """

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
    """What one text defines.

    Attributes:
        objects: in the order of the text.
        unnamed: a note for each document without a usable identity.
        gaps: what these documents could define.
        is_blank: whether the text holds no document at all.
    """

    objects: tuple[RawObject, ...]
    unnamed: tuple[Note, ...]
    gaps: frozenset[Gap]
    is_blank: bool


@dataclass(frozen=True, slots=True)
class _Unnamed:
    """A document without a usable identity."""

    note: Note
    gap: Gap


def manifest_of(text: str, file: str) -> Manifest:
    """The objects of a YAML or JSON text: all its documents, lists expanded.

    Raises:
        TextError: the text cannot be read.
    """
    documents = [node for node in yamllines.documents(text) if node.value is not None]
    found = [item for document in documents for item in _found(document, {}, file)]
    return Manifest(
        tuple(item for item in found if isinstance(item, RawObject)),
        tuple(item.note for item in found if isinstance(item, _Unnamed)),
        frozenset(item.gap for item in found if isinstance(item, _Unnamed)),
        not documents,
    )


def _found(node: Node, implied: Mapping[str, str], file: str) -> Iterator[RawObject | _Unnamed]:
    """The objects of interest in a document or list item, and notes on what has no identity."""
    if not isinstance(node.value, dict):
        yield _unnamed(file, node.line, "", "not an object")
        return
    kind = _value(node.value, "kind") or implied.get("kind")
    version = _value(node.value, "apiVersion") or implied.get("apiVersion") or ""
    if not isinstance(kind, str):
        yield _unnamed(file, _line(node, "kind"), "kind", "missing" if kind is None else "not text")
    elif kind == "List" or (kind.endswith("List") and _is_known(kind[:-4], version)):
        yield from _listed(node, node.value, kind, version, file)
    elif _is_known(kind, version):
        found = _identified(node, node.value, kind, version, file)
        if found is not None:
            yield found


def _is_known(kind: str, version: object) -> bool:
    # Another group's Service, as Knative's, is not Kubernetes' own.
    if kind not in KINDS or not isinstance(version, str):
        return kind in KINDS
    return not version or version.rpartition("/")[0] == KINDS[kind][0]


def _listed(
    node: Node, entries: dict[str, Node], kind: str, version: object, file: str
) -> Iterator[RawObject | _Unnamed]:
    items = _value(entries, "items")
    if not isinstance(items, list):
        what = "missing" if items is None else "not a list"
        yield _unnamed(file, _line(node, "items"), "items", what, kind.removesuffix("List"))
        return
    implied: dict[str, str] = {}
    if kind != "List":
        implied = {"kind": kind[:-4], "apiVersion": version if isinstance(version, str) else ""}
    for item in items:
        yield from _found(item, implied, file)


def _identified(
    node: Node, entries: dict[str, Node], kind: str, version: object, file: str
) -> RawObject | _Unnamed | None:
    metadata = _value(entries, "metadata")
    if not isinstance(metadata, dict):
        what = "missing" if metadata is None else "not a mapping"
        return _unnamed(file, _line(node, "metadata"), "metadata", what, kind)
    name, namespace = _value(metadata, "name"), _value(metadata, "namespace") or "default"
    for field_name, value in (("name", name), ("namespace", namespace)):
        if not isinstance(value, str) or not value:
            what = "missing" if value in (None, "") else "not text"
            line = _line(entries["metadata"], field_name)
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


def _value(entries: Mapping[str, Node], key: str) -> object:
    return entries[key].value if key in entries else None


def _line(node: Node, key: str) -> int:
    entries = node.value if isinstance(node.value, dict) else {}
    return entries[key].line if key in entries else node.line


def _unnamed(
    file: str, line: int, field_name: str, what: str, kind: str = "", namespace: str = ""
) -> _Unnamed:
    path = f"{field_name}: " if field_name else ""
    text = f"{path}{what}, so the document is skipped; what the file defined before stays"
    note = Note(Subject(Kind.FILE, f"{file}:{line}"), Reason.MANIFEST_OBJECT_UNNAMED, text)
    return _Unnamed(note, unnamed_gap(kind, namespace))
