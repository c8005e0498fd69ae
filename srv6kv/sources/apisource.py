"""The cluster from an API server: one thread a resource, one stream of changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from queue import SimpleQueue
from typing import Any

import msgspec

from srv6kv.foreign import typed
from srv6kv.kube.gaps import unnamed_gap
from srv6kv.kube.model import Gap, Identity
from srv6kv.notes import Kind, Note, Reason, Subject
from srv6kv.sources.api import ApiError, ApiServer
from srv6kv.sources.apiwatch import Follower, Objects, complete_list
from srv6kv.sources.bodies import resources
from srv6kv.sources.pace import Pace
from srv6kv.sources.source import ClusterChanged

_UNNAMED = "metadata.name: missing in {} of its items"
STOP_SECONDS = 0.3
"""Shorter than the time after which the controller ends what etcd leaves without an answer."""


class KubernetesSource:
    """Services, slices, nodes and the own node's pods of an API server.

    Nothing is reported before all of them have been listed once (rule M1). A request that is not
    answered, or wrongly, changes nothing of what was reported.
    """

    def __init__(self, api: ApiServer, node: str) -> None:
        self._api = api
        self._pace = Pace()
        followed = resources(node)
        self._followers = [Follower(api, resource, self._pace, self) for resource in followed]
        self._plurals = {resource.kind: resource.plural for resource in followed}
        self._listed = {resource.kind: 0 for resource in followed}
        self._unnamed = {resource.kind: 0 for resource in followed}
        self._early: dict[Identity, msgspec.Raw | None] = {}
        self._troubles: dict[str, Note] = {}
        self._lists = 1
        self._lock = threading.Lock()
        self._queue: SimpleQueue[Any] = SimpleQueue()

    def start(self, queue: SimpleQueue[Any]) -> None:
        """Begin; the first list is complete when every resource has been listed."""
        self._queue = queue
        typed.prepare()
        for follower in self._followers:
            follower.start()

    def stop(self) -> None:
        """End the threads; one that waits for a connection is left to its end."""
        self._pace.stop()
        for follower in self._followers:
            follower.stop()
        deadline = time.monotonic() + STOP_SECONDS
        for follower in self._followers:
            follower.join(max(0.0, deadline - time.monotonic()))

    def relist(self, *, reconnects: bool = False) -> int:
        """List everything again, now; the number that ``ClusterChanged.listed`` reaches then."""
        if reconnects:
            self._api.drop_connections()
        with self._lock:
            self._lists += 1
            number = self._lists
        for follower in self._followers:
            follower.relist(number)
        return number

    def listed(self, kind: str, number: int, objects: Objects, unnamed: int) -> None:
        """A resource has been listed completely."""
        with self._lock:
            self._listed[kind] = number
            self._unnamed[kind] = unnamed
            gone = sum(body is None for body in objects.values())
            # A node may be without pods, but no cluster is without the others.
            is_void = gone == len(objects) > 0 and kind != "Pod"
            self._report(objects, is_short=gone > 0, is_void=is_void)

    def changed(self, kind: str, objects: Objects) -> None:
        """A watch of a resource has seen changes."""
        with self._lock:
            self._report(objects)

    def trouble(self, kind: str, error: ApiError | None, *, is_denied: bool = False) -> None:
        """A resource cannot be listed or watched; None: it can again."""
        with self._lock:
            before = set(self._troubles.values())
            known = self._troubles.get(kind)
            if error is None:
                self._troubles.pop(kind, None)
            elif known is None or (known.reason is Reason.API_FORBIDDEN) != is_denied:
                self._troubles[kind] = self._note(kind, error, is_denied=is_denied)
            if before != set(self._troubles.values()):
                self._report({})

    def crashed(self, error: Exception) -> None:
        """A thread has ended that should not; so does srv6kv."""
        self._queue.put(error)

    def _note(self, kind: str, error: ApiError, *, is_denied: bool) -> Note:
        """One note for an outage of all resources, which lasts; one for each that is refused."""
        if is_denied:
            text = f"{error}; known {self._plurals[kind]} stay, to list and watch them is needed"
            return Note(Subject(Kind.API_SERVER), Reason.API_FORBIDDEN, text)
        known = (note for note in self._troubles.values() if note.reason is Reason.API_UNAVAILABLE)
        text = f"{error}; what is known stays, trying again"
        return next(known, Note(Subject(Kind.API_SERVER), Reason.API_UNAVAILABLE, text))

    def _report(self, objects: Objects, *, is_short: bool = False, is_void: bool = False) -> None:
        listed = min(self._listed.values())
        if not listed:
            self._early.update(objects)
        elif self._early:
            objects, self._early = {**self._early, **objects}, {}
        reported = tuple(objects.items()) if listed else ()
        unnamed = (
            Note(Subject(f"{kind} list"), Reason.MALFORMED, _UNNAMED.format(number))
            for kind, number in self._unnamed.items()
            if number
        )
        notes = tuple(sorted({*self._troubles.values(), *unnamed}))
        gaps = _gaps_of(self._unnamed)
        self._queue.put(
            ClusterChanged(reported, notes, gaps, listed, is_short=is_short, is_void=is_void)
        )


def _gaps_of(unnamed: Mapping[str, int]) -> frozenset[Gap]:
    """What objects without a name could define, by the number of them of each kind."""
    return frozenset(unnamed_gap(kind) for kind, number in unnamed.items() if number)


def list_once(
    api: ApiServer, node: str
) -> tuple[tuple[tuple[Identity, msgspec.Raw], ...], frozenset[Gap]]:
    """All objects that a node needs to know, listed once, and what those without a name could
    define; ApiError if one of the lists did not come."""
    found = {
        resource.kind: complete_list(api, resource, lambda _answer: None)
        for resource in resources(node)
    }
    items = tuple(item for listed in found.values() for item in listed.items.items())
    return items, _gaps_of({kind: listed.unnamed for kind, listed in found.items()})
