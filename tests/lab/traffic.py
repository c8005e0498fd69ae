"""Servers and clients in the lab's namespaces, and how calls went.

A server says who it is for every line that it gets: ``who``; or it sends (``get BYTES``) or takes
(``put BYTES``) that much. All of them live in one thread of this process, because a socket stays in
the namespace in which it was made.
"""

from __future__ import annotations

import contextlib
import random
import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Self

from lab.netns import Netns

SLOW_SECONDS = 0.9
"""A lost SYN is sent again after one second."""
PATIENCE = 3.0
_KINDS = {"TCP": socket.SOCK_STREAM, "UDP": socket.SOCK_DGRAM}
_ANY = {socket.AF_INET6: "::", socket.AF_INET: "0.0.0.0"}


class Ending(StrEnum):
    """How a call ended.

    A slow one took a second or more, which is what a lost packet costs; a reset one was refused or
    broken off; a lost one was never answered.
    """

    OK = "ok"
    SLOW = "slow"
    RESET = "reset"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Target:
    """What a client calls."""

    address: str
    port: int
    protocol: str = "TCP"

    @property
    def family(self) -> socket.AddressFamily:
        """The family of its address."""
        return socket.AF_INET6 if ":" in self.address else socket.AF_INET

    def __str__(self) -> str:
        shown = f"[{self.address}]" if ":" in self.address else self.address
        return f"{shown}:{self.port}/{self.protocol.lower()}"


@dataclass(frozen=True, slots=True)
class Call:
    """One call.

    Attributes:
        ending: how it ended.
        server: who answered, "" if no one did.
        client: the address that the server saw.
        began: when, by the monotonic clock.
        seconds: how long it took.
        port: the client's port.
        error: what the client's kernel said.
    """

    ending: Ending
    server: str = ""
    client: str = ""
    began: float = 0.0
    seconds: float = 0.0
    port: int = 0
    error: str = ""


@dataclass(slots=True)
class Tally:
    """How calls ended, counted."""

    endings: Counter[Ending] = field(default_factory=Counter)
    servers: Counter[str] = field(default_factory=Counter)
    bad: list[Call] = field(default_factory=list)

    def add(self, call: Call) -> None:
        """Count one more."""
        self.endings[call.ending] += 1
        if call.server:
            self.servers[call.server] += 1
        if call.ending is not Ending.OK:
            self.bad.append(call)

    @property
    def total(self) -> int:
        """How many there were."""
        return self.endings.total()

    @property
    def answered(self) -> int:
        """How many got their answer, at once or late."""
        return self.endings[Ending.OK] + self.endings[Ending.SLOW]

    def __str__(self) -> str:
        counts = " ".join(f"{ending}={self.endings[ending]}" for ending in Ending)
        shares = " ".join(f"{name}:{number}" for name, number in sorted(self.servers.items()))
        return f"{counts} from {shares or 'no one'}"


def call(
    source: Netns, target: Target, *, port: int = 0, seconds: float = PATIENCE, text: str = "who"
) -> Call:
    """Call once, over a connection of its own.

    Args:
        source: where the client is.
        target: what it calls.
        port: the client's port; 0 is any.
        seconds: how long it waits.
        text: what it says.
    """
    began = time.monotonic()
    with source.socket(target.family, _KINDS[target.protocol]) as client:
        client.settimeout(seconds)
        ending, server, address, said = Ending.LOST, "", "", ""
        try:
            if port:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                client.bind((_ANY[target.family], port))
            client.connect((target.address, target.port))
            client.send(f"{text}\n".encode())
            words = client.recv(4096).decode().split()
            ending = Ending.OK if words else Ending.RESET
            server, address, *_ = [*words, "", ""]
        except (ConnectionResetError, ConnectionRefusedError, BrokenPipeError) as error:
            ending, said = Ending.RESET, str(error)
        except OSError as error:  # no answer in time, or no way there
            ending, said = Ending.LOST, str(error)
    spent = time.monotonic() - began
    if ending is Ending.OK and spent >= SLOW_SECONDS:
        ending = Ending.SLOW
    return Call(ending, server, address, began, spent, port, said)


def calls(
    source: Netns,
    target: Target,
    count: int = 40,
    *,
    workers: int = 8,
    ports: Sequence[int] = (),
    seconds: float = PATIENCE,
) -> Tally:
    """Call many times, and count.

    Args:
        source: where the client is.
        target: what it calls.
        count: how often, unless ports are given.
        workers: how many calls there are at a time.
        ports: the client's ports, one a call.
        seconds: how long a call waits.
    """
    tally = Tally()
    for one in each_call(source, target, ports or [0] * count, workers=workers, seconds=seconds):
        tally.add(one)
    return tally


def each_call(
    source: Netns,
    target: Target,
    ports: Iterable[int],
    *,
    workers: int = 8,
    seconds: float = PATIENCE,
) -> list[Call]:
    """Call once from each port."""
    with ThreadPoolExecutor(workers, thread_name_prefix="lab-client") as pool:
        return list(pool.map(lambda port: call(source, target, port=port, seconds=seconds), ports))


class Load:
    """Calls at a steady rate until the block ends.

    Args:
        source: where the client is.
        target: what it calls.
        rate: calls a second.
        workers: how many calls there may be at a time.
    """

    def __init__(self, source: Netns, target: Target, rate: float, workers: int = 16) -> None:
        self.tally = Tally()
        self._source, self._target, self._rate = source, target, rate
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(number, workers), name="lab-load")
            for number in range(workers)
        ]

    def __enter__(self) -> Self:
        self._start = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _work(self, number: int, workers: int) -> None:
        due = self._start + number / self._rate
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            made = call(self._source, self._target)
            with self._lock:
                self.tally.add(made)
            due += workers / self._rate


class Servers:
    """All servers of the lab, in one thread."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="lab-servers", daemon=True)
        self._thread.start()

    def add(self, place: Netns, name: str, ports: Iterable[str]) -> None:
        """Serve in a namespace.

        Args:
            place: where.
            name: what the server calls itself.
            ports: each as ``TCP/80``; IPv6 and IPv4.
        """
        for one in ports:
            protocol, _, number = one.partition("/")
            for family in (socket.AF_INET6, socket.AF_INET):
                server = place.socket(family, _KINDS[protocol])
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                server.bind((_ANY[family], int(number)))
                if protocol == "TCP":
                    server.listen(1024)
                server.setblocking(False)
                self._register(server, name, is_listening=protocol == "TCP")

    def remove(self, name: str) -> None:
        """Let a server end, as a pod that ends does: its connections are reset by the kernel."""
        with self._lock:
            for key in list(self._selector.get_map().values()):
                if key.data is not None and key.data[0] == name:
                    self._drop(key.fileobj)

    def close(self) -> None:
        """End all of them."""
        self._wake.close()
        self._thread.join(10)
        for key in list(self._selector.get_map().values()):
            self._drop(key.fileobj)
        self._selector.close()

    def _register(self, one: socket.socket, name: str, *, is_listening: bool) -> None:
        with self._lock:
            self._selector.register(one, selectors.EVENT_READ, (name, is_listening))

    def _drop(self, one: object) -> None:
        assert isinstance(one, socket.socket)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(one)
        one.close()

    def _serve(self) -> None:
        while True:
            ready = self._selector.select(0.5)
            for key, _ in ready:
                if key.fileobj is self._woken:
                    return
                name, is_listening = key.data
                one = key.fileobj
                assert isinstance(one, socket.socket)
                with contextlib.suppress(OSError, KeyError, ValueError):
                    if is_listening:
                        self._accept(one, name)
                    else:
                        self._answer(one, name)

    def _accept(self, listening: socket.socket, name: str) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                made, _ = listening.accept()
                made.setblocking(False)
                self._register(made, name, is_listening=False)

    def _answer(self, one: socket.socket, name: str) -> None:
        if one.type == socket.SOCK_DGRAM:
            _, client = one.recvfrom(65536)
            one.sendto(_words(name, client), client)
            return
        try:
            text = one.recv(4096)
        except ConnectionResetError:
            text = b""
        first, _, rest = text.partition(b"\n")
        if first.startswith((b"get ", b"put ")):
            self._selector.unregister(one)
            arguments = (one, name, first.decode(), len(rest))
            threading.Thread(target=_transfer, args=arguments, daemon=True).start()
        elif text:
            one.send(_words(name, one.getpeername()))
        else:
            self._drop(one)


def _words(name: str, client: Sequence[object]) -> bytes:
    return f"{name} {client[0]} {client[1]}\n".encode()


def _transfer(one: socket.socket, name: str, line: str, taken: int) -> None:
    """Send or take as many bytes as the line says."""
    what, _, number = line.partition(" ")
    with one, contextlib.suppress(OSError):
        one.settimeout(30)
        if what == "get":
            one.sendall(random.randbytes(int(number)))
            return
        while taken < int(number):
            got = len(one.recv(65536))
            if not got:
                return
            taken += got
        one.sendall(f"{name} {taken}\n".encode())


def download(source: Netns, target: Target, size: int, seconds: float = 20.0) -> int:
    """How many of these bytes arrive at a client.

    Raises:
        OSError: there is no connection.
    """
    with source.socket(target.family, socket.SOCK_STREAM) as client:
        client.settimeout(seconds)
        client.connect((target.address, target.port))
        client.sendall(f"get {size}\n".encode())
        taken = 0
        with contextlib.suppress(OSError):
            while got := len(client.recv(65536)):
                taken += got
        return taken


def upload(source: Netns, target: Target, size: int, seconds: float = 20.0) -> int:
    """How many of these bytes a server says that it has got.

    Raises:
        OSError: there is no connection.
    """
    with source.socket(target.family, socket.SOCK_STREAM) as client:
        client.settimeout(seconds)
        client.connect((target.address, target.port))
        with contextlib.suppress(OSError):
            client.sendall(f"put {size}\n".encode())
            client.sendall(random.randbytes(size))
            words = client.recv(4096).split()
            return int(words[1]) if len(words) > 1 else 0
        return 0
