"""A watch of several prefixes on one stream, from one revision on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

from srv6kv.errors import Conflict, Refused, Srv6kvError, Unavailable
from srv6kv.etcd.calls import Calls, Stream
from srv6kv.etcd.stubs import etcdrpc
from srv6kv.etcd.values import Change, end_of, key_text
from srv6kv.txn.transaction import FullKey

OnChanges = Callable[[list[Change], int], None]
OnLost = Callable[[Srv6kvError], None]

PROGRESS_SECONDS = 3.0
"""How often a server is asked whether it still serves the watch."""
MOST_UNANSWERED = 3
"""After so many questions without a word the watch is given up."""

# A member without a leader would go on serving a watch that sees nothing.
_NEEDS_LEADER = (("hasleader", "true"),)


class Watch:
    """Calls back from a thread of its own until it is cancelled or lost.

    A stream that looks open may be dead, behind a proxy for example, so it is asked for progress;
    when nothing comes any more, the watch is lost. A server that never answers that, as etcd's
    grpc-proxy, is asked for a further watch on the same stream instead, of a key that is
    never written.

    `on_changes` gets all changes that one revision made under one prefix, and that revision; up to
    it nothing is outstanding under that prefix. Prefixes are independent: each has its revisions in
    order, but one may be ahead of another, as etcd sends them. Without changes the revision is one
    up to which nothing is outstanding under any prefix. `on_lost` is the last call and comes once;
    after `cancel` nothing comes.
    """

    def __init__(
        self,
        calls: Calls,
        prefixes: Sequence[str],
        start_revision: int,
        on_changes: OnChanges,
        on_lost: OnLost,
    ) -> None:
        self._calls = calls
        self._prefixes = tuple(prefixes)
        self._start_revision = start_revision
        self._on_changes = on_changes
        self._on_lost = on_lost
        self._lock = threading.Lock()
        self._stream: Stream | None = None
        self._stopped = threading.Event()
        self._unanswered = 0
        self._answers_progress = False
        self._probe: int | None = None
        # By the number of the prefix: up to where it is known, and the parts of a response.
        self._seen = dict.fromkeys(range(len(prefixes)), start_revision - 1)
        self._parts: dict[int, list[Any]] = {number: [] for number in range(len(prefixes))}
        self._thread = threading.Thread(target=self._run, name="srv6kv-watch", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether more may come."""
        return self._thread.is_alive()

    def cancel(self, seconds: float = 5.0) -> None:
        """Ends it; when this returns no call is running, unless one takes longer than that."""
        with self._lock:
            self._stopped.set()
            if self._stream is not None:
                self._stream.cancel()
        if threading.current_thread() is not self._thread:
            self._thread.join(seconds)

    def _run(self) -> None:
        failure: Srv6kvError = Unavailable("etcd: the watch has ended")
        try:
            self._follow()
        except Srv6kvError as error:
            failure = error
            if self._is_silent and self._stream is not None:
                text = f"etcd {self._stream.endpoint}: the watch does not answer any more"
                failure = Unavailable(text)
        finally:
            # Also if a callback fails: a dead watch that goes unnoticed would be worse.
            is_cancelled = self._stopped.is_set()
            self.cancel()
            if not is_cancelled:
                self._on_lost(failure)

    def _follow(self) -> None:
        stream = self._calls.stream("Watch", "Watch", self._requests(), metadata=_NEEDS_LEADER)
        with self._lock:
            self._stream = stream
            if self._stopped.is_set():
                stream.cancel()
        for response in stream:
            if self._stopped.is_set():
                return
            self._unanswered = 0
            if self._is_answer(response):
                continue
            if response.canceled:
                raise self._refusal(response, stream)
            if not response.created:
                self._apply(response)

    def _is_answer(self, response: Any) -> bool:
        """Whether it says nothing but that the stream is alive."""
        if response.watch_id in self._parts:
            return False
        if response.created and not response.canceled:
            self._probe = response.watch_id
        elif response.watch_id < 0 and not response.canceled:
            self._answers_progress = True
        return response.watch_id >= 0 or not response.canceled

    def _requests(self) -> Iterator[Any]:
        for number, prefix in enumerate(self._prefixes):
            yield etcdrpc.WatchRequest(
                create_request=etcdrpc.WatchCreateRequest(
                    key=prefix.encode(),
                    range_end=end_of(prefix),
                    start_revision=self._start_revision,
                    watch_id=number,
                    progress_notify=True,
                    fragment=True,
                )
            )
        # The stream stays open as long as we have not said all.
        yield from self._questions()

    def _questions(self) -> Iterator[Any]:
        """Requests that a stream that is alive answers, one after the other."""
        progress = etcdrpc.WatchRequest(progress_request=etcdrpc.WatchProgressRequest())
        number = len(self._prefixes)
        has_asked = False
        while not self._stopped.wait(PROGRESS_SECONDS):
            if self._is_silent:
                with self._lock:
                    if self._stream is not None:
                        self._stream.cancel()
                return
            self._unanswered += 1
            if self._answers_progress or not has_asked:
                has_asked = True
                yield progress
                continue
            if self._probe is not None:
                cancel = etcdrpc.WatchCancelRequest(watch_id=self._probe)
                self._probe = None
                yield etcdrpc.WatchRequest(cancel_request=cancel)
            create = etcdrpc.WatchCreateRequest(key=self._prefixes[0].encode(), watch_id=number)
            number += 1
            yield etcdrpc.WatchRequest(create_request=create)

    @property
    def _is_silent(self) -> bool:
        return self._unanswered >= MOST_UNANSWERED

    def _apply(self, response: Any) -> None:
        parts = self._parts[response.watch_id]
        parts.extend(response.events)
        if response.fragment:
            return
        self._parts[response.watch_id] = []
        if not parts:
            self._seen[response.watch_id] = response.header.revision
            self._on_changes([], min(self._seen.values()))
        for revision, events in groupby(parts, lambda event: int(event.kv.mod_revision)):
            if self._stopped.is_set():
                return
            self._seen[response.watch_id] = revision
            self._on_changes([_change_of(event) for event in events], revision)

    def _refusal(self, response: Any, stream: Stream) -> Srv6kvError:
        """Why the server ended one prefix; the others are of no use without it."""
        text = f"etcd {stream.endpoint}: the watch was cancelled"
        if response.compact_revision:
            return Conflict(f"{text}: revisions before {response.compact_revision} are compacted")
        try:
            # The server gives one and the same reason for a missing right and for a token that
            # ran out. A read knows the difference, and renews the token.
            for prefix in self._prefixes:
                request = etcdrpc.RangeRequest(key=prefix.encode(), limit=1, keys_only=True)
                self._calls.unary("KV", "Range", request)
        except Refused as error:
            return error
        except Srv6kvError:
            pass
        return Unavailable(f"{text}: {response.cancel_reason or 'no reason given'}")


def _change_of(event: Any) -> Change:
    is_delete = event.type == type(event).DELETE
    value = None if is_delete else event.kv.value
    return Change(FullKey(key_text(event.kv.key)), value, event.kv.mod_revision)
