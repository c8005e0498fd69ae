"""``srv6kv run`` with three etcd members of which one is killed or frozen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from etcd_cluster import ClusterHistory, EtcdCluster
from etcd_server import eventually
from figures import Figures, Timed
from invariants import broken
from processes import CHANGED_SERVICE, NODE, Bench

from srv6kv.errors import Unavailable
from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store

ROUNDS = 10
DONE_WITHIN = 8.0
"""Seconds: an election takes up to 2, a call to a frozen member 3, and the one after it may meet
the election."""


@pytest.fixture
def members(tmp_path: Path) -> Iterator[EtcdCluster]:
    """Three members of one cluster."""
    with EtcdCluster(tmp_path / "etcd") as cluster:
        yield cluster


@pytest.fixture
def bench(
    tmp_path: Path, members: EtcdCluster, connect: Callable[..., Etcd3Store]
) -> Iterator[Bench]:
    """A node that knows all three members."""
    bench = Bench(tmp_path / "bench", members.members[0], NODE)
    bench.load_agent_state(connect(*members.endpoints))
    bench.settings("srv6kv:", "  replaceWindow: 0s")
    bench.etcd = [part for endpoint in members.endpoints for part in ("--etcd", endpoint)]
    yield bench
    bench.end()


@pytest.fixture
def history(bench: Bench, members: EtcdCluster) -> Iterator[ClusterHistory]:
    """What the cluster goes through, told by whoever is up."""
    history = ClusterHistory(members.endpoints, bench.label)
    yield history
    history.close()


def edit(bench: Bench, number: int) -> None:
    """Save one version of myservice or the other."""
    bench.edit("myservice.yaml", CHANGED_SERVICE.read_text()) if number % 2 else bench.restore()


def time_of_edit(bench: Bench, history: ClusterHistory, number: int) -> float:
    """Seconds until an edit is in etcd."""
    started = time.monotonic()
    edit(bench, number)
    history.wait_for(bench.expected(), 30)
    return time.monotonic() - started


def victim_of(members: EtcdCluster, kind: str, number: int) -> EmbeddedEtcd:
    """The leader, or one of the followers."""
    return members.leader() if kind == "leader" else members.followers()[number % 2]


def harm(victim: EmbeddedEtcd, how: str) -> None:
    """Kill or freeze a member."""
    victim.kill() if how == "killed" else victim.pause()


def mend(members: EtcdCluster, victim: EmbeddedEtcd, how: str) -> None:
    """Start a killed member again, or let a frozen one go on; return when all three serve."""
    victim.start() if how == "killed" else victim.resume()
    store = Etcd3Store([victim.endpoint], timeout=1.0)
    try:
        eventually(lambda: store.read(["/srv6kv/"]), Unavailable)
    finally:
        store.close()


def test_leader_dies(
    bench: Bench, history: ClusterHistory, members: EtcdCluster, timed: Timed
) -> None:
    """If the leader is killed, what changes is written as soon as there is a new one."""
    process = bench.run()
    history.wait_for(bench.expected())
    before = history.last()
    members.leader().kill()
    spent = time_of_edit(bench, history, 1)

    timed("in sync after the leader was killed", spent, DONE_WITHIN)
    assert len(history.revisions(after=before)) == 1
    assert len(process.said("trying again")) <= 1
    assert broken(bench, history) == []


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["leader", "follower"])
@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_member_is_gone(
    bench: Bench,
    history: ClusterHistory,
    members: EtcdCluster,
    figures: Figures,
    how: str,
    kind: str,
    timed: Timed,
) -> None:
    """Whichever member is killed or frozen, the writer works again within seconds, while the member
    is still gone; each change is one revision."""
    bench.run()
    history.wait_for(bench.expected())
    times = []
    for number in range(1, ROUNDS + 1):
        victim, before = victim_of(members, kind, number), history.last()
        harm(victim, how)
        times.append(time_of_edit(bench, history, number))
        assert len(history.revisions(after=before)) == 1
        mend(members, victim, how)
        figures.progress(f"{kind} {how}", number, ROUNDS)
    figures.seconds(f"an edit is in etcd after the {kind} of three was {how}", times)

    timed(f"the longest of these, {kind} {how}", max(times), DONE_WITHIN)
    assert broken(bench, history) == []
