"""The pages over HTTP: methods, paths, addresses, and clients that misbehave."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srv6kv.agent.digest import AgentShown
from srv6kv.errors import InputError
from srv6kv.telemetry import web
from srv6kv.telemetry.health import KEEPS_UP_SECONDS, LIVE_SECONDS, State
from srv6kv.telemetry.metrics import Telemetry
from srv6kv.telemetry.web import Pages, serving

PATHS = ("/livez", "/readyz", "/healthz", "/statusz", "/metrics")


class Node:
    """A server whose state the test sets."""

    def __init__(self) -> None:
        self.state = State(turned=time.monotonic())
        self.pages = Pages(lambda: self.state, Telemetry().registry, node="node1")
        self.address = ""

    def set(self, **changes: object) -> None:
        """Another state."""
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]  # passed through

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
        """Status, content type and body of an answer."""
        connection = http.client.HTTPConnection(self.address, timeout=10)
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            body = response.read().decode()
            return response.status, response.headers.get("Content-Type", ""), body
        finally:
            connection.close()


@pytest.fixture
def node(no_thread_is_left: None) -> Iterator[Node]:
    """A server on loopback."""
    node = Node()
    with serving("127.0.0.1:0", node.pages) as node.address:
        yield node


def test_at_the_start(node: Node) -> None:
    """Before the first sync it is live and healthy and not ready."""
    assert [node.ask(path)[0] for path in PATHS] == [200, 503, 200, 200, 200]
    assert "starting" in node.ask("/readyz")[2]


def test_in_step(node: Node) -> None:
    """After the first sync everything is well."""
    node.set(syncs=1, last_sync=time.time(), has_cluster=True, is_writer=True)

    assert [node.ask(path)[0] for path in PATHS] == [200] * 5
    assert node.ask("/livez") == (200, "text/plain; charset=utf-8", "ok\n")


def test_stuck(node: Node) -> None:
    """A loop that does not turn is not live; a change that waits makes it unhealthy only."""
    now = time.monotonic()
    node.set(turned=now - LIVE_SECONDS - 1, waits_since=now - KEEPS_UP_SECONDS - 1)

    assert [node.ask(path)[0] for path in ("/livez", "/healthz")] == [503, 503]

    node.set(turned=now)

    assert [node.ask(path)[0] for path in ("/livez", "/healthz")] == [200, 503]
    assert json.loads(node.ask("/statusz")[2])["source"]["oldestChangeSeconds"] > KEEPS_UP_SECONDS


def test_healthz_is_that_of_kube_proxy(node: Node) -> None:
    """It answers lastUpdated, currentTime and nodeEligible, and 503 on a node that goes."""
    node.set(last_sync=1.5, is_node_eligible=False)
    status, kind, body = node.ask("/healthz")
    found = json.loads(body)

    assert (status, kind) == (503, "application/json")
    assert set(found) == {"lastUpdated", "currentTime", "nodeEligible"}
    assert found["lastUpdated"] == "1970-01-01T00:00:01.500Z"
    assert found["nodeEligible"] is False


@pytest.mark.parametrize("query", ["agent", "agent=", "agent=1", "verbose&agent"])
def test_healthz_of_an_agent_that_has_lost_vpp(node: Node, query: str) -> None:
    """Who asks about the agent gets 503, however the query is spelled; others do not."""
    node.set(agent=AgentShown(vpp_lost="it has lost VPP"))

    assert node.ask(f"/healthz?{query}")[0] == 503
    assert [node.ask(path)[0] for path in ("/healthz", "/healthz?agents")] == [200, 200]


def test_statusz(node: Node) -> None:
    """It tells of every component."""
    node.set(warnings={"Malformed": 2}, trouble="etcd is away", holder="other")
    found = json.loads(node.ask("/statusz?pretty")[2])

    assert {"source", "etcd", "writer", "sync", "warnings", "doing", "version"} <= found.keys()
    assert found["node"] == "node1"
    assert found["warnings"] == {"Malformed": 2}
    assert found["etcd"]["trouble"] == "etcd is away"
    assert found["writer"] == {"held": False, "holder": "other"}


def test_metrics(node: Node) -> None:
    """Prometheus text by default, OpenMetrics if asked for."""
    _, kind, body = node.ask("/metrics")
    _, open_kind, open_body = node.ask("/metrics", Accept="application/openmetrics-text")

    assert kind.startswith("text/plain")
    assert "srv6kv_build_info{" in body
    assert open_kind.startswith("application/openmetrics-text")
    assert open_body.endswith("# EOF\n")


TEXT, OPEN = "text/plain", "application/openmetrics-text"
PROMETHEUS = (
    f"{OPEN};version=1.0.0;escaping=allow-utf-8;q=0.6,{OPEN};version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
"""What a Prometheus of today sends."""


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("*/*;q=0", TEXT),
        ("application/json", TEXT),
        (PROMETHEUS, OPEN),
        (OPEN, OPEN),
        (OPEN.upper(), OPEN),
        (f"{OPEN};q=0", TEXT),
        (f"{OPEN};q=0.2,text/plain;q=0.9", TEXT),
        (f"{OPEN};q=x", TEXT),
        (f"{OPEN};q=nan", TEXT),
        (f"{OPEN};q=-1", TEXT),
        (f"{OPEN};q=1e9", TEXT),
        (f"{OPEN};q=0.1234", TEXT),
        (f"{OPEN};q", TEXT),
        (f"{OPEN};version=nonsense", OPEN),
        (f"{OPEN};version=9.9.9", OPEN),
        (f"{OPEN};version=1.0.0;escaping=nonsense", OPEN),
        (f"{OPEN};version=", OPEN),
        ("text/plain;version=nonsense", TEXT),
        ("text/plain;version=1.0.0;escaping=\xff", TEXT),
        (",,;;==,", TEXT),
        ("\x01\x7f\xff", TEXT),
        ("\xe9" * 50, TEXT),
        (f"{OPEN}," * 2_000, TEXT),
    ],
    ids=range(25),
)
def test_any_accept(node: Node, accept: str, kind: str) -> None:
    """Metrics are answered whatever a client says that it takes."""
    status, found, body = node.ask("/metrics", Accept=accept)

    assert (status, found.split(";")[0]) == (200, kind)
    assert "srv6kv_build_info{" in body


@given(st.text(alphabet=st.characters(max_codepoint=255, blacklist_characters="\r\n")))
def test_any_accept_by_chance(accept: str) -> None:
    """Nor does any header that a client can send make an error."""
    pages = Pages(lambda: State(), Telemetry().registry)

    assert pages.answer("/metrics", accept).status == 200
    assert pages.answer("/metrics", f"{OPEN};{accept}").status == 200


@pytest.mark.parametrize("path", PATHS)
def test_methods(node: Node, path: str) -> None:
    """HEAD answers like GET without a body; every other method is not allowed."""
    status, kind, body = node.ask(path, "HEAD")

    assert (status, kind, body) == (*node.ask(path)[:2], "")
    assert {node.ask(path, method)[0] for method in ("POST", "PUT", "DELETE", "PATCH")} == {405}
    assert {node.ask(path, method)[0] for method in ("OPTIONS", "TRACE", "NONSENSE")} == {405}


@pytest.mark.parametrize("path", ["/", "/livez/", "/debug", "/metrics/x", "/../etc/passwd"])
def test_unknown_paths(node: Node, path: str) -> None:
    """What is not there is 404, and the answer says what is there."""
    status, _, body = node.ask(path)

    assert status == 404
    assert "/healthz\n" in body


@pytest.mark.parametrize(
    "sent", [b"", b"GET", b"\x00\xff\n\n", b"GET /livez HTTP/9.9\r\n\r\n", b"x" * 70000]
)
def test_misbehaving_clients(node: Node, sent: bytes) -> None:
    """A client that sends nonsense, or half a request and no more, hinders nobody."""
    host, _, port = node.address.rpartition(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(sent)

        assert node.ask("/livez")[0] == 200


def test_hostile_requests(node: Node) -> None:
    """Whatever a request holds, its answer is one of HTTP and no error of ours."""
    host, _, port = node.address.rpartition(":")
    for sent in (
        b"GET /" + b"x" * 66_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /\xff\xfe\x00\x1b HTTP/1.1\r\n\r\n",
        b"GET /statusz HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"GET /statusz HTTP/1.1\r\nA: " + b"b" * 70_000 + b"\r\n\r\n",
        b"GET /statusz HTTP/1.1\r\nAccept: \xff\xfe\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"GET http://other.example/metrics HTTP/1.1\r\n\r\n",
        b"GET //metrics HTTP/1.1\r\n\r\n",
        b"G\x1b[31mT /metrics HTTP/1.1\r\n\r\n",
        b"GET /metrics HTTP/2.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n",
    ):
        with socket.create_connection((host, int(port)), timeout=10) as client:
            client.sendall(sent)
            answer = client.makefile("rb").readline()

        assert answer.startswith((b"HTTP/1.0 2", b"HTTP/1.0 4", b"HTTP/1.0 505", b"<!DOCTYPE"))
    assert node.ask("/livez")[0] == 200


def test_a_client_that_trickles(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends a byte now and then is cut off, too."""
    monkeypatch.setattr(web, "WHOLE_SECONDS", 0.5)
    host, _, port = node.address.rpartition(":")
    began = time.monotonic()
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nA: ")
        ended = threading.Thread(target=lambda: client.recv(1))
        ended.start()
        while ended.is_alive() and time.monotonic() - began < 60:
            with suppress(OSError):
                client.sendall(b"b")
            ended.join(0.02)

        assert not ended.is_alive()


def test_too_many_clients(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes while all places are taken is turned away; a place that is free is given again."""
    monkeypatch.setattr(web, "MOST_CLIENTS", 2)
    host, _, port = node.address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=10) as one,
        socket.create_connection((host, int(port)), timeout=10) as two,
        socket.create_connection((host, int(port)), timeout=10) as three,
    ):
        assert three.recv(1) == b""
        one.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        assert one.makefile("rb").read().endswith(b"ok\n")
        two.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        assert two.makefile("rb").read().endswith(b"ok\n")

    assert node.ask("/livez")[0] == 200


def test_statusz_can_be_seen(node: Node) -> None:
    """What cannot be seen in a name is an escape of JSON, and stands for itself."""
    trouble = "etcd \x1b[31m\u202e\ud800"
    node.set(trouble=trouble)
    body = node.ask("/statusz")[2]

    assert body.isascii()
    assert "\x1b" not in body
    assert json.loads(body)["etcd"]["trouble"] == trouble


def test_many_at_once(node: Node) -> None:
    """Requests do not wait for one another."""
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda path=path: found.append(node.ask(path)[0]))
        for path in PATHS * 8
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(found) == [200] * 32 + [503] * 8


def test_ipv6() -> None:
    """An address in brackets is one of IPv6."""
    node = Node()
    with serving("[::1]:0", node.pages) as node.address:
        assert node.address.startswith("[::1]:")
        assert node.ask("/livez")[0] == 200


def test_a_port_that_is_taken() -> None:
    """It is one error that names the address."""
    pages = Node().pages
    with (
        serving("127.0.0.1:0", pages) as address,
        pytest.raises(InputError, match=f"^--listen {address}: .*in use; choose another"),
        serving(address, pages),
    ):
        pass


@pytest.mark.parametrize(
    "listen",
    ["10261", ":10261", "::1:10261", "a:b", "127.0.0.1:65536", "[]:1", "a..b:1", f"{'a' * 64}.b:1"],
)
def test_an_address_that_is_none(listen: str) -> None:
    """It is one error that says how to write it."""
    wrong = pytest.raises(InputError, match=r"is not host:port, \[address\]:port or none$")
    with wrong, serving(listen, Node().pages):
        pass


@pytest.mark.parametrize("listen", ["", "none"])
def test_nowhere(listen: str, no_thread_is_left: None) -> None:
    """Nothing listens, and no thread is started."""
    before = threading.active_count()
    with serving(listen, Node().pages) as address:
        assert address == "none"
        assert threading.active_count() == before
