"""What a source of a cluster has told, for tests to wait for."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import msgspec
from etcd_server import SECONDS
from kube_objects import service
from objectstore import Json
from real_apiserver import ApiUnderTest

from srv6kv.kube.model import Identity
from srv6kv.notes import Note
from srv6kv.sources.api import ApiServer
from srv6kv.sources.apisource import KubernetesSource
from srv6kv.sources.source import ClusterChanged


class SeenCluster:
    """Follows an API server as ``run`` does.

    Attributes:
        told: all that the source has told, in order.
        objects: what is there by now.
        gone: all that was ever said to be gone.
    """

    def __init__(self, kubeconfig: Path | None, node: str = "node1") -> None:
        self.reported: list[ClusterChanged] = []
        self.objects: dict[Identity, Json] = {}
        self.gone: list[Identity] = []
        self.source = KubernetesSource(ApiServer(kubeconfig), node)
        self._queue: SimpleQueue[Any] = SimpleQueue()

    def __enter__(self) -> SeenCluster:
        self.source.start(self._queue)
        return self

    def __exit__(self, *_: object) -> None:
        self.source.stop()

    @property
    def notes(self) -> tuple[Note, ...]:
        """What the source has to say now."""
        return self.reported[-1].notes if self.reported else ()

    @property
    def listed(self) -> int:
        """How often the whole cluster was listed."""
        return (self.reported[-1].listed or 0) if self.reported else 0

    def names(self, kind: str = "Service") -> set[str]:
        """The names of the objects of a kind that are there."""
        return {name for one, _, name in self.objects if one == kind}

    def wait(self, holds: Callable[[], bool], seconds: float = SECONDS) -> float:
        """Return when that holds; the seconds that it took."""
        started = time.monotonic()
        while not holds():
            left = max(0.0, started + seconds - time.monotonic())
            try:
                self._take(self._queue.get(timeout=left))
            except Empty:
                text = f"waited in vain; {self.objects.keys()} {self.notes}"
                raise AssertionError(text) from None
        return time.monotonic() - started

    def follow(self, seconds: float) -> None:
        """Take in all that is told in so many seconds."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                self._take(self._queue.get(timeout=left))
            except Empty:
                return

    def _take(self, event: object) -> None:
        if isinstance(event, Exception):
            raise event
        assert isinstance(event, ClusterChanged)
        self.reported.append(event)
        for identity, body in event.objects:
            if body is None:
                self.objects.pop(identity, None)
                self.gone.append(identity)
            else:
                assert isinstance(body, msgspec.Raw)
                self.objects[identity] = msgspec.json.decode(body)


Follow = Callable[[ApiUnderTest], SeenCluster]


def services(*names: str) -> list[Json]:
    """Headless services with these names."""
    return [service(name) for name in names]


def is_followed(api: ApiUnderTest, seen: SeenCluster, name: str) -> None:
    """Return when a new service has been seen."""
    api.apply(service(name))
    seen.wait(lambda: name in seen.names())
