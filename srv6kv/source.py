"""Where the cluster comes from while srv6kv runs: threads that feed the controller's queue."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol

from srv6kv.kube.manifests import ManifestDirectory
from srv6kv.kube.model import Body, Identity
from srv6kv.kube.objects import UNNAMED
from srv6kv.notes import Note

SCAN_SECONDS = 0.1
"""Two scans must agree before a file is read, so an edit is seen after 0.1 to 0.2 s."""


@dataclass(frozen=True, slots=True)
class ClusterChanged:
    """Objects that came, changed or went; the first one of a source is the complete list.

    Attributes:
        notes: all that the source has to say now.
        has_gaps: something cannot be read and never could since the start: what is not in the
            list may be there all the same.
        listed: how often the whole cluster has been listed; 0: there are only notes yet. None: what
            is not in this source's lists is gone for certain.
    """

    objects: tuple[tuple[Identity, Body | None], ...]
    notes: tuple[Note, ...]
    has_gaps: bool = False
    listed: int | None = None


class Source(Protocol):
    """Something that tells about the cluster."""

    def start(self, queue: SimpleQueue[Any]) -> None:
        """Begin to put ``ClusterChanged`` into the queue; the first with objects is complete."""

    def relist(self) -> int:
        """List everything again, now; the number that ``ClusterChanged.listed`` reaches then. Only
        for sources that count their lists."""

    def stop(self) -> None:
        """End its threads."""


class ManifestSource:
    """A manifests directory, looked at ten times a second."""

    def __init__(self, directory: Path) -> None:
        self._manifests = ManifestDirectory(directory)
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, queue: SimpleQueue[Any]) -> None:
        """Begin; the first list is complete when two scans agree on every file."""
        self._thread = threading.Thread(
            target=self._watch, args=(queue,), name="srv6kv-manifests", daemon=True
        )
        self._thread.start()

    def relist(self) -> int:
        """Never needed: a file that is gone is gone."""
        raise NotImplementedError("manifests are not listed")

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
        is_first = True
        notes: tuple[Note, ...] = ()
        held: dict[Identity, Body | None] = {}
        unknown: set[str] = set()
        while not self._stopped.is_set():
            scan = self._manifests.scan()
            for identity, raw in scan.changes:
                held[identity] = raw.body if raw is not None else None
            is_complete = self._manifests.is_settled
            unnamed = _files_with_unnamed(scan.notes)
            unknown = unnamed if is_first else unknown & unnamed
            if (held or scan.notes != notes or is_first) and (is_complete or not is_first):
                gaps = self._manifests.has_gaps or bool(unknown)
                queue.put(ClusterChanged(tuple(held.items()), scan.notes, gaps))
                held, notes, is_first = {}, scan.notes, False
            self._stopped.wait(SCAN_SECONDS)


def _files_with_unnamed(notes: tuple[Note, ...]) -> set[str]:
    """Files with a document that nobody can name: cut before its name came, perhaps."""
    return {note.subject.rpartition(":")[0] for note in notes if note.reason == UNNAMED}
