"""One connection to the tests' API server: what is asked and what is answered."""

from __future__ import annotations

import base64
import json
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from objectstore import Compacted, Json, selects

if TYPE_CHECKING:
    from apiserver import FakeApiServer

KINDS = {
    "services": ("v1", "Service"),
    "nodes": ("v1", "Node"),
    "pods": ("v1", "Pod"),
    "endpointslices": ("discovery.k8s.io/v1", "EndpointSlice"),
}
TRUE = ("1", "true", "True")
PATH = re.compile(
    r"/api(?:/v1|s/discovery\.k8s\.io/v1)(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>services|nodes|pods|endpointslices|events)(?:/(?P<name>[^/]+))?"
)


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asked for, when (monotonic), and from which port."""

    verb: str
    plural: str
    query: Mapping[str, str]
    token: str
    at: float
    port: int = 0


@dataclass(slots=True)
class Fault:
    """What happens to a request instead of an answer as it should be.

    Attributes:
        status: an answer with this status; 0: with 200.
        body: this body, whatever was asked for.
        keep: of a list, only these items remain.
        change: what becomes of the bytes of a list.
        cut: the connection ends after so many bytes of the body; 0: without an answer.
        hold: nothing comes, until ``heal``.
        version: the list claims this resource version.
        line: what becomes of the line of a watch's event.
        spare: so many requests pass unharmed first.
        times: so many requests suffer it.
        suffered: so many have.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    keep: Callable[[Json], bool] | None = None
    change: Callable[[bytes], bytes] | None = None
    cut: int | None = None
    hold: bool = False
    version: int | None = None
    line: Callable[[bytes], bytes] | None = None
    spare: int = 0
    times: int = 1_000_000
    suffered: int = 0


@dataclass(frozen=True, slots=True)
class Selection:
    """What a list or a watch asks for."""

    plural: str
    namespace: str | None
    query: Mapping[str, str]

    def chooses(self, one: Json) -> bool:
        """Whether it asks for this object."""
        if self.namespace is not None and one["metadata"].get("namespace") != self.namespace:
            return False
        query = self.query
        return selects(one, query.get("labelSelector", ""), query.get("fieldSelector", ""))


class Handler(BaseHTTPRequestHandler):
    """A connection of a client."""

    protocol_version = "HTTP/1.1"
    wbufsize = 0
    api: FakeApiServer

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._era = self.api.connected(self.connection)

    def log_message(self, *_: object) -> None:
        """Tests look at ``requests``."""

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        self._body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        found = PATH.fullmatch(urlsplit(self.path).path)
        if found is None:
            self._say(404, _status(404, "NotFound", "the server could not find the resource"))
            return
        query = dict(parse_qsl(urlsplit(self.path).query))
        plural, name = found["plural"], found["name"]
        verb = {"POST": "create", "PUT": "update", "DELETE": "delete"}.get(self.command)
        is_watch = query.get("watch") in TRUE
        verb = verb or ("get" if name else "watch" if is_watch else "list")
        token = self.headers.get("Authorization", "").partition(" ")[2]
        port = self.client_address[1]
        number = self.api.log(Request(verb, plural, query, token, time.monotonic(), port))
        if self._is_refused(verb, plural, token):
            return
        fault = self.api.fault_of(verb, plural)
        if fault is not None and self._suffers(fault):
            return
        if verb == "list":
            self._list(Selection(plural, found["namespace"], query), fault)
        elif verb == "watch":
            self._watch(Selection(plural, found["namespace"], query), number, fault)
        else:
            self._object(verb, plural, found["namespace"] or "", name or "")

    def _is_refused(self, verb: str, plural: str, token: str) -> bool:
        if self.api.tokens and token not in self.api.tokens:
            self._say(401, _status(401, "Unauthorized", "Unauthorized"))
            return True
        if self.api.forbidden & {plural, f"{verb} {plural}"}:
            text = f'{plural} is forbidden: User "test" cannot {verb} resource "{plural}"'
            self._say(403, _status(403, "Forbidden", text))
            return True
        return False

    def _suffers(self, fault: Fault) -> bool:
        """Whether that was all there is to answer."""
        if fault.hold:
            self.api.wait_for_heal()
            self.close_connection = True
            return True
        if fault.cut == 0:
            self.close_connection = True
            return True
        if fault.body is not None:
            self._say(fault.status or 200, fault.body, fault)
            return True
        if fault.status:
            self._say(fault.status, _status(fault.status, "Fault", "as the test wants it"), fault)
            return True
        return False

    def _say(self, status: int, body: bytes | Json, fault: Fault | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        fault = fault or Fault()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in fault.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if fault.cut is not None:
            data = data[: fault.cut]
            self.close_connection = True
        self.wfile.write(data)

    def _object(self, verb: str, plural: str, namespace: str, name: str) -> None:
        store = self.api.store
        try:
            if verb == "create":
                self._say(201, store.put(plural, json.loads(self._body), namespace, new=True))
            elif verb == "update":
                self._say(200, store.put(plural, json.loads(self._body), namespace, new=False))
            elif verb == "delete":
                store.delete(plural, namespace, name)
                self._say(200, _status(200, "", ""))
            else:
                self._say(200, store.get(plural, namespace, name))
        except KeyError:
            self._say(404, _status(404, "NotFound", f'{plural} "{name}" not found'))
        except FileExistsError:
            self._say(409, _status(409, "AlreadyExists", f"{plural} already exists"))

    def _list(self, selection: Selection, fault: Fault | None) -> None:
        plural, query = selection.plural, selection.query
        version, kind = KINDS[plural]
        store = self.api.store
        at, after = store.version, ""
        if query.get("continue"):
            at, after = json.loads(base64.b64decode(query["continue"]))
        try:
            objects = store.at(plural, at)
        except Compacted:
            text = "The provided continue parameter is too old to display a consistent list result."
            self._say(410, _status(410, "Expired", text))
            return
        chosen = [
            (key, one)
            for key, one in sorted(objects.items())
            if key > after and selection.chooses(one)
        ]
        limit = int(query.get("limit", 0)) or len(chosen)
        page, rest = chosen[:limit], chosen[limit:]
        metadata = {"resourceVersion": str(at)}
        if rest:
            metadata["continue"] = base64.b64encode(json.dumps([at, page[-1][0]]).encode()).decode()
        items = [
            {k: v for k, v in one.items() if k not in ("kind", "apiVersion")} for _, one in page
        ]
        if fault is not None:
            items = [one for one in items if fault.keep is None or fault.keep(one)]
            if fault.version is not None:
                metadata["resourceVersion"] = str(fault.version)
        body = {"kind": f"{kind}List", "apiVersion": version, "metadata": metadata, "items": items}
        change = fault.change if fault is not None and fault.change is not None else bytes
        self._say(200, change(json.dumps(body).encode()), fault)

    def _watch(self, selection: Selection, number: int, fault: Fault | None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        left = fault.cut if fault is not None else None
        seconds = float(selection.query.get("timeoutSeconds", 1800))
        for event in self._events(selection, number, seconds):
            data = json.dumps(event).encode() + b"\n"
            if fault is not None and fault.line is not None:
                data = fault.line(data)
            if left is not None:
                data, left = data[:left], left - len(data)
            size = self.api.chunk_bytes or len(data)
            for start in range(0, len(data), size):
                piece = data[start : start + size]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            if left is not None and left <= 0:
                self.close_connection = True
                return
        if self.api.era == self._era:
            self.wfile.write(b"0\r\n\r\n")

    def _events(self, selection: Selection, number: int, seconds: float) -> Iterator[Json]:
        """What a watch sees until its end; one that is dead but open sees nothing and has none."""
        store, api, plural = self.api.store, self.api, selection.plural
        end = time.monotonic() + seconds
        since = int(selection.query.get("resourceVersion") or 0)
        changes, seen = store.begin(plural, since)
        if changes is None:
            text = f"too old resource version: {since} ({store.version})"
            yield {"type": "ERROR", "object": _status(410, "Expired", text)}
            return
        has_bookmarks = selection.query.get("allowWatchBookmarks") in TRUE
        last = end - min(2.0, seconds / 2)
        marks = _times(last, api.bookmark_seconds) if has_bookmarks else iter(())
        mark = next(marks, None)
        begun = seen
        while True:
            for change in changes:
                event = change.seen_by(selection.chooses)
                if event is not None and change.version > since:
                    yield event
            with api.lock:
                api.wait(plural, seen, self._era, min(end, mark or end), number)
                if api.era != self._era:
                    return
                changes, seen = store.after(plural, seen)
                version = store.version
            if mark is not None and time.monotonic() >= mark and not changes:
                mark = next(marks, None)
                if version > max(begun, since):  # without news there is no bookmark
                    yield {"type": "BOOKMARK", "object": _bookmark(plural, version)}
            if time.monotonic() >= end and not changes:
                return


def _times(last: float, every: float) -> Iterator[float]:
    """Every so often, and at last."""
    at = time.monotonic() + every
    while at < last:
        yield at
        at += every
    yield last


def _bookmark(plural: str, version: int) -> Json:
    api_version, kind = KINDS[plural]
    metadata = {"resourceVersion": str(version), "creationTimestamp": None}
    return {"kind": kind, "apiVersion": api_version, "metadata": metadata}


def _status(code: int, reason: str, message: str) -> Json:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success" if code < 400 else "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
