"""The right of ``run`` to write: it holds the writer key, or is on standby."""

from __future__ import annotations

from srv6kv.etcd.session import WriterSession
from srv6kv.etcd.store import Writer
from srv6kv.run.context import Context


class Writership:
    """Acquires the writer key, again after each loss.

    Nothing is written before a list of the cluster that began after the key was won, unless no
    other process has held it since our last tenure: that one may have known what our list lacks.
    """

    def __init__(self, context: Context, label: str, identity: str) -> None:
        self._context = context
        self._label = label
        self._session = WriterSession(context.store, label, identity)
        self._last: Writer | None = None

    def seek(self, *, has_listed: bool) -> Writer | None:
        """Keep the writer key from the last session if it lives, or try to acquire it; None on
        standby. ``has_listed``: the source was started before."""
        progress = self._context.progress
        progress.stage = "writer"
        if self._session.is_lost:
            progress.lost_writer(self._label)
        writer = self._session.acquire()
        if writer is None:
            self._yield_to_holder()
        elif writer is not self._last:
            last, store = self._last, self._context.store
            if has_listed and (last is None or store.was_held_between(last, writer)):
                self._context.lists.await_new()
            self._last = writer
        progress.writes(writer is not None)
        return writer

    def release(self) -> None:
        """Give the key up, so that the next writer need not wait; from any thread."""
        self._session.release()

    def _yield_to_holder(self) -> None:
        self._context.hold = ()
        holder = self._context.store.holder(self._label)
        if holder is not None:
            self._context.progress.become_standby(holder, self._label)
            self._context.reconciler.intake.triggers.drain()  # the other one does what they time
