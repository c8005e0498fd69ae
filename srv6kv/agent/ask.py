"""One HTTP request with one deadline for all of it: the name's addresses, the connection, TLS, the
request, every byte of the headers and of the body.

A timeout of a socket begins again with each byte, so a server that sends one now and then would
never let go.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from srv6kv.errors import Unavailable

CHUNK_BYTES = 1 << 16

Addresses = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered."""

    status: int
    reason: str
    body: bytes


class Server:
    """A server that is asked; for several threads.

    Args:
        silence: seconds without a byte until the server counts as away.
        whole: seconds that one request may take.
        most: bytes that an answer may have.
    """

    def __init__(
        self, host: str, port: int, *, uses_tls: bool, silence: float, whole: float, most: int
    ) -> None:
        self._host = host
        self._port = port
        self._tls = ssl.create_default_context() if uses_tls else None
        self._silence = silence
        self._whole = whole
        self._most = most

    def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Reply:
        """Send a request and read the whole answer.

        Raises:
            Unavailable: it does not end.
            OSError: the connection fails.
            HTTPException: the answer is not HTTP.
            ValueError: the request or the answer has characters that HTTP does not.
        """
        deadline = time.monotonic() + self._whole
        sock = _connected(self._host, self._port, self._silence, deadline)
        connection = http.client.HTTPConnection(self._host, self._port)
        cut = _Cut(sock)
        timer = threading.Timer(max(0.0, deadline - time.monotonic()), cut.now)
        timer.daemon, timer.name = True, "srv6kv-deadline"
        timer.start()
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(
                    sock, server_hostname=self._host, do_handshake_on_connect=False
                )
                cut.of(sock)
                sock.do_handshake()
            connection.sock = sock
            connection.request(method, path, body, {**headers, "Connection": "close"})
            with connection.getresponse() as response:
                reply = self._read(response)
        except (OSError, http.client.HTTPException, ValueError):
            if not cut.is_done:
                raise
        finally:
            cut.of(None)
            timer.cancel()
            timer.join()
            connection.close()
            sock.close()
        if cut.is_done:  # what came then only looks like the end
            raise Unavailable(f"the answer does not end within {self._whole:g} s")
        return reply

    def _read(self, response: http.client.HTTPResponse) -> Reply:
        found: list[bytes] = []
        size = 0
        while chunk := response.read1(CHUNK_BYTES):
            found.append(chunk)
            size += len(chunk)
            if size > self._most:
                raise Unavailable(f"the answer does not end within {self._most} bytes")
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        return Reply(response.status, response.reason, b"".join(found))


class _Cut:
    """Ends whatever waits for a socket, from another thread."""

    def __init__(self, sock: socket.socket) -> None:
        self._lock = threading.Lock()
        self._sock: socket.socket | None = sock
        self.is_done = False

    def of(self, sock: socket.socket | None) -> None:
        """Cut this one from now on; None: it is over."""
        with self._lock:
            self._sock = sock
            if self.is_done and sock is not None:
                _shut(sock)

    def now(self) -> None:
        """Cut it now."""
        with self._lock:
            if self._sock is not None:
                self.is_done = True
                _shut(self._sock)


def _shut(sock: socket.socket) -> None:
    # Not SSLSocket's, which takes away what the other thread is using.
    with suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _connected(host: str, port: int, silence: float, deadline: float) -> socket.socket:
    """A connection to the first address of a host that takes one."""
    failure: OSError = OSError("the name has no address")
    for family, kind, protocol, _, address in _addresses_of(host, port, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(min(silence, left))
            sock.connect(address)
            sock.settimeout(silence)
            return sock
        except OSError as error:
            failure = error
            sock.close()
    raise failure


def _addresses_of(host: str, port: int, deadline: float) -> Addresses:
    """What the name stands for; a resolver that does not answer is not waited for."""
    with suppress(socket.gaierror):  # an address needs no resolver
        return _looked_up(host, port, socket.AI_NUMERICHOST)
    found: SimpleQueue[Addresses | Exception] = SimpleQueue()

    def resolve() -> None:
        try:
            found.put(_looked_up(host, port))
        except (OSError, UnicodeError) as error:
            found.put(error)

    thread = threading.Thread(target=resolve, name="srv6kv-resolve", daemon=True)
    thread.start()
    try:
        answer = found.get(timeout=max(0.0, deadline - time.monotonic()))
    except Empty:
        raise OSError(f"no resolver tells the addresses of {host}") from None
    thread.join()
    if isinstance(answer, Exception):
        raise answer
    return answer


def _looked_up(host: str, port: int, flags: int = 0) -> Addresses:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags))
