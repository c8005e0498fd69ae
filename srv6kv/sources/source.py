"""Where the cluster comes from while srv6kv runs: threads that feed the controller's queue."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol

from srv6kv.kube.gaps import ANYTHING
from srv6kv.kube.model import Body, Gap, Identity
from srv6kv.notes import Note, Reason
from srv6kv.sources.manifests import ManifestDirectory

SCAN_SECONDS = 0.1
"""Two scans must agree before a file is read, so an edit is seen after 0.1 to 0.2 s."""


@dataclass(frozen=True, slots=True)
class ClusterChanged:
    """Objects that came, changed or went, and all notes; the first one of a source is the complete
    list.

    Attributes:
        gaps: what never could be read since the start, so that it may be there all the same.
        listed: the number of the last complete list; 0: there are only notes yet.
        is_short: a list lacks, for the second time, what was there: it is gone now.
        is_void: a list has nothing at all of a kind of which there was something; of files that
            is reported of Nodes only, as no cluster is without one.
        is_certain: what is not in this source's lists is gone for certain, and pods are none of
            what it lists.
    """

    objects: tuple[tuple[Identity, Body | None], ...]
    notes: tuple[Note, ...]
    gaps: frozenset[Gap] = frozenset()
    listed: int = 1
    is_certain: bool = False
    is_short: bool = False
    is_void: bool = False


class Source(Protocol):
    """Reports the cluster."""

    def start(self, queue: SimpleQueue[Any]) -> None:
        """Begin to put ``ClusterChanged`` into the queue; the first with objects is complete."""

    def relist(self, *, reconnects: bool = False) -> int:
        """List everything again, now; with ``reconnects`` over new connections, which may end at
        another server. Returns: the number that ``ClusterChanged.listed`` reaches when that list,
        of which no part was begun before, is reported."""

    def stop(self) -> None:
        """End its threads."""


class ManifestSource:
    """A manifests directory, or one manifest, looked at ten times a second."""

    def __init__(self, directory: Path) -> None:
        self._manifests = ManifestDirectory(directory)
        self._requested = 1
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, queue: SimpleQueue[Any]) -> None:
        """Begin; the first list is complete when two scans agree on every file."""
        self._thread = threading.Thread(
            target=self._watch, args=(queue,), name="srv6kv-manifests", daemon=True
        )
        self._thread.start()

    def relist(self, *, reconnects: bool = False) -> int:
        """Look again: what was saved before this is read by the second scan that begins after."""
        self._requested += 1
        return self._requested

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(5)

    def _watch(self, queue: SimpleQueue[Any]) -> None:
        try:
            self._follow(queue)
        except Exception as error:  # a thread that dies in silence would freeze the cluster
            queue.put(error)

    def _follow(self, queue: SimpleQueue[Any]) -> None:
        listed = scanned = 0
        notes: tuple[Note, ...] = ()
        held: dict[Identity, Body | None] = {}
        unknown: frozenset[tuple[str, Gap]] = frozenset()
        nodes: set[Identity] = set()
        while not self._stopped.is_set():
            requested = self._requested
            scan = self._manifests.scan()
            for identity, raw in scan.changes:
                held[identity] = raw.completed() if raw is not None else None
            had_nodes = bool(nodes)
            nodes.update(one for one, body in held.items() if one[0] == "Node" and body is not None)
            nodes.difference_update(one for one, body in held.items() if body is None)
            is_complete = self._manifests.is_complete
            unnamed = self._manifests.unnamed
            unknown = unknown & unnamed if listed else unnamed
            is_listed = all(n.reason is not Reason.MANIFESTS_UNAVAILABLE for n in scan.notes)
            newest = max(1, listed, scanned if is_listed else 0)
            if not (is_complete or listed):
                if scan.notes != notes:
                    queue.put(ClusterChanged((), scan.notes, listed=0, is_certain=True))
                    notes = scan.notes
            elif held or scan.notes != notes or newest > listed:
                gaps = frozenset(gap for _, gap in unknown)
                if self._manifests.has_gaps:
                    gaps |= {ANYTHING}
                changed = tuple(held.items())
                is_void = had_nodes and not nodes
                queue.put(
                    ClusterChanged(
                        changed, scan.notes, gaps, newest, is_certain=True, is_void=is_void
                    )
                )
                held, notes, listed = {}, scan.notes, newest
            scanned = requested if is_listed else 0
            self._stopped.wait(SCAN_SECONDS)
