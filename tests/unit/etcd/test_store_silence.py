"""Watches that look open and are dead, and those that only seem to be."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from etcd_relay import EtcdRelay
from etcd_server import Seen, eventually, free_port
from tcp_proxy import TcpProxy

from srv6kv.errors import Unavailable
from srv6kv.etcd import watch
from srv6kv.etcd.embedded import EmbeddedEtcd, program
from srv6kv.etcd.store import Etcd3Store

pytestmark = pytest.mark.usefixtures("no_thread_is_left")
Connect = Callable[..., Etcd3Store]


@pytest.fixture
def relay(etcd: EmbeddedEtcd) -> Iterator[EtcdRelay]:
    """A server that passes calls on to the shared etcd."""
    with EtcdRelay(etcd.endpoint) as server:
        yield server


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch is asked for progress every tenth of a second."""
    monkeypatch.setattr(watch, "PROGRESS_SECONDS", 0.1)


@pytest.mark.parametrize("answers_progress", [True, False])
def test_a_mute_watch_is_lost(
    relay: EtcdRelay, connect: Connect, label: str, answers_progress: bool
) -> None:
    """A watch on which nothing comes any more is lost, although all other calls are answered."""
    relay.answers_progress = answers_progress
    store, seen, key = connect(relay.endpoint), Seen(), f"/srv6kv/{label}/a"
    start = store.read([key]).revision + 1
    store.watch([key, f"/srv6kv/{label}/b"], start, seen.on_changes, seen.on_lost)
    store.put(key, "1")
    seen.wait(lambda one: bool(one.batches))
    relay.mute()
    store.put(key, "unreported")
    seen.wait(lambda one: bool(one.lost))

    assert [type(error) for error in seen.lost] == [Unavailable]
    assert str(seen.lost[0]).endswith(": the watch does not answer any more")
    assert store.get(key)[0] == b"unreported"


def test_a_watch_that_never_answers_is_lost(relay: EtcdRelay, connect: Connect, label: str) -> None:
    """A watch that was mute from the beginning is lost too."""
    relay.mute(further=1)
    store, seen = connect(relay.endpoint), Seen()
    store.watch([f"/srv6kv/{label}/a"], 1, seen.on_changes, seen.on_lost)
    seen.wait(lambda one: bool(one.lost))

    assert [type(error) for error in seen.lost] == [Unavailable]


@pytest.mark.parametrize("answers_progress", [True, False])
def test_a_quiet_watch_stays(
    relay: EtcdRelay, connect: Connect, label: str, answers_progress: bool
) -> None:
    """A watch that is only quiet stays, whether the server answers requests for progress or not:
    then it is asked for further watches, and for progress no more."""
    relay.answers_progress = answers_progress
    store, seen, key = connect(relay.endpoint), Seen(), f"/srv6kv/{label}/a"
    start = store.read([key]).revision + 1
    store.watch([key, f"/srv6kv/{label}/b"], start, seen.on_changes, seen.on_lost)
    if answers_progress:
        relay.wait_for(lambda: relay.progress_requests >= 10)
    else:
        relay.wait_for(lambda: relay.probes >= 10)
    store.put(key, "1")
    seen.wait(lambda one: any(changes for _, changes in one.batches))

    assert seen.lost == []
    assert relay.watches == 1
    assert (relay.probes == 0) is answers_progress
    assert (relay.progress_requests == 1) is not answers_progress


@pytest.fixture
def behind() -> Iterator[Callable[[str], str]]:
    """Starts etcd's own proxy in front of an etcd; where clients find it."""
    with ExitStack() as ends:

        def start(endpoint: str) -> str:
            address = f"127.0.0.1:{free_port()}"
            process = subprocess.Popen(
                [
                    *(program(), "grpc-proxy", "start"),
                    *(f"--endpoints={endpoint}", f"--listen-addr={address}"),
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            ends.callback(process.wait)
            ends.callback(process.kill)
            eventually(lambda: reach(address), OSError)
            return address

        yield start


def reach(address: str) -> None:
    """Connect to an address, and leave it again."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), 1).close()


def test_a_quiet_watch_behind_grpc_proxy(
    etcd: EmbeddedEtcd, connect: Connect, behind: Callable[[str], str], label: str
) -> None:
    """etcd's own proxy does not answer requests for progress: a watch behind it stays, and sees
    what comes; when the way from the proxy to etcd is dead, the watch is lost."""
    with TcpProxy(etcd.endpoint) as way:
        store, seen, clock = connect(behind(way.endpoint)), Seen(), Seen()
        key, tick = f"/srv6kv/{label}/a", f"/srv6kv/{label}/tick"
        start = store.read([key]).revision + 1
        store.watch([key, f"/srv6kv/{label}/b"], start, seen.on_changes, seen.on_lost)
        near = connect(etcd.endpoint)
        near.watch([tick], start, clock.on_changes, clock.on_lost)
        lease = near.lease(1)
        near.put(tick, "", lease=lease)
        clock.wait_for_deletion(tick)  # so much time has passed: more than a second
        near.put(key, "1")
        seen.wait(lambda one: any(changes for _, changes in one.batches))

        assert seen.lost == []

        way.freeze()
        seen.wait(lambda one: bool(one.lost))

    assert "does not answer any more" in str(seen.lost[0])
