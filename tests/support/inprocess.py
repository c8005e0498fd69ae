"""The loop of ``run`` in this process, so that a test can make time pass faster."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from processes import NODE, Bench

from srv6kv.cli import cluster
from srv6kv.etcd.store import Etcd3Store
from srv6kv.run.controller import Controller
from srv6kv.sources.source import Source
from srv6kv.sync.reconciler import Reconciler


@contextmanager
def running(bench: Bench, endpoint: str, source: Source, **more: Any) -> Iterator[Controller]:
    """A controller of the bench at an etcd; ``more`` of what a ``Controller`` takes."""
    controller = Controller(
        store=Etcd3Store([endpoint]),
        reconciler=Reconciler(cluster.settings_of(bench.config), NODE, bench.label),
        source=source,
        label=bench.label,
        identity="the test",
        **more,
    )
    thread = threading.Thread(target=controller.run, name="test-run")
    thread.start()
    try:
        yield controller
    finally:
        controller.stop()
        thread.join()
        controller.close()
