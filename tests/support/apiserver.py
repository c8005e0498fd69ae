"""A Kubernetes API server for tests: the resources that srv6kv reads, and everything that real
servers and what lies before them do to their clients.

It speaks HTTP/1.1 on loopback: create, replace and delete; lists with selectors, pages and
resource versions; chunked watches with bookmarks.
``tests/contract/test_apiserver_faithful.py`` shows with another client,
and against a real server, that it does so as Kubernetes does.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections import Counter
from http.server import ThreadingHTTPServer
from pathlib import Path

from apihandler import KINDS, Fault, Handler, Request
from kubeconfig import write_kubeconfig
from objectstore import Json, ObjectStore

__all__ = ["FakeApiServer", "Fault", "Request"]

TOKEN = "the-token-of-the-tests"
PLURALS = {kind: plural for plural, (_, kind) in KINDS.items()}


class FakeApiServer:
    """The server; started by ``with``.

    Attributes:
        store: the objects.
        tokens: who may come in; none: everybody.
        shortest_watch: so many seconds a watch must last to get a bookmark.
        kubeconfig: the file that says where it is, with ``TOKEN``.
        forbidden: resources, or a verb and a resource as ``watch pods``, that nobody may have.
        bookmark_seconds: so often a watch gets a bookmark if there is news; and near its end.
        chunk_bytes: watches are sent in pieces of this size; 0: an event a piece.
        requests: all that came.
        connections: how many there were.
    """

    def __init__(self, folder: Path, tls: tuple[Path, Path] | None = None) -> None:
        self.shortest_watch = 1
        self.kubeconfig = folder / "kubeconfig"
        self.store = ObjectStore()
        self.tokens = {TOKEN}
        self.forbidden: set[str] = set()
        self.bookmark_seconds = 60.0
        self.chunk_bytes = 0
        self.requests: list[Request] = []
        self.connections = 0
        self._faults: dict[tuple[str, str], Fault] = {}
        self._tls = tls
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self._connections: set[socket.socket] = set()
        self._muted = 0
        self._era = 0
        self.lock = self.store.condition

    def __enter__(self) -> FakeApiServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.heal()
        self.stop()

    @property
    def url(self) -> str:
        """Where it is."""
        host = f"127.0.0.1:{self._port}"
        return f"https://{host}" if self._tls else f"http://{host}"

    def apply(self, *bodies: Json) -> None:
        """Create or replace objects."""
        for body in bodies:
            self.store.put(PLURALS[body["kind"]], body)

    def remove(self, body: Json) -> None:
        """Delete an object."""
        namespace = "" if body["kind"] == "Node" else body["metadata"].get("namespace", "default")
        self.store.delete(PLURALS[body["kind"]], namespace, body["metadata"]["name"])

    def clear(self) -> None:
        """Delete all objects."""
        for kind, plural in PLURALS.items():
            for one in self.store.now(plural).values():
                self.remove({**one, "kind": kind})

    def forget_history(self) -> None:
        """No older version than now can be watched from or continued."""
        self.stop()
        self.store.compact()
        self.start()

    def start(self) -> None:
        """Listen, on the same port as before."""
        handler = type("Handler", (Handler,), {"api": self})
        server = _Server(("127.0.0.1", self._port), handler)
        if self._tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self._tls)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        self._port = server.server_address[1]
        self._server = server
        self._era += 1
        write_kubeconfig(self.kubeconfig, self.url, token=TOKEN)
        threading.Thread(
            target=server.serve_forever, args=(0.02,), name="test-api", daemon=True
        ).start()

    def stop(self) -> None:
        """Be away: no connection is left, no new one is taken."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        self.cut()

    def cut(self) -> None:
        """Every connection breaks."""
        with self.lock:
            self._era += 1
            connections, self._connections = self._connections, set()
            self.lock.notify_all()
        for one in connections:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(one, socket.SHUT_RDWR)

    def harm(self, verb: str, plural: str, fault: Fault) -> None:
        """From now on requests like this suffer; ``*`` stands for all."""
        with self.lock:
            self._faults[verb, plural] = fault

    def heal(self) -> None:
        """No fault is left; what was held comes now, muted watches stay mute."""
        with self.lock:
            self._faults.clear()
            self.lock.notify_all()

    def mute(self) -> None:
        """Nothing more comes over any watch that is open now, and none of them ends."""
        with self.lock:
            self._muted = len(self.came("watch"))

    def wait(self, plural: str, seen: int, era: int, until: float, number: int) -> None:
        """Return when a watch has something to do; ``lock`` is held."""
        self.lock.wait_for(
            lambda: self.store.has_more(plural, seen) or self.era != era,
            max(0.0, until - time.monotonic()),
        )
        self.lock.wait_for(lambda: number > self._muted or self.era != era)

    def fault_of(self, verb: str, plural: str) -> Fault | None:
        """What this request is to suffer."""
        with self.lock:
            for one in ((verb, plural), (verb, "*"), ("*", plural), ("*", "*")):
                fault = self._faults.get(one)
                if fault is not None and fault.spare > 0:
                    fault.spare -= 1
                elif fault is not None and fault.suffered < fault.times:
                    fault.suffered += 1
                    self.lock.notify_all()
                    return fault
            return None

    def wait_until_watched(self, *plurals: str, seconds: float = 15) -> None:
        """Return when the last that was asked of each of these resources is a watch."""

        def is_watched() -> bool:
            last = {one.plural: one.verb for one in self.requests}
            return all(last.get(plural) == "watch" for plural in plurals)

        with self.lock:
            enough = self.lock.wait_for(is_watched, seconds)
        assert enough, f"{plurals}: {self.requests[-5:]}"

    def wait_for_suffering(self, fault: Fault, number: int = 1, seconds: float = 15) -> None:
        """Return when so many requests have suffered."""
        with self.lock:
            enough = self.lock.wait_for(lambda: fault.suffered >= number, seconds)
        assert enough, f"{fault} {self.requests[-5:]}"

    def wait_for_heal(self) -> None:
        """Return when no fault is left."""
        with self.lock:
            self.lock.wait_for(lambda: not self._faults)

    def came(self, verb: str, plural: str = "", since: float = 0.0) -> list[Request]:
        """The requests of a kind so far."""
        with self.lock:
            return [
                one
                for one in self.requests
                if verb in ("*", one.verb) and plural in ("", one.plural) and one.at >= since
            ]

    def log(self, request: Request) -> int:
        """Remember a request; how many of its verb there were so far, this one included."""
        with self.lock:
            self.requests.append(request)
            self.lock.notify_all()
            return Counter(one.verb for one in self.requests)[request.verb]

    def wait_for_request(self, verb: str, plural: str, number: int, seconds: float = 15) -> None:
        """Return when so many requests of a kind have come."""
        with self.lock:
            enough = self.lock.wait_for(lambda: len(self.came(verb, plural)) >= number, seconds)
        assert enough, f"{verb} {plural} came {len(self.came(verb, plural))} times"

    def connected(self, connection: socket.socket) -> int:
        """A connection is there; the era in which it is."""
        with self.lock:
            self._connections.add(connection)
            self.connections += 1
            return self._era

    @property
    def era(self) -> int:
        """Changes when all connections break."""
        return self._era


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_: object) -> None:
        """A client that goes is no error."""
