"""The writer key's holder: a lease that is renewed until it has run out or is released.

As etcd's own client does it: one lasting stream carries a request every third of the lease's time,
and one every half a second while answers are overdue. A stream that ends or stays silent is opened
again, as often as it takes, until the lease has run out by the local monotonic clock; a stream that
ends for us half-closed, or one for each request, is what etcd's grpc-proxy cancels.
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from srv6kv.errors import Srv6kvError
from srv6kv.etcd.calls import Calls, Stream
from srv6kv.etcd.stubs import etcdrpc

LEAST_SECONDS = 5
"""The time of a lease on a fast network."""
MOST_SECONDS = 60
ROUND_TRIPS = 6
"""So many a lease lasts: two in each third, so that a lost stream leaves time for a new one."""
RETRY_SECONDS = 0.5


def identity() -> str:
    """Return what the writer key says about this process; unique for each process."""
    return f"{os.uname().nodename}/{os.getpid()}/{secrets.token_hex(4)}"


def writer_key(label: str) -> str:
    """Return the key that the writer of a label holds."""
    return f"/srv6kv/{label}/writer"


def seconds_of(round_trip: float) -> int:
    """How long a lease has to last where requests and answers take that long."""
    return min(max(LEAST_SECONDS, math.ceil(ROUND_TRIPS * round_trip)), MOST_SECONDS)


@dataclass(frozen=True, slots=True)
class Renewals:
    """Leases of a client, renewed at its current endpoint; ``ask`` makes a linearizable read, which
    finds out whether the data is that of before."""

    calls: Calls
    ask: Callable[[], object]

    def open(self, requests: Iterator[Any]) -> Stream:
        """One LeaseKeepAlive call; Unavailable or Refused if it cannot be made."""
        return self.calls.stream("Lease", "LeaseKeepAlive", requests)

    def silent(self, answers: Stream) -> None:
        """Choose another endpoint for the next call, as this one is not answered."""
        self.calls.look_elsewhere(answers.endpoint)

    def answered(self, header: Any) -> None:
        """Check the header of an answer."""
        if self.calls.lineage.is_behind(header):
            with contextlib.suppress(Srv6kvError):
                self.ask()


class Writer:
    """The right to write for one label, as long as `lost` is not set.

    Attributes:
        identity: the value of the key; no two processes have the same.
        create_revision: the revision that made it. It repeats when etcd is restored from a
            snapshot, so only both together distinguish our key from one that another put there
            later.
        epoch: how often etcd's data was replaced before.
        lost: set as soon as the lease is gone, or must be presumed to be.
    """

    def __init__(
        self,
        key: str,
        identity: str,
        create_revision: int,
        *,
        epoch: int,
        lease_id: int,
        ttl: float,
        granted: float,
        renewals: Renewals,
        revoke: Callable[[], None],
    ) -> None:
        """Start to keep the lease alive, which lives ``ttl`` seconds from ``granted`` on: the
        monotonic time before it was asked for, so that we never think it younger."""
        self.key = key
        self.identity = identity
        self.create_revision = create_revision
        self.epoch = epoch
        self.lost = threading.Event()
        self._request = etcdrpc.LeaseKeepAliveRequest(ID=lease_id)
        self._interval = ttl / 3
        self._deadline = granted + ttl
        self._due = granted + self._interval
        self._last_asked = granted
        self._renewals = renewals
        self._revoke = revoke
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="srv6kv-writer", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Gives the key up, so that the next writer need not wait; a second call does nothing.

        If etcd is out of reach the lease runs out by itself.
        """
        if self._stopped.is_set():
            return
        self.abandon()
        with contextlib.suppress(Srv6kvError):
            self._revoke()

    def abandon(self) -> None:
        """Stops renewing; the key stays until the lease runs out."""
        self._stopped.set()
        self.lost.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(self._interval)

    def _keep(self) -> None:
        streams: list[_Stream] = []
        # The first is opened now: that takes a while where the network is slow.
        opened = -math.inf
        while not self.lost.is_set() and (now := time.monotonic()) < self._deadline:
            streams = _without_old(streams)
            if not streams or (streams[-1].is_silent(now) and now - opened > self._interval):
                # What is late may still come, so older streams are left alone until then.
                if now - opened >= RETRY_SECONDS:
                    opened = now
                    self._open_next(streams)
            elif now >= self._due:
                self._ask(streams[-1], now)
            self._stopped.wait(self._pause(now))
        self.lost.set()
        for stream in streams:
            stream.close()

    def _open_next(self, streams: list[_Stream]) -> None:
        with contextlib.suppress(Srv6kvError):
            if streams:
                self._renewals.silent(streams[-1].answers)
            stream = _Stream(self._renewals, self._request, self._renewed, self._interval)
            now = time.monotonic()
            if streams or now >= self._due:
                self._ask(stream, now)
            streams.append(stream)

    def _ask(self, stream: _Stream, now: float) -> None:
        """Ask, and again soon unless an answer comes: where the network has become slow, what
        counts is how late the last request that is answered in time was made."""
        stream.ask(now)
        self._last_asked = now
        self._due = now + RETRY_SECONDS

    def _renewed(self, asked: float, seconds: float) -> None:
        """An answer: the lease lives for so long after it was asked for, or is gone."""
        if seconds <= 0:
            self.lost.set()
        else:
            self._deadline = max(self._deadline, asked + seconds)
            self._due = max(asked + self._interval, self._last_asked + RETRY_SECONDS)

    def _pause(self, now: float) -> float:
        """Seconds until there may be something to do."""
        soon = min(self._deadline, self._due if self._due > now else now + RETRY_SECONDS)
        return max(0.0, min(soon - now, RETRY_SECONDS))


class _Stream:
    """One LeaseKeepAlive call and the thread that reads its answers."""

    def __init__(
        self,
        renewals: Renewals,
        request: Any,
        renewed: Callable[[float, float], None],
        patience: float,
    ) -> None:
        self.has_answered = False
        self.is_over = False
        self._renewals = renewals
        self._request = request
        self._renewed = renewed
        self._patience = patience
        self._requests: SimpleQueue[Any] = SimpleQueue()
        # The times of the requests that are not answered yet; answers come in their order.
        self._asked: deque[float] = deque()
        self.answers = renewals.open(iter(self._requests.get, None))
        self._thread = threading.Thread(target=self._read, name="srv6kv-lease", daemon=True)
        self._thread.start()

    def ask(self, now: float) -> None:
        """Send a request."""
        self._asked.append(now)
        self._requests.put(self._request)

    def is_silent(self, now: float) -> bool:
        """Whether an answer is overdue."""
        asked = next(iter(tuple(self._asked)), now)
        return now - asked >= self._patience

    def close(self) -> None:
        """End it."""
        self._requests.put(None)
        self.answers.cancel()
        if threading.current_thread() is not self._thread:
            self._thread.join(self._patience)

    def _read(self) -> None:
        with contextlib.suppress(Srv6kvError):
            for answer in self.answers:
                self.has_answered = True
                if self._asked:
                    self._renewed(self._asked.popleft(), float(answer.TTL))
                self._renewals.answered(answer.header)
        self.is_over = True
        self._requests.put(None)


def _without_old(streams: list[_Stream]) -> list[_Stream]:
    """The streams that are open; those before one that has answered are closed."""
    newest = max((at for at, one in enumerate(streams) if one.has_answered), default=0)
    for stream in streams[:newest]:
        stream.close()
    return [stream for stream in streams[newest:] if not stream.is_over]
