"""``srv6kv run`` and its lease: behind etcd's proxy, on slow networks, and when the key goes."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from api_bench import ApiBench
from apiserver import FakeApiServer
from etcd_server import GrpcProxy, Seen
from figures import Timed
from history import History
from invariants import broken
from processes import MYSERVICE, Bench, drop_writer
from tcp_proxy import TcpProxy

from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.lease import LEAST_SECONDS, seconds_of
from srv6kv.etcd.store import Etcd3Store

Connect = Callable[..., Etcd3Store]


def let_pass(store: Etcd3Store, label: str, seconds: int) -> None:
    """Return when a lease of so many seconds has run out."""
    seen, key = Seen(), f"/clock/{label}"
    revision = store.put(key, "", lease=store.lease(seconds)).header.revision
    watch = store.watch([key], revision, seen.on_changes, seen.on_lost)
    seen.wait(
        lambda one: any(c.value is None for _, changes in one.batches for c in changes),
        2.0 * seconds + 10,
    )
    watch.cancel()


@pytest.mark.parametrize("seconds", [8, pytest.param(20, marks=pytest.mark.faults)])
def test_behind_grpc_proxy(
    bench: Bench, store: Etcd3Store, history: History, tmp_path: Path, seconds: int, timed: Timed
) -> None:
    """Behind ``etcd grpc-proxy`` the writer key lives as long as the process, what others delete is
    written again, what changes is written, and the key is given back at the end."""
    with GrpcProxy(bench.server.endpoint, tmp_path / "proxy.log") as proxy:
        bench.etcd = ["--etcd", proxy.endpoint]
        process = bench.run()
        history.wait_for(bench.expected())
        process.wait_for("sync put=")
        let_pass(store, bench.label, seconds)
        written = len(history.revisions())
        bench.interfere(store, {MYSERVICE: None})
        history.wait(lambda: len(history.revisions()) > written + 1)
        history.wait_for(bench.expected())
        started = time.monotonic()
        bench.change()
        history.wait_for(bench.expected())
        spent = time.monotonic() - started
        tenures = history.tenures()
        code = process.stop()
    history.wait(lambda: history.tenures()[-1][2] is not None)

    assert code == 0
    timed("an edit is in etcd behind the proxy", spent, 2.0)
    assert [last for _, _, last in tenures] == [None]
    assert len(history.tenures()) == 1
    assert process.said("standby") == []
    assert process.said("trying again") == []
    assert broken(bench, history) == []


def test_lease_of_a_slow_network() -> None:
    """A lease lasts six round trips, 5 seconds at least and a minute at most."""
    assert [seconds_of(trip) for trip in (0.0, 0.001, 0.8, 1.7, 3.0, 60.0)] == [5, 5, 5, 11, 18, 60]


def test_lease_over_a_slow_network(
    etcd: EmbeddedEtcd, connect: Connect, store: Etcd3Store, label: str
) -> None:
    """With a round trip of 1.7 s the writer key is kept, and a change is written."""
    with TcpProxy(etcd.endpoint) as proxy:
        proxy.delay = 0.85
        slow = connect(proxy.endpoint)
        writer = slow.acquire(label, "the test")
        assert writer is not None
        let_pass(store, label, 2 * LEAST_SECONDS)
        is_lost = writer.lost.is_set()
        metadata = store.get(writer.key)[1]
        proxy.delay = 0.0

    assert not is_lost
    assert metadata.version == 1
    assert metadata.create_revision == writer.create_revision


def test_network_that_becomes_slow(
    etcd: EmbeddedEtcd, connect: Connect, store: Etcd3Store, label: str
) -> None:
    """A lease of a fast network survives a round trip of 2 s from one moment to the next."""
    with TcpProxy(etcd.endpoint) as proxy:
        writer = connect(proxy.endpoint).acquire(label, "the test")
        assert writer is not None
        proxy.delay = 1.0
        let_pass(store, label, 2 * LEAST_SECONDS)
        is_lost = writer.lost.is_set()
        proxy.delay = 0.0

    assert not is_lost


@pytest.mark.faults
@pytest.mark.parametrize("delay", [0.85, 1.5])
def test_run_over_a_slow_network(
    bench: Bench, store: Etcd3Store, history: History, delay: float
) -> None:
    """With a round trip of 1.7 s and of 3 s everything is written and the lease stays."""
    with TcpProxy(bench.server.endpoint) as proxy:
        proxy.delay = delay
        bench.etcd = ["--etcd", proxy.endpoint]
        process = bench.run()
        history.wait_for(bench.expected(), 120)
        let_pass(store, bench.label, 20)
        started = time.monotonic()
        bench.change()
        history.wait_for(bench.expected(), 30)
        print(f"written {time.monotonic() - started:.1f} s after the change, delay {delay} s")
        tenures = history.tenures()
        proxy.delay = 0.0
        process.stop()

    assert [last for _, _, last in tenures] == [None]
    assert process.said("standby") == []
    assert broken(bench, history) == []


@pytest.fixture
def api_bench(
    tmp_path: Path, etcd: EmbeddedEtcd, store: Etcd3Store, label: str, api: FakeApiServer
) -> Iterator[ApiBench]:
    """A node with its wiring in etcd and its cluster in the tests' API server."""
    made = ApiBench(tmp_path / "api", etcd, label, api)
    made.load_agent_state(store)
    yield made
    made.end()


def listed(bench: ApiBench) -> int:
    """How often services were listed so far."""
    assert isinstance(bench.api, FakeApiServer)
    return len(bench.api.came("list", "services"))


@pytest.mark.parametrize("has_rival", [False, True], ids=["alone", "rival"])
def test_writer_key_won_again(api_bench: ApiBench, store: Etcd3Store, *, has_rival: bool) -> None:
    """Whoever wins the writer key again asks for a new list of the cluster only if another process
    has held it meanwhile, were it for a moment."""
    bench = api_bench
    history = History(store, bench.label)
    process = bench.run()
    history.wait_for(bench.expected())
    process.wait_for("sync put=")
    before = listed(bench)
    process.send(signal.SIGSTOP)
    drop_writer(store, bench.label)
    if has_rival:
        rival = store.acquire(bench.label, "a rival")
        assert rival is not None
        rival.release()
    process.send(signal.SIGCONT)
    process.wait_for("session revision=", times=2)
    bench.change()
    history.wait_for(bench.expected())

    assert listed(bench) - before == has_rival
    assert len(history.tenures()) == 2 + has_rival


def test_writer_key_won_again_after_a_compaction(
    start_etcd: Callable[..., EmbeddedEtcd], connect: Connect
) -> None:
    """If the history between two tenures is gone, another may have held the key."""
    store = connect(start_etcd().endpoint)
    before = store.acquire("n1", "the test")
    assert before is not None
    before.release()
    now = store.acquire("n1", "the test")
    assert now is not None
    known = store.was_held_between(before, now)
    store.compact(now.create_revision)
    unknown = store.was_held_between(before, now)

    assert (known, unknown) == (False, True)
