"""What ``srv6kv run`` shows over HTTP: health, state and metrics (docs/telemetry.md).

Every answer is made of one snapshot of the loop's state: no request waits for the loop, for etcd
or for the cluster, and none changes anything.
"""

from __future__ import annotations

import logging
import re
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from srv6kv import __version__
from srv6kv.agent.connection import REMEDY
from srv6kv.agent.digest import AgentShown
from srv6kv.errors import InputError
from srv6kv.foreign import visible
from srv6kv.telemetry import health
from srv6kv.telemetry.health import State
from srv6kv.telemetry.logs import rfc3339, tell

log = logging.getLogger("srv6kv")

NOWHERE = ("", "none")
REQUEST_SECONDS = 5.0
"""A client that sends nothing, or reads nothing, for so long is cut off."""
WHOLE_SECONDS = 10.0
"""And one that is not done by then, however its bytes trickle."""
MOST_CLIENTS = 64
"""More at once are turned away: each has a thread."""
MOST_ACCEPT = 1000
"""A longer header of that name says nothing."""
JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
READ_ONLY = ("GET", "HEAD")
_HEALTHZ = "/healthz"
"""With ``agent`` in its query it asks besides whether the agent has lost VPP."""
_OPEN_METRICS = "application/openmetrics-text"
_WEIGHT = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request gets."""

    status: HTTPStatus
    kind: str
    body: bytes


class Pages:
    """The pages, by path; ``names`` is what does not change while the process runs."""

    def __init__(
        self, state: Callable[[], State], registry: CollectorRegistry, **names: str
    ) -> None:
        self._state = state
        self._registry = registry
        self._names = names
        self._began = time.time()
        self._pages: dict[str, Callable[[str], Answer]] = {
            "/livez": self._livez,
            "/readyz": self._readyz,
            _HEALTHZ: self._healthz,
            "/statusz": self._statusz,
            "/metrics": self._metrics,
        }

    def answer(self, path: str, accept: str = "") -> Answer:
        """The answer for a path; ``accept`` is that header."""
        name, _, query = path.partition("?")
        asks_agent = name == _HEALTHZ and "agent" in parse_qs(query, keep_blank_values=True)
        page = self._healthz_agent if asks_agent else self._pages.get(name)
        if page is None:
            known = "".join(f"{name}\n" for name in (*self._pages, f"{_HEALTHZ}?agent"))
            return Answer(HTTPStatus.NOT_FOUND, TEXT, f"not found; there are:\n{known}".encode())
        return page(accept)

    def _livez(self, _accept: str) -> Answer:
        state, now = self._state(), time.monotonic()
        problem = f"no turn of the loop for {now - state.turned:.0f} s"
        return _verdict(problem, is_good=health.is_live(state, now))

    def _readyz(self, _accept: str) -> Answer:
        state = self._state()
        problem = f"not in sync with the cluster yet: {state.node_warning or state.doing}"
        return _verdict(problem, is_good=health.is_ready(state))

    def _healthz(self, _accept: str) -> Answer:
        return self._health(self._state(), {}, is_good=True)

    def _healthz_agent(self, _accept: str) -> Answer:
        state = self._state()
        loss = state.agent.vpp_lost
        agent = f"{loss}: {REMEDY}" if loss else "ok"
        return self._health(state, {"agent": agent}, is_good=not loss)

    def _health(self, state: State, more: dict[str, str], *, is_good: bool) -> Answer:
        """Kube-proxy's answer, with more in it."""
        body = {
            "lastUpdated": rfc3339(state.last_sync or self._began),
            "currentTime": rfc3339(time.time()),
            "nodeEligible": state.is_node_eligible,
            **more,
        }
        is_good &= health.is_healthy(state, time.monotonic())
        return _answer(JSON, visible.encode(body), is_good=is_good)

    def _statusz(self, _accept: str) -> Answer:
        state, now = self._state(), time.monotonic()
        waits = None if state.waits_since is None else round(now - state.waits_since, 3)
        body = {
            "version": __version__,
            **self._names,
            "doing": state.doing,
            "live": health.is_live(state, now),
            "ready": health.is_ready(state),
            "healthy": health.is_healthy(state, now),
            "source": {
                "complete": state.has_cluster,
                "nodeSeen": state.has_cluster and not state.node_warning,
                "nodeEligible": state.is_node_eligible,
                "oldestChangeSeconds": waits,
            },
            "etcd": {"revision": state.revision, "trouble": state.trouble},
            "writer": {"held": state.is_writer, "holder": state.holder},
            "sync": {
                "last": None if state.last_sync is None else rfc3339(state.last_sync),
                "count": state.syncs,
                "commits": state.commits,
            },
            "warnings": state.warnings,
            "agent": _agent(state.agent),
        }
        return _answer(JSON, visible.encode(body))

    def _metrics(self, accept: str) -> Answer:
        encode, kind = choose_encoder(_OPEN_METRICS if _wants_open_metrics(accept) else "")
        return Answer(HTTPStatus.OK, kind, encode(self._registry))


def _wants_open_metrics(accept: str) -> bool:
    """Whether a client names OpenMetrics, and does not rather take text. Whatever else it says, it
    gets text: the header is not the library's to read, which fails on odd ones."""
    weights = {_OPEN_METRICS: 0.0, "text/plain": 0.0}
    for item in accept.lower().split(",") if len(accept) <= MOST_ACCEPT else ():
        kind, *parameters = (part.strip() for part in item.split(";"))
        if kind in weights:
            weights[kind] = max(weights[kind], _weight(parameters))
    return 0.0 < weights[_OPEN_METRICS] >= weights["text/plain"]


def _weight(parameters: Sequence[str]) -> float:
    """The weight of a media range; one that is not a number from 0 to 1 is none."""
    for parameter in parameters:
        name, _, text = parameter.partition("=")
        if name.strip() == "q":
            return float(text) if _WEIGHT.fullmatch(text.strip()) else 0.0
    return 1.0


def _answer(kind: str, text: str, *, is_good: bool = True) -> Answer:
    status = HTTPStatus.OK if is_good else HTTPStatus.SERVICE_UNAVAILABLE
    return Answer(status, kind, f"{text}\n".encode())


def _verdict(problem: str, *, is_good: bool) -> Answer:
    return _answer(TEXT, "ok" if is_good else visible.line(problem), is_good=is_good)


def _agent(shown: AgentShown) -> dict[str, Any]:
    """What the agent says; without states there are none to show."""
    return {
        "source": shown.source or None,
        "startTime": shown.start_time or None,
        "url": shown.url or None,
        "vpp": shown.vpp or None,
        "hasLostVpp": bool(shown.vpp_lost),
        "states": shown.states,
        "bad": [msgspec.to_builtins(status) for status in shown.bad],
        "repair": [msgspec.to_builtins(need) for need in shown.needs],
        "unreadable": shown.unreadable,
    }


class _Handler(BaseHTTPRequestHandler):
    """One request; a client that sends half of one is cut off."""

    server: _Server
    server_version = "srv6kv"
    sys_version = ""
    timeout = REQUEST_SECONDS

    def parse_request(self) -> bool:
        """Any method but GET and HEAD is known and not allowed, whatever its name."""
        if not super().parse_request():
            return False
        if self.command not in READ_ONLY:
            self.send_response(HTTPStatus.METHOD_NOT_ALLOWED)
            self.send_header("Allow", ", ".join(READ_ONLY))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return False
        return True

    def do_GET(self) -> None:  # the library calls it by this name
        """Answer with the page."""
        found = self.server.pages.answer(self.path, self.headers.get("Accept", ""))
        self.send_response(found.status)
        self.send_header("Content-Type", found.kind)
        self.send_header("Content-Length", str(len(found.body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(found.body)

    do_HEAD = do_GET  # noqa: N815  # the library calls it by this name

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # inherited name
        """Requests are no decisions of ours."""


class _Server(socketserver.ThreadingTCPServer):
    """Not http.server's: that one asks DNS for its own name before it serves."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, family: socket.AddressFamily, address: Any, pages: Pages) -> None:
        self.address_family = family
        self.pages = pages
        self._clients: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether there is a thread for one more client."""
        with self._lock:
            if len(self._clients) >= MOST_CLIENTS:
                return False
            self._clients[request] = time.monotonic()
        return True

    def shutdown_request(self, request: Any) -> None:
        """A client is done with, or turned away."""
        with self._lock:
            self._clients.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut off clients that take too long; between two requests, and several times a second."""
        late = time.monotonic() - WHOLE_SECONDS
        with self._lock:
            for client in [one for one, since in self._clients.items() if since < late]:
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log an error, unless the client has gone away."""
        error = sys.exception()
        if not isinstance(error, OSError):
            tell(log, logging.ERROR, "http", error=f"{type(error).__name__}: {error}")


@contextmanager
def serving(listen: str, pages: Pages) -> Iterator[str]:
    """Serve in a thread of its own as long as the block runs.

    Args:
        listen: ``host:port`` or ``[address]:port``, port 0 takes a free one; or of ``NOWHERE``.

    Yields:
        Where it listens, with the port that was taken; or ``none``.
    """
    if listen in NOWHERE:
        yield "none"
        return
    host, port = _host_and_port(listen)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        server = _Server(family, address, pages)
    except OSError as error:
        text = f"--listen {listen}: cannot listen: {error.strerror or error}"
        raise InputError(f"{text}; choose another address, or none") from None
    thread = threading.Thread(
        target=server.serve_forever, args=(0.1,), name="srv6kv-web", daemon=True
    )
    thread.start()
    try:
        host, taken = map(str, server.server_address[:2])
        yield f"[{host}]:{taken}" if ":" in host else f"{host}:{taken}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _host_and_port(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    # A label of more than 63 bytes, or none, is no name for the resolver either.
    is_host = ":" in host or all(0 < len(part) < 64 for part in host.removesuffix(".").split("."))
    if not is_host or not port.isdecimal() or int(port) > 65535:
        raise InputError(f"--listen {listen}: is not host:port, [address]:port or none")
    return host, int(port)
