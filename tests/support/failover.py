"""The longest gap between writes when a member goes: of ``srv6kv run``, and of a bare client.

The bare client writes a key every 50 ms, and knows nothing but to try the next endpoint when a
write was not answered in `PATIENCE` seconds. Both run side by side on the same three members.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import grpc
from etcd_server import SECONDS
from history import History
from processes import Bench, service

from srv6kv.etcd.stubs import etcdrpc

PACE = 0.05
PATIENCE = 0.5
FILES = 20
PODS = ("2001:0:0:1::5", "2001:0:0:1::6")


class Prober:
    """The bare client."""

    def __init__(self, endpoints: Sequence[str]) -> None:
        self.written: list[float] = []
        self._channels = [grpc.insecure_channel(endpoint) for endpoint in endpoints]
        self._stopped = threading.Event()
        self._works = threading.Event()
        self._thread = threading.Thread(target=self._write, name="test-prober", daemon=True)
        self._thread.start()
        assert self._works.wait(SECONDS)

    def _write(self) -> None:
        stubs = [etcdrpc.KVStub(channel) for channel in self._channels]
        at = 0
        while not self._stopped.wait(PACE):
            try:
                stubs[at].Put(etcdrpc.PutRequest(key=b"/prober", value=b"1"), PATIENCE)
                self.written.append(time.monotonic())
                self._works.set()
            except grpc.RpcError:
                at = (at + 1) % len(stubs)

    def close(self) -> None:
        """End it."""
        self._stopped.set()
        self._thread.join()
        for channel in self._channels:
            channel.close()


class Editor:
    """Saves one of many manifests every 50 ms, so that there is always something to write."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._edit, name="test-editor", daemon=True)
        self._thread.start()

    def _edit(self) -> None:
        number = 0
        while not self._stopped.wait(PACE):
            number += 1
            at, port = number % FILES, 1000 + number
            self._bench.edit(f"p{at}.yaml", service(f"p{at}", f"2096::f{at:02x}", PODS, port))

    def close(self) -> None:
        """End it."""
        self._stopped.set()
        self._thread.join()


def longest_gap(times: Sequence[float], begin: float, end: float) -> float:
    """The longest time without a write that overlaps with a time."""
    known = [one for one in times if begin - 2.0 <= one <= end]
    return max(
        (b - a for a, b in zip(known, [*known[1:], end], strict=True) if b >= begin), default=0.0
    )


def arrivals(history: History) -> list[float]:
    """When each revision of ours came."""
    return [history.arrival(number) for number, _ in history.revisions()]


def gaps(
    prober: Prober, history: History, harm: Callable[[], None], seconds: float
) -> tuple[float, float]:
    """The longest gap of ours and of the bare client, from the harm on for so many seconds."""
    begin = time.monotonic()
    harm()
    while (left := begin + seconds - time.monotonic()) > 0:
        history.wait_for_news(left)
    end = time.monotonic()
    return (
        longest_gap(arrivals(history), begin, end),
        longest_gap(prober.written, begin, end),
    )
