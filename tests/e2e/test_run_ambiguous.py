"""``srv6kv run`` whose requests or answers are lost on the way."""

from __future__ import annotations

import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agent_words import without_copies
from figures import Timed
from history import History
from invariants import broken
from processes import NODE, Bench, service
from tcp_proxy import SECONDS, TcpProxy

from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store

Connect = Callable[..., Etcd3Store]
PREFIXES = 6
"""Reading everything: the agent's keys, our own, the node records of Contiv, what the agent says
of its values, of itself and of its connection to VPP."""

COMMIT = b'"segment_lists"'
"""In a request that writes a policy, and in no other."""

CLAIM = f"{os.uname().nodename}/".encode()
"""In the request that puts the writer key, whose value begins so."""

RANGE = 'grpc_server_handled_total{grpc_code="OK",grpc_method="Range"'
SMALL = service("small", "2096::c1", ["2001:0:0:1::5", "2001:0:0:1::6"])
LARGE = "".join(
    service(f"large-{number}", f"2096::e{number:03x}", ["2001:0:0:1::5"]) for number in range(70)
)
"""More than 120 operations: a nested transaction."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedEtcd]:
    """An etcd of the test's own, so that its calls can be counted."""
    with EmbeddedEtcd(tmp_path / "etcd") as server:
        yield server


@pytest.fixture
def proxy(server: EmbeddedEtcd) -> Iterator[TcpProxy]:
    """What lies between srv6kv and etcd."""
    with TcpProxy(server.endpoint) as proxy:
        yield proxy


@pytest.fixture
def bench(
    tmp_path: Path, server: EmbeddedEtcd, proxy: TcpProxy, connect: Connect
) -> Iterator[Bench]:
    """A node that talks to etcd through the proxy."""
    bench = Bench(tmp_path / "bench", server, NODE)
    bench.load_agent_state(connect(server.endpoint))
    bench.settings("srv6kv:", "  replaceWindow: 0s")
    bench.etcd = ["--etcd", proxy.endpoint]
    yield bench
    bench.end()


def reads(server: EmbeddedEtcd) -> int:
    """How many reads etcd has answered since it was started."""
    with urllib.request.urlopen(f"http://{server.endpoint}/metrics", timeout=SECONDS) as page:
        lines = page.read().decode().splitlines()
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith(RANGE))


@pytest.mark.parametrize(
    ("is_done", "text"),
    [(True, SMALL), (True, LARGE), (False, SMALL)],
    ids=["answer", "answer-nested", "request"],
)
def test_lost_commit(
    bench: Bench,
    proxy: TcpProxy,
    connect: Connect,
    *,
    is_done: bool,
    text: str,
) -> None:
    """A commit whose request or answer is lost is resolved by one read of everything, and its
    effects are in etcd once, as one revision; the second copies of rules follow."""
    history = History(connect(bench.server.endpoint), bench.label)
    process = bench.run()
    history.wait_for(bench.expected())
    process.wait_for("sync put=")
    before, asked = history.last(), reads(bench.server)
    (proxy.lose_answer if is_done else proxy.lose_request)(COMMIT)
    bench.edit("more.yaml", text)

    assert proxy.struck.wait(SECONDS)

    if is_done:
        history.wait(lambda: history.last() > before)
        proxy.cut()
    process.wait_for("session revision=", times=2)
    history.wait(lambda: history.state() == bench.expected())
    spent = reads(bench.server) - asked
    process.stop()

    assert len(without_copies(history.revisions(after=before))) == 1
    assert spent == PREFIXES
    assert len(process.said("may or may not be done; trying again")) == 1
    assert len(process.said("trying again")) == 1
    assert broken(bench, history) == []


def test_lost_writer_key(bench: Bench, proxy: TcpProxy, connect: Connect, timed: Timed) -> None:
    """If the answer to the first claim of the writer key is lost, it is given up and claimed again
    at once, not after the lease has run out."""
    history = History(connect(bench.server.endpoint), bench.label)
    proxy.lose_answer(CLAIM)
    process = bench.run()

    assert proxy.struck.wait(SECONDS)

    history.wait(lambda: bool(history.tenures()))
    started = time.monotonic()
    proxy.cut()
    history.wait_for(bench.expected())
    spent = time.monotonic() - started

    timed("in sync after the answer to the claim was lost", spent, 2.0)
    assert len(history.tenures()) == 2
    assert len(process.said("trying again")) == 1
    assert process.said("standby") == []
    assert broken(bench, history) == []


@pytest.mark.faults
def test_half_open_connection(bench: Bench, proxy: TcpProxy, connect: Connect) -> None:
    """A connection that is dead without an end is left for a new one; what changed meanwhile is
    written once."""
    history = History(connect(bench.server.endpoint), bench.label)
    process = bench.run()
    history.wait_for(bench.expected())
    before = history.last()
    proxy.freeze()
    bench.edit("more.yaml", SMALL)
    process.wait_for("trying again")
    proxy.cut()
    proxy.thaw()
    started = time.monotonic()
    history.wait_for(bench.expected())
    print(f"in step {time.monotonic() - started:.2f} s after the link is back")

    assert len(without_copies(history.revisions(after=before))) == 1
    assert broken(bench, history) == []


@pytest.mark.faults
def test_slow_link(bench: Bench, proxy: TcpProxy, connect: Connect) -> None:
    """With 150 ms of delay in each direction everything works, without a warning."""
    history = History(connect(bench.server.endpoint), bench.label)
    proxy.delay = 0.15
    process = bench.run()
    history.wait_for(bench.expected())
    bench.change()
    history.wait_for(bench.expected())

    assert process.said("trying again") == []
    assert broken(bench, history) == []
