"""How long ``srv6kv run`` writes nothing when a member of etcd goes, beside a bare client."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from etcd_cluster import ClusterHistory, EtcdCluster
from etcd_server import eventually
from failover import Editor, Prober, gaps
from figures import Figures
from invariants import broken
from processes import NODE, Bench

from srv6kv.errors import Unavailable
from srv6kv.etcd.store import Etcd3Store

ROUNDS = 7
SECONDS = 6.0
MOST = 1.3
SLACK = 0.3
"""Seconds: manifests are scanned ten times a second, and a file is read when two scans agree."""


@pytest.fixture
def members(tmp_path: Path) -> Iterator[EtcdCluster]:
    """Three members of one cluster that can be parted."""
    with EtcdCluster(tmp_path / "etcd", has_links=True) as cluster:
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


def harm(members: EtcdCluster, how: str) -> None:
    """Take the leader away."""
    leader = members.leader()
    if how == "killed":
        leader.kill()
    elif how == "frozen":
        leader.pause()
    else:
        members.isolate(leader)


def mend(members: EtcdCluster) -> None:
    """Return when all members serve."""
    members.join()
    members.revive()
    for endpoint in members.endpoints:
        store = Etcd3Store([endpoint], timeout=1.0)
        try:
            eventually(partial(store.read, ["/srv6kv/"]), Unavailable, 30)
        finally:
            store.close()


@pytest.mark.faults
@pytest.mark.parametrize("how", ["killed", "frozen", "parted"])
def test_gap_when_the_leader_goes(
    bench: Bench, history: ClusterHistory, members: EtcdCluster, figures: Figures, how: str
) -> None:
    """The longest time without a write, when the leader is killed, frozen or parted from the
    others, is hardly longer than that of a client that does nothing but write; the lease stays."""
    process = bench.run()
    history.wait_for(bench.expected())
    editor = Editor(bench)
    found = []
    try:
        for number in range(1, ROUNDS + 1):
            prober = Prober(members.endpoints)
            history.wait_for_news(1.0)
            try:
                found.append(gaps(prober, history, lambda: harm(members, how), SECONDS))
            finally:
                prober.close()
            mend(members)
            figures.progress(f"leader {how}", number, ROUNDS)
    finally:
        editor.close()
    ours, bare = zip(*found, strict=True)
    figures.seconds(f"longest gap between writes, leader {how}: srv6kv", list(ours))
    figures.seconds(f"longest gap between writes, leader {how}: a bare client", list(bare))
    history.wait_for(bench.expected(), 30)
    process.stop()
    print([(round(a, 2), round(b, 2)) for a, b in found])
    print(process.said("trying again"))

    assert len(history.tenures()) == 1
    assert statistics.median(ours) <= MOST * statistics.median(bare) + SLACK
    assert broken(bench, history) == []
