"""What an API server answers, as bytes, to what it says: pages of lists and events of watches.

Rule: pure. Objects stay raw; only what makes one the same object is looked at here. A body that is
not what was asked for is an error and never an empty list (rule M5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from srv6kv import foreign
from srv6kv.kube.model import Identity
from srv6kv.kube.parse import HEADLESS, PROXY_NAME
from srv6kv.kube.shallow import shallow

PAGE_ITEMS = 500
"""What the official clients ask for at once."""


class BadBody(ValueError):
    """An answer that is not what was asked for; the text says what it is instead."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object that is listed and watched: the path of the collection over all namespaces,
    and the query parameters by which the server leaves out what is not for us."""

    kind: str
    path: str
    is_namespaced: bool = True
    selectors: tuple[tuple[str, str], ...] = ()

    @property
    def plural(self) -> str:
        """The name of the resource in a URL and in RBAC rules."""
        return self.path.rpartition("/")[2]

    def url(self, **parameters: object) -> str:
        """Path and query of a request."""
        given = [(name, str(value)) for name, value in parameters.items() if value not in ("", 0)]
        return f"{self.path}?{urlencode([*self.selectors, *given])}"


def resources(node: str) -> tuple[Resource, ...]:
    """All that a node needs to know, with the selectors of rule S1; of pods only its own.

    A slice counts with the label of a proxy too: ``headless`` alone hides one.
    """
    return (
        Resource("Service", "/api/v1/services", True, (("labelSelector", f"!{PROXY_NAME}"),)),
        Resource(
            "EndpointSlice",
            "/apis/discovery.k8s.io/v1/endpointslices",
            True,
            (("labelSelector", f"!{HEADLESS}"),),
        ),
        Resource("Node", "/api/v1/nodes", False),
        Resource("Pod", "/api/v1/pods", True, (("fieldSelector", f"spec.nodeName={node}"),)),
    )


class _Metadata(msgspec.Struct, gc=False, rename="camel"):
    name: str = ""
    namespace: str = ""
    resource_version: str = ""


class _Identified(msgspec.Struct, gc=False):
    metadata: _Metadata


class _ListMetadata(msgspec.Struct, gc=False, rename="camel"):
    resource_version: str
    continue_: str | None = msgspec.field(default=None, name="continue")


class _List(msgspec.Struct, gc=False):
    kind: str
    metadata: _ListMetadata
    items: list[msgspec.Raw] | None


class _Event(msgspec.Struct, gc=False):
    type: str
    object: msgspec.Raw


class _Status(msgspec.Struct, gc=False):
    kind: str = ""
    message: str = ""
    code: int = 0


_Whole = TypeVar("_Whole", _List, _Event)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list.

    Attributes:
        version: the resource version of the whole list.
        rest: the token that continues it, "" on the last page.
        unnamed: how many items have no name; each may be any object of the kind.
    """

    version: str
    rest: str
    items: dict[Identity, msgspec.Raw]
    unnamed: int


@dataclass(frozen=True, slots=True)
class Event:
    """Where a watch after this event resumes, the object (None: a bookmark) and its body (None:
    gone)."""

    version: str
    identity: Identity | None = None
    body: msgspec.Raw | None = None


class Failed(Exception):
    """The server ended a watch with an error, ``code`` as in HTTP; 410: the version is too old."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code


def page_of(body: bytes, resource: Resource) -> Page:
    """The page in the body of an answer to a list; BadBody if it is not one of this kind."""
    try:
        found = _decoded(body, _List, foreign.MOST_LIST_BYTES)
    except foreign.Unreadable as error:
        raise BadBody(f"not a list of {resource.plural}: {_status_text(body) or error}") from None
    if found.kind != f"{resource.kind}List":
        raise BadBody(f"kind is {found.kind!r}, not '{resource.kind}List'")
    if not found.metadata.resource_version:
        raise BadBody("the list has no metadata.resourceVersion")
    items = {}
    unnamed = 0
    for item in found.items or ():
        metadata = _metadata_of(item)
        if metadata is None:
            unnamed += 1
        else:
            items[_identity(metadata, resource)] = item
    return Page(found.metadata.resource_version, found.metadata.continue_ or "", items, unnamed)


def event_of(line: bytes, resource: Resource) -> Event:
    """The event in a line of a watch; Failed if the watch has failed, BadBody for anything else."""
    try:
        event = _decoded(line, _Event, foreign.MOST_ANSWER_BYTES)
    except foreign.Unreadable as error:
        raise BadBody(f"not an event: {error}") from None
    if event.type == "ERROR":
        status = _status_of(event.object) or _Status()
        raise Failed(status.code, status.message)
    metadata = _metadata_of(event.object, needs_name=event.type != "BOOKMARK")
    if metadata is None or not metadata.resource_version:
        raise BadBody(f"{event.type} without metadata.name or metadata.resourceVersion")
    if event.type == "BOOKMARK":
        return Event(metadata.resource_version)
    if event.type not in ("ADDED", "MODIFIED", "DELETED"):
        raise BadBody(f"an event of the unknown type {event.type!r}")
    body = None if event.type == "DELETED" else event.object
    return Event(metadata.resource_version, _identity(metadata, resource), body)


def _decoded(body: bytes, kind: type[_Whole], most: int) -> _Whole:
    """Decode a list or an event of at most so many bytes; an object in it that nests too deep is
    cut, and no loss to the others."""
    try:
        return foreign.decode(body, kind, most=most)
    except foreign.Unreadable:
        cut = shallow(body) if len(body) <= most else body
        if cut == body:
            raise
        return foreign.decode(cut, kind, most=most)


def message_of(body: bytes) -> str:
    """What an error's body says, in one line of at most 200 characters."""
    text = _status_text(body) or body[:1000].decode(errors="replace")
    plain = "".join(one if one.isprintable() else " " for one in text)
    return " ".join(plain.split())[:200]


def _status_text(body: bytes) -> str:
    status = _status_of(body)
    return status.message if status is not None and status.kind == "Status" else ""


def _status_of(body: bytes | msgspec.Raw) -> _Status | None:
    try:
        return foreign.decode(body, _Status)
    except foreign.Unreadable:
        return None


def _metadata_of(body: msgspec.Raw, *, needs_name: bool = True) -> _Metadata | None:
    try:
        metadata = foreign.decode(body, _Identified, most=foreign.MOST_ANSWER_BYTES).metadata
    except foreign.Unreadable:
        return None
    return metadata if metadata.name or not needs_name else None


def _identity(metadata: _Metadata, resource: Resource) -> Identity:
    namespace = (metadata.namespace or "default") if resource.is_namespaced else ""
    return resource.kind, namespace, metadata.name
