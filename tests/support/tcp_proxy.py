"""A TCP proxy on loopback that does to connections what networks do."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from enum import Enum
from queue import SimpleQueue
from types import TracebackType
from typing import Self

CHUNK = 1 << 16
SECONDS = 15.0


class Fate(Enum):
    """What becomes of the request that is waited for."""

    LOSE_ANSWER = "lose answer"
    LOSE_REQUEST = "lose request"
    HOLD = "hold"


class TcpProxy:
    """Passes connections on to one server, and harms them as it is told to.

    Args:
        target: the server, as host:port; it need not be there yet.

    Attributes:
        struck: set when a request that was waited for has come (`lose_answer`,
            `lose_request`, `hold`).
        delay: seconds that every piece of data is held back, in both directions.
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self.target = (host, int(port))
        self.struck = threading.Event()
        self.delay = 0.0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._condition = threading.Condition()
        self._links: set[_Link] = set()
        self._is_frozen = False
        self._blocked = b""
        self._is_closed = False
        self._marker = b""
        self._fate = Fate.HOLD
        threading.Thread(target=self._accept, name="test-proxy", daemon=True).start()

    @property
    def endpoint(self) -> str:
        """Where clients find it, as host:port."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def freeze(self) -> None:
        """From now on nothing passes and nothing ends, as behind a dead link."""
        with self._condition:
            self._is_frozen = True

    def block(self, opening: bytes) -> None:
        """From now on nothing passes on connections whose first request has these bytes."""
        with self._condition:
            self._blocked = opening

    def thaw(self) -> None:
        """What was held back passes, and all that follows."""
        with self._condition:
            self._is_frozen = False
            self._blocked = b""
            self._condition.notify_all()

    def cut(self) -> None:
        """Resets every connection; new ones are taken."""
        with self._condition:
            links, self._links = self._links, set()
        for link in links:
            link.reset()

    def lose_answer(self, marker: bytes) -> None:
        """The next request with these bytes reaches the server; after it nothing comes back on its
        connection, until `cut`."""
        self._wait_for(marker, Fate.LOSE_ANSWER)

    def lose_request(self, marker: bytes) -> None:
        """The next request with these bytes does not reach the server: its connection is reset."""
        self._wait_for(marker, Fate.LOSE_REQUEST)

    def hold(self, marker: bytes) -> None:
        """The next request with these bytes, and all that follows, is held back until `thaw`."""
        self._wait_for(marker, Fate.HOLD)

    def forget(self) -> None:
        """No request is waited for any more."""
        self._wait_for(b"", Fate.HOLD)

    def close(self) -> None:
        """Ends every connection; no new one is taken."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()
        # A blocked accept does not see that its socket is closed, but that it is shut down.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.thaw()
        self.cut()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _wait_for(self, marker: bytes, fate: Fate) -> None:
        with self._condition:
            self._marker, self._fate = marker, fate
            self.struck.clear()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self.target, SECONDS)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            link = _Link(client, server)
            with self._condition:
                self._links.add(link)
            for source, sink in ((client, server), (server, client)):
                threading.Thread(
                    target=self._pass, args=(link, source, sink), name="test-link", daemon=True
                ).start()

    def _pass(self, link: _Link, source: socket.socket, sink: socket.socket) -> None:
        """Reads what comes; another thread passes it on, so that what is delayed delays nothing
        that comes after it."""
        came: SimpleQueue[tuple[float, bytes] | None] = SimpleQueue()
        threading.Thread(
            target=self._pass_on, args=(link, came, source is link.client, sink), daemon=True
        ).start()
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                came.put((time.monotonic(), data))
        came.put(None)

    def _pass_on(
        self,
        link: _Link,
        came: SimpleQueue[tuple[float, bytes] | None],
        is_request: bool,
        sink: socket.socket,
    ) -> None:
        tail = b""
        with contextlib.suppress(OSError):
            while (one := came.get()) is not None:
                at, data = one
                link.opening = link.opening or (data if is_request else b"")
                self._hold_back(link, at)
                if is_request and not self._may_pass(link, tail + data):
                    break
                tail = data[-len(self._marker) :] if self._marker else b""
                if is_request or not link.is_deaf:
                    sink.sendall(data)
        with self._condition:
            self._links.discard(link)
        link.reset()

    def _hold_back(self, link: _Link, came: float) -> None:
        """Returns when what came then may pass: after the delay, neither frozen nor blocked."""
        with self._condition:
            left = came + self.delay - time.monotonic()
            self._condition.wait_for(lambda: self._is_closed, max(0.0, left))
            self._condition.wait_for(lambda: self._is_closed or not self._is_held(link))

    def _is_held(self, link: _Link) -> bool:
        is_blocked = bool(self._blocked) and self._blocked in link.opening
        return self._is_frozen or is_blocked

    def _may_pass(self, link: _Link, data: bytes) -> bool:
        """Whether a request may go on; the one that is waited for makes its connection deaf, or
        everything wait."""
        with self._condition:
            if not self._marker or self._marker not in data:
                return True
            self._marker = b""
            self._is_frozen = self._fate is Fate.HOLD
            link.is_deaf = not self._is_frozen
            self.struck.set()
        self._hold_back(link, 0.0)
        return self._fate is not Fate.LOSE_REQUEST


class _Link:
    """Two sockets that belong together."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.is_deaf = False
        self.opening = b""

    def reset(self) -> None:
        """Ends both at once, without a farewell."""
        for one in (self.client, self.server):
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.shutdown(socket.SHUT_RDWR)
            one.close()
