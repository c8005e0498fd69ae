"""What answers tell about etcd's data, about how long it takes, and about who leads."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from srv6kv.etcd.latency import LOOK_SECONDS, REPLY_SECONDS, Latency
from srv6kv.etcd.lineage import Lineage
from srv6kv.etcd.survey import View, best_of


@dataclass(frozen=True)
class Header:
    """Of an answer."""

    revision: int
    cluster_id: int = 7
    raft_term: int = 2


def test_revisions_that_grow() -> None:
    """Answers of any member that do not go back are of the same data; an answer may be overtaken by
    one that was asked for at the same time."""
    lineage = Lineage()
    found = [
        lineage.is_replaced(Header(revision), before)
        for revision, before in ((5, 0), (5, 5), (9, 5), (8, 5))
    ]

    assert found == [False] * 4
    assert (lineage.revision, lineage.epoch) == (9, 0)


@pytest.mark.parametrize("header", [Header(4), Header(9, cluster_id=8)])
def test_other_data(header: Header) -> None:
    """A revision lower than one that was known before, or another cluster, is other data; what
    comes next belongs to it."""
    lineage = Lineage()
    lineage.is_replaced(Header(5, raft_term=9), 0)

    assert lineage.is_replaced(header, 5)
    assert not lineage.is_replaced(header, header.revision)
    assert (lineage.revision, lineage.epoch, lineage.term) == (header.revision, 1, 2)


def test_a_member_that_lags_behind() -> None:
    """A lower revision of an answer that any member may give from what it has is only a doubt."""
    lineage = Lineage()
    lineage.is_replaced(Header(5), 0)

    assert [lineage.is_behind(Header(*one)) for one in ((5,), (4,), (9, 8), (5, 0))] == [
        False,
        True,
        True,
        False,
    ]


def test_latency_of_a_fast_network() -> None:
    """Where answers come at once, patience is short but not none."""
    latency = Latency()
    for _ in range(20):
        latency.answered(0.001)

    assert (latency.look, latency.reply) == (LOOK_SECONDS, REPLY_SECONDS)
    assert latency.deadline(3.0) == 3.0


def test_latency_of_a_slow_network() -> None:
    """The first answer, for which a connection was made, does not count for long; then patience is
    that of the network."""
    latency = Latency()
    latency.answered(9.0)
    for _ in range(20):
        latency.answered(3.0)

    assert latency.mean == 3.0
    assert 3.0 <= latency.usual < 3.5
    assert 6.0 <= latency.deadline(3.0) < 7.0


def test_patience_grows_with_each_call_that_is_not_answered() -> None:
    """It is doubled, four times at most, until something is answered."""
    latency, found = Latency(), []
    for _ in range(4):
        found.append(latency.deadline(3.0))
        latency.timed_out()
    latency.answered(0.001)

    assert found == [3.0, 6.0, 12.0, 12.0]
    assert latency.deadline(3.0) == 3.0


def test_the_best_member() -> None:
    """Who knows a leader in the newest term is asked; of equals the first, silent ones never."""
    stuck, old, new = View(False, 9), View(True, 3), View(True, 4)

    assert best_of({"a": old, "b": new, "c": stuck}, "abcd") == "b"
    assert best_of({"a": old, "b": old}, "bad") == "b"
    assert best_of({"c": stuck}, "abc") == "c"
    assert best_of({}, "abc") is None
