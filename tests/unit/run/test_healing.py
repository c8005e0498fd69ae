"""Which looks at VPP ``run`` acts on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any, cast

import pytest
from booted import started, wiring, written

from srv6kv.agent.poll import Polled
from srv6kv.agent.rest import AgentRest
from srv6kv.agent.status import State, ValueStatus
from srv6kv.errors import Unavailable
from srv6kv.ligato import keys
from srv6kv.repair import automatic
from srv6kv.repair.automatic import CONFIRM_SECONDS
from srv6kv.run import healing
from srv6kv.run.agentwatch import AgentWatch
from srv6kv.run.context import Context
from srv6kv.run.healing import Healing
from srv6kv.run.syncing import Syncing
from srv6kv.run.vppwatch import Look
from srv6kv.sync.reconciler import Reconciler
from srv6kv.txn.limits import DEFAULT
from srv6kv.txn.transaction import Transaction
from srv6kv.vpp.showsr_values import Localsid, Policy, ShowSr

WIRING = wiring(5)
REST = AgentRest("http://127.0.0.1:1")
NOTHING = ShowSr((), (), (), "fe10:f00d::1")


class FakeWatch:
    """Asks nobody; says when it was told to look."""

    def __init__(self, _rest: AgentRest, _on_look: Callable[[Look], Any]) -> None:
        self.looks: list[float] = []
        self.is_blind, self.revision = False, 0
        self.own: frozenset[str] = frozenset()

    def look(self, seconds: float = 0.0) -> None:
        """Note it."""
        self.looks.append(seconds)


@dataclass
class Bench:
    """A node with all its keys in etcd, and what is written there and reported."""

    is_optional: bool = False
    written: list[Transaction] = field(default_factory=list)
    repaired: list[tuple[str, int]] = field(default_factory=list)
    faults: dict[int, Exception] = field(default_factory=dict)

    def __post_init__(self) -> None:
        first = started("", WIRING)
        self.reconciler: Reconciler = started("", [*WIRING, *written(first, 7)])
        self.agent = AgentWatch(self.reconciler, REST, is_optional=self.is_optional)
        context = SimpleNamespace(
            store=SimpleNamespace(limits=DEFAULT),
            reconciler=self.reconciler,
            agent=self.agent,
            progress=SimpleNamespace(repaired=self._note),
            queue=SimpleQueue(),
            revision=9,
            unrepaired=(),
            report_warnings=lambda: None,
        )
        syncing = SimpleNamespace(write=self._write, is_outdated=False)
        self.healing = Healing(cast(Context, context), cast(Syncing, syncing), "n", REST)

    def _note(self, means: str, _why: str, number: int, _milliseconds: int) -> None:
        self.repaired.append((means, number))

    def _write(self, transaction: Transaction, _extra: object, _writer: object) -> int:
        if fault := self.faults.pop(len(self.written), None):
            raise fault
        self.written.append(transaction)
        self.reconciler.committed(transaction, (), 10 + len(self.written))
        return 10 + len(self.written)

    @property
    def keys(self) -> list[str]:
        """All keys of the node."""
        return list(self.reconciler.actual.entries)

    def heal(self, *looks: Look) -> None:
        """A turn of the loop, with what has come."""
        for look in looks:
            self.healing.receive(look)
        self.healing.heal(cast(Any, None))


def states(listed: Iterable[str]) -> dict[str, ValueStatus]:
    """An agent that calls these keys done."""
    return {key: ValueStatus(key, State.CONFIGURED) for key in listed}


def restarted(listed: Iterable[str], shown: ShowSr = NOTHING, revision: int = 99) -> Look:
    """VPP has restarted under an agent that calls these keys done."""
    return Look(True, 40.0, time.monotonic(), revision, 3, shown, states(listed))


@pytest.fixture(autouse=True)
def watches(monkeypatch: pytest.MonkeyPatch) -> list[FakeWatch]:
    """The watches that were begun."""
    found: list[FakeWatch] = []

    def begin(rest: AgentRest, on_look: Callable[[Look], Any]) -> FakeWatch:
        found.append(FakeWatch(rest, on_look))
        return found[-1]

    monkeypatch.setattr(healing, "VppWatch", begin)
    return found


def test_a_restart_of_vpp_is_repaired() -> None:
    """All localsids and policies that it lacks are deleted and put."""
    bench = Bench()
    before = dict(bench.reconciler.actual.entries)
    bench.heal(restarted(bench.keys))
    after = bench.reconciler.actual.entries

    assert bench.written
    assert {key: one.value for key, one in after.items()} == {
        key: one.value for key, one in before.items()
    }


def test_another_labels_agent_repairs_nothing() -> None:
    """It has the same BSIDs; its VPP is none of ours, and nothing is said of ours."""
    bench = Bench()
    others = [key for key in bench.keys if not key.startswith((keys.LOCALSID, keys.ARP))]
    bench.agent.view.lost = frozenset(others)
    bench.heal(restarted(others))

    assert any(key.startswith(keys.POLICY) for key in others)
    assert bench.written == []
    assert bench.agent.view.lost is None


def test_vpp_is_asked_only_through_the_labels_agent(watches: list[FakeWatch]) -> None:
    """Whatever else listens where an agent may be is asked nothing by POST."""
    bench = Bench(is_optional=True)
    bench.heal()
    bench.agent.receive(Polled(states(["config/of/another"])))
    bench.heal()
    before = list(watches)
    bench.agent.receive(Polled(states(bench.keys)))
    bench.heal()

    assert before == []
    assert len(watches) == 1


def without_source(bench: Bench) -> ShowSr:
    """VPP with everything, but with policies from before its encap source."""
    names = {
        kind: [key.removeprefix(kind) for key in bench.keys if key.startswith(kind)]
        for kind in (keys.LOCALSID, keys.POLICY)
    }
    return replace(
        NOTHING,
        localsids=tuple(Localsid(sid, 128, "End") for sid in names[keys.LOCALSID]),
        policies=tuple(Policy(bsid, True, "Default", 0, (), "::") for bsid in names[keys.POLICY]),
    )


def test_what_was_rewritten_before_an_error_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first keys are written again, then etcd is away."""
    monkeypatch.setattr(automatic, "BATCH", 4)
    bench = Bench(faults={3: Unavailable("etcd is away")})
    with pytest.raises(Unavailable):
        bench.heal(restarted(bench.keys))

    assert bench.repaired == [("rewrite", 4)]


@pytest.mark.parametrize("is_cut", [False, True])
def test_recreated_policies_are_reported_when_that_ends(
    monkeypatch: pytest.MonkeyPatch, *, is_cut: bool
) -> None:
    """Not before the last one; where etcd goes away, with those that are done. What is left waits,
    and after the end nothing does."""
    monkeypatch.setattr(healing, "BATCH", 4)
    monkeypatch.setattr(healing, "PAUSE_SECONDS", 0.001)
    bench = Bench(faults={2: Unavailable("etcd is away")} if is_cut else {})
    bench.heal(restarted(bench.keys, without_source(bench)))
    begun, left = list(bench.repaired), bench.healing.seconds_left()
    while 0 < bench.healing.seconds_left() < float("inf") and bench.repaired == []:
        with suppress(Unavailable):
            bench.heal()

    assert begun == []
    assert 0 < left < 1
    assert len(bench.written) == (2 if is_cut else 4)
    assert bench.repaired == [("recreate", 4 if is_cut else 8)]
    assert bench.healing.seconds_left() == float("inf")


def test_what_was_seen_long_ago_says_nothing(watches: list[FakeWatch]) -> None:
    """Where VPP was whole and cannot be asked any more, the agent's own words count again."""
    bench = Bench()
    bench.heal()
    bench.agent.view.lost = frozenset()
    bench.heal()
    is_known = bench.agent.view.lost is not None
    watches[0].is_blind = True
    bench.heal()

    assert is_known
    assert bench.agent.view.lost is None


def test_keys_written_since_vpp_was_asked_are_left_alone(watches: list[FakeWatch]) -> None:
    """The look says nothing of them; the next one does."""
    bench = Bench()
    bench.heal()
    newest = max(one.revision for one in bench.reconciler.actual.entries.values())
    bench.heal(restarted(bench.keys, revision=newest - 1))

    assert bench.written == []
    assert watches[0].looks == [CONFIRM_SECONDS]


def test_a_restart_seen_before_the_last_write_counts_at_the_next_look(
    watches: list[FakeWatch],
) -> None:
    """The look is too old to say what VPP lacks now; that it has restarted stays known."""
    bench = Bench()
    early = restarted(bench.keys)
    bench.heal(restarted(bench.keys))
    before = len(bench.written)
    watches[0].looks.clear()
    bench.heal(early)
    after = len(bench.written)
    bench.heal(replace(restarted(bench.keys), has_restarted=False))

    assert after == before
    assert 0.0 in watches[0].looks
    assert len(bench.written) == 2 * before
