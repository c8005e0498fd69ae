"""The agent's REST server is asked over a real connection, and may answer anything."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from etcd_server import SECONDS

from srv6kv.agent import rest
from srv6kv.agent.rest import AgentRest
from srv6kv.agent.status import State, ValueStatus
from srv6kv.errors import InputError, Unavailable

KEY = "config/vpp/srv6/v2/localsid/6666::5"
STATUS = {"value": {"key": KEY, "state": 4, "last_operation": "CREATE"}}


def reply(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """An HTTP answer."""
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _in_chunks(body: bytes, size: int) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in [*parts, b""])
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks


class Server:
    """Answers every request with the same bytes, as they are; keeps what was asked."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self.asked: list[bytes] = []
        self._condition = threading.Condition()
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                with self._condition:
                    self.asked.append(_request_of(connection))
                    self._condition.notify_all()
                try:
                    self._serve(connection)
                except OSError:
                    continue  # the client gave up

    def wait(self, number: int) -> None:
        """Return when that many questions have come."""
        with self._condition:
            assert self._condition.wait_for(lambda: len(self.asked) >= number, SECONDS)

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


def _request_of(connection: socket.socket) -> bytes:
    found = b""
    while b"\r\n\r\n" not in found:
        found += connection.recv(65_536)
    head, _, body = found.partition(b"\r\n\r\n")
    length = next(
        (int(line[15:]) for line in head.split(b"\r\n") if line.lower()[:15] == b"content-length:"),
        0,
    )
    while len(body) < length:
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


@contextmanager
def _answering(answer: bytes | Callable[[socket.socket], None]) -> Iterator[Server]:
    serve = answer if callable(answer) else lambda connection: connection.sendall(answer)
    server = Server(serve)
    try:
        yield server
    finally:
        server.stop()


def test_states() -> None:
    """All states are asked for, because the agent refuses prefixes that are no model's."""
    other = {"value": {"key": "config/linux/x", "state": "PENDING", "details": ["why"]}}
    with _answering(reply(json.dumps([STATUS, other]).encode())) as server:
        agent = AgentRest(server.url + "/")
        configured = ValueStatus(KEY, State.CONFIGURED, "CREATE")

        assert agent.statuses("config/vpp/") == {KEY: configured}
        assert agent.statuses() == {
            KEY: configured,
            "config/linux/x": ValueStatus("config/linux/x", State.PENDING, details=("why",)),
        }

    assert [line.split()[1] for line in server.asked] == [b"/scheduler/status"] * 2


def test_names_of_interfaces() -> None:
    """VPP's name of each; what names nothing is passed over."""
    shown = {
        "0": {"interface": {"name": "tap-a", "type": 3}, "interface_meta": {"internal_name": "t1"}},
        "1": {"interface": {}, "interface_meta": {"internal_name": "local0"}},
        "2": {"interface": {"name": "b"}, "interface_meta": {"tag": "b"}},
        "3": {"interface": {"name": "c"}},
    }
    with _answering(reply(json.dumps(shown).encode())) as server:
        assert AgentRest(server.url).interface_names() == {"tap-a": "t1"}
        assert server.asked[0].split()[1] == b"/dump/vpp/v2/interfaces"
    with _answering(reply(b"null")) as server:
        assert AgentRest(server.url).interface_names() == {}


@pytest.mark.parametrize("answer", [reply(b"[]"), reply(b'"no"'), reply(b'{"0":{"interface":7}}')])
def test_names_of_interfaces_that_are_none(answer: bytes) -> None:
    """An answer of another shape is that of a server that is away."""
    with (
        _answering(answer) as server,
        pytest.raises(Unavailable, match="/dump/vpp/v2/interfaces: "),
    ):
        AgentRest(server.url).interface_names()


def test_an_answer_in_chunks() -> None:
    """A body without a length, cut anywhere, is one body."""
    body = json.dumps([STATUS]).encode()
    with _answering(_in_chunks(body, 3)) as server:
        assert AgentRest(server.url).statuses().keys() == {KEY}


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (reply(b"404 page not found\n", "404 Not Found"), ": 404 page not found"),
        (reply(b"<html>gone</html>", "404 Not Found"), ": 404 Not Found"),
        (reply(b'"500 Internal: not connected to VPP\\n"\n', "500 Oh"), ": 500 Internal: not co"),
        (reply(b'{"Error":"unknown\\nkey"}', "500 Oh"), "500 unknown key"),
        (reply(b"{}", "301 Moved", "Location: http://127.0.0.1:1/"), "301 Moved"),
        (reply(b"<html>"), "/scheduler/status: JSON is malformed"),
        (reply(b'[{"value":{"key":"config/a","sta'), "/scheduler/status: Input data was trunc"),
        (reply(b'[{"value":{}}]')[:-4], "/scheduler/status: "),
        (reply(b"[" * 100_000), "/scheduler/status: nests too deep"),
        (reply(b""), "/scheduler/status: Input data was trunc"),
        (b"220 mail.example ESMTP\r\n", "/scheduler/status: "),
        (b"", "/scheduler/status: "),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "/scheduler/status: "),
    ],
)
def test_an_answer_that_is_none(answer: bytes, text: str) -> None:
    """Whatever comes instead of states counts as a server that is out of reach, with the reason."""
    with _answering(answer) as server:
        with pytest.raises(Unavailable) as caught:
            AgentRest(server.url).statuses()
        assert str(caught.value).startswith(f"GET {server.url}/scheduler/status: ")
        assert text in str(caught.value)


def test_a_server_that_says_nothing() -> None:
    """After the timeout it counts as away."""
    release, is_over = threading.Event(), threading.Event()

    def keep_quiet(_connection: socket.socket) -> None:
        if not release.wait(60):
            is_over.set()

    with _answering(keep_quiet) as server:
        with pytest.raises(Unavailable, match=f"GET {server.url}/scheduler/status: "):
            AgentRest(server.url, timeout=0.1).statuses()
        assert not is_over.is_set()
        release.set()


def test_an_answer_that_trickles_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that always sends a little more holds nobody up for ever."""
    monkeypatch.setattr(rest, "WHOLE_ANSWER", 2.0)
    gone = threading.Event()

    def trickle(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n[")
        while not gone.wait(0.02):
            connection.sendall(b" ")

    with _answering(trickle) as server:
        with pytest.raises(Unavailable, match="does not end"):
            AgentRest(server.url, timeout=0.1).statuses()
        gone.set()


HEAD = b"HTTP/1.1 200 OK\r\nX-Long: "


def _trickle(whole: bytes, gone: threading.Event, more: bytes = b"") -> Callable[..., None]:
    def serve(connection: socket.socket) -> None:
        connection.sendall(more)
        for byte in whole:
            if gone.wait(0.02):
                return
            connection.sendall(bytes([byte]))

    return serve


@pytest.mark.parametrize(
    ("whole", "before"),
    [
        (b"HTTP/1.1 200 OK\r\n" * 500, b""),
        (HEAD + b"x" * 10_000, b""),
        (b"X: y\r\n" * 2_000, b"HTTP/1.1 200 OK\r\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 500, b""),
        (b"1\r\n \r\n" * 2_000, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (b" " * 10_000, b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n"),
        (b" " * 10_000, b"HTTP/1.1 200 OK\r\n\r\n"),
        (b"x" * 10_000, b"HTTP/1.1 500 Oh\r\n\r\n"),
    ],
    ids=["status", "a header", "headers", "go on", "chunks", "length", "no length", "refusal"],
)
def test_one_deadline_for_everything(
    monkeypatch: pytest.MonkeyPatch, whole: bytes, before: bytes
) -> None:
    """Whatever of an answer trickles in, byte by byte, its time is over once and for all."""
    monkeypatch.setattr(rest, "WHOLE_ANSWER", 4.0)
    gone = threading.Event()
    with _answering(_trickle(whole, gone, before)) as server:
        with pytest.raises(Unavailable, match=r"status: the answer does not end within 0\.4 s"):
            AgentRest(server.url, timeout=0.1).statuses()
        gone.set()


def test_a_handshake_that_trickles_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does TLS that is never agreed on hold anybody up."""
    monkeypatch.setattr(rest, "WHOLE_ANSWER", 4.0)
    listener = socket.create_server(("127.0.0.1", 0))
    gone = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.sendall(b"\x16\x03\x03\x40\x00")
            while not gone.wait(0.02):
                connection.sendall(b"\x02")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with listener, pytest.raises(Unavailable):
        AgentRest(f"https://127.0.0.1:{listener.getsockname()[1]}", timeout=0.1).statuses()
    gone.set()
    thread.join(5)

    assert not thread.is_alive()


def test_no_thread_is_kept(no_thread_is_left: None) -> None:
    """A question leaves nothing behind, whether it had an answer or not."""
    with _answering(reply(b"[]")) as server:
        assert AgentRest(server.url.replace("127.0.0.1", "localhost")).statuses() == {}
        assert AgentRest(server.url).statuses() == {}
    with pytest.raises(Unavailable):
        AgentRest(server.url).statuses()


def test_a_resolver_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look-up of the server's name counts, too; one that fails is a server out of reach."""
    answered = threading.Event()

    def look_up(*_: object, flags: int = 0, **__: object) -> list[object]:
        if not flags:
            answered.wait(10)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(rest, "WHOLE_ANSWER", 4.0)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    agent = AgentRest("http://agent.example:9191", timeout=0.1)
    with pytest.raises(Unavailable, match="no resolver tells the addresses of agent"):
        agent.statuses()
    answered.set()
    with pytest.raises(Unavailable, match="scheduler/status: Name or service not known"):
        agent.statuses()


def test_an_answer_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not more than so many bytes are kept."""
    monkeypatch.setattr(rest, "MOST_BYTES", 100_000)
    answer = _answering(reply(b" " * 1_000_000))
    with answer as server, pytest.raises(Unavailable, match="does not end"):
        AgentRest(server.url).statuses()


def test_ten_thousand_states() -> None:
    """A node of the largest cluster answers with some megabytes."""
    many = [{"value": {"key": f"{KEY}{index}", "state": 4}} for index in range(10_000)]
    with _answering(_in_chunks(json.dumps(many).encode(), 4096)) as server:
        assert len(AgentRest(server.url).statuses()) == 10_000


def test_a_command_of_vpp() -> None:
    """It goes out as JSON, and its text comes back as VPP printed it."""
    with _answering(reply(b'"SR policies:\\n[0].-\\tBSID: 5555::\\b\\n"')) as server:
        answer = AgentRest(server.url).vpp_command('show sr "policies"')

    assert answer == "SR policies:\n[0].-\tBSID: 5555::\b\n"
    head, _, body = server.asked[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /vpp/command HTTP/1.1\r\n")
    assert json.loads(body) == {"vppclicommand": 'show sr "policies"'}


def test_a_command_answered_as_plain_text() -> None:
    """An agent that sends the text itself is understood too."""
    with _answering(reply(b"SR policies:\n")) as server:
        assert AgentRest(server.url).vpp_command("sh sr policies") == "SR policies:\n"


def test_history_and_dump() -> None:
    """One object and a list of them read alike; nothing is an empty list."""
    with _answering(reply(b'{"SeqNum":7}')) as server:
        agent = AgentRest(server.url)
        assert agent.history(7) == [{"SeqNum": 7}]
        assert agent.dump("config/vpp/srv6/v2/localsid/") == [{"SeqNum": 7}]
    assert [line.split()[1] for line in server.asked] == [
        b"/scheduler/txn-history?seq-num=7",
        b"/scheduler/dump?key-prefix=config/vpp/srv6/v2/localsid/&view=cached",
    ]
    with _answering(reply(b"null")) as server:
        assert AgentRest(server.url).history() == []
    with _answering(reply(b"[7]")) as server, pytest.raises(Unavailable, match="txn-history"):
        AgentRest(server.url).history()


def test_nobody_listens() -> None:
    """A refused connection is a server out of reach."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(Unavailable, match=f"GET http://127.0.0.1:{port}/scheduler/status: "):
        AgentRest(f"http://127.0.0.1:{port}").statuses()


def test_a_name_and_password_in_the_url() -> None:
    """They go with the request and are in no message."""
    with _answering(reply(b"", "401 Unauthorized")) as server:
        agent = AgentRest(server.url.replace("://", "://me:secret@"))
        with pytest.raises(Unavailable, match=f"{server.url}/scheduler/status: 401 Unauthorized"):
            agent.statuses()
    assert b"authorization: Basic bWU6c2VjcmV0".lower() in server.asked[0].lower()


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:9191", "ftp://a", "http://", "http://[", "http://a?b"]
)
def test_no_url(url: str) -> None:
    """What is no URL is refused before anything is asked."""
    with pytest.raises(InputError, match="is no URL"):
        AgentRest(url)
