"""Repairing beside the model of the agent: after each fault, and whatever the order in which the
agent's watches deliver, VPP ends as a new one would."""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import hypothesis
from agentmodel import Agent, FakeVpp
from agentmodel import State as AgentState
from hypothesis import given
from hypothesis import strategies as st
from repairing import Table, contents, settled
from strategies import History, Scene, histories, scenes

from srv6kv.agent.needs import SRV6, Means
from srv6kv.agent.status import State, ValueStatus
from srv6kv.ligato import keys
from srv6kv.repair.asked import asked
from srv6kv.repair.choose import Known, bsids_seen, faults, leftovers, task_of
from srv6kv.repair.ground import Ground, Pause
from srv6kv.repair.means import Task, plan_repair
from srv6kv.vpp.showsr_read import merged, read

ROUNDS = 3
SOURCE = "fe10:f00d::1"


few = hypothesis.settings(max_examples=30)


class Bench:
    """A node's etcd, its agent and its VPP.

    Args:
        table: the keys.
        dice: how the watches of the models overtake each other.
    """

    def __init__(self, table: Table, dice: random.Random) -> None:
        self.table = table
        self.vpp = FakeVpp()
        self.vpp.encap_source = SOURCE
        self.agent = Agent(self.vpp)
        self.agent.source = lambda: self.table.state
        self.agent.resync(table.state)
        self.agent.rest()
        self._dice = dice
        self._watches: dict[str, deque[Any]] = {}

    def ground(self) -> Ground:
        """What etcd holds."""
        return self.table.ground()

    def known(self) -> Known:
        """What the agent and VPP say."""
        states = {
            key: ValueStatus(key, State(str(one.state)), one.operation, one.error, one.details)
            for key, one in self.agent.states().items()
        }
        texts = ("policies", "localsids", "steering-policies", "encaps source addr")
        return Known(states, merged(read(self.vpp.cli(f"show sr {text}")) for text in texts))

    def plan_repair(self, task: Task) -> None:
        """Do a task as the command does: the agent sees it with the delays of its watches."""
        ground = self.ground()
        for step in plan_repair(task, ground, avoid=bsids_seen(self.known())).steps:
            ground.committed(step, self.table.commit(step.transaction))
            for change in self.table.changes[-1][1]:
                model = change.key.rpartition("/")[0] if change.key.startswith(SRV6) else ""
                self._watches.setdefault(model, deque()).append(change)
            self._deliver(everything=step.pause is not Pause.NONE)
            if step.pause is Pause.GONE:
                self.agent.advance(2.0)
        self._deliver(everything=True)
        self.agent.rest()
        assert ground.owed == {}

    def _deliver(self, *, everything: bool) -> None:
        while busy := [watch for watch in self._watches.values() if watch]:
            change = self._dice.choice(busy).popleft()
            self.agent.change(change.key, change.value)
            if not everything and self._dice.random() < 0.2:
                return

    def repair(self) -> set[Means]:
        """Mend what is seen to be wrong, until nothing is; the means that it took."""
        used: set[Means] = set()
        for _ in range(ROUNDS):
            task = task_of(faults(self.ground(), self.known()))
            if not task:
                return used
            used |= task.keys()
            self.plan_repair(task)
        raise AssertionError(f"still {faults(self.ground(), self.known())}")

    def differences(self) -> list[str]:
        """In what VPP and the agent's states differ from a new VPP's and agent's; but for what is
        left in VPP until it restarts, and what is not srv6kv's to mend."""
        new = Bench(self.table, self._dice)
        stale = {key.rpartition("/")[2] for key in leftovers(self.ground(), self.known())}
        mine, others = (contents(one.vpp, stale) for one in (self, new))
        theirs = {key for key in self.table.state if not self.ground().ranges.owns(key)}
        return [
            f"{name}: {mine.get(name)} instead of {others.get(name)}"
            for name in sorted(mine.keys() | others.keys())
            if mine.get(name) != others.get(name)
            and keys.localsid(name.removeprefix("localsid ")) not in theirs
        ]

    def unready(self) -> set[str]:
        """The keys that are not CONFIGURED."""
        fine = (AgentState.CONFIGURED, AgentState.OBTAINED)
        return {key for key, one in self.agent.states().items() if one.state not in fine}


@few
@given(scene=scenes(), dice=st.randoms(use_true_random=False))
def test_an_agent_that_has_restarted_over_a_living_vpp(scene: Scene, dice: random.Random) -> None:
    """Every policy moves; localsids work on in VPP, and are said to need a restart of it to be
    changed. Nothing else is wrong afterwards."""
    bench = Bench(Table(settled(scene)), dice)
    pending = bench.unready()
    bench.agent.restart()
    bench.agent.rest()
    used = bench.repair()
    found = faults(bench.ground(), bench.known())
    localsids = {key for key in bench.table.state if key.startswith(keys.LOCALSID)}

    assert used <= {Means.REBIND}
    assert {one.key for one in found} == set(bench.ground().ours([keys.LOCALSID]))
    assert {one.means for one in found} <= {Means.RESTART}
    assert bench.unready() - pending == localsids
    assert bench.differences() == []


@few
@given(scene=scenes(), dice=st.randoms(use_true_random=False))
def test_a_vpp_that_has_restarted_under_a_living_agent(scene: Scene, dice: random.Random) -> None:
    """All SRv6 keys are rewritten, and VPP is as new."""
    bench = Bench(Table(settled(scene)), dice)
    pending = bench.unready()
    bench.vpp.restart()
    bench.vpp.encap_source = SOURCE
    before = bench.table.state
    used = bench.repair()

    assert used <= {Means.REWRITE}
    assert bench.differences() == []
    assert bench.unready() == pending
    assert bench.table.state == before
    assert bench.vpp.faults == []


@few
@given(scene=scenes(), dice=st.randoms(use_true_random=False))
def test_an_encap_source_that_came_after_the_policies(scene: Scene, dice: random.Random) -> None:
    """Policies are recreated, and every list of them has today's source; all else is as it was."""
    bench = Bench(Table(settled(scene)), dice)
    before = bench.table.state
    bench.vpp.set_encap_source("fe10:f00d::99")
    used = bench.repair()

    assert used <= {Means.RECREATE}
    assert {one.source for _, one in bench.vpp.lists.all()} <= {"fe10:f00d::99"}
    assert bench.table.state == before
    assert faults(bench.ground(), bench.known()) == []


@few
@given(history=histories(), dice=st.randoms(use_true_random=False))
def test_an_agent_that_has_lost_events(history: History, dice: random.Random) -> None:
    """Whatever the cluster went through meanwhile: a touch of all that is ours, lost deletions
    included, and then what VPP shows, bring a stale agent to what etcd holds."""
    sidecar = settled(history.first)
    bench = Bench(Table(sidecar), dice)
    foreign = [key for key in bench.table.state if not bench.ground().ranges.owns(key)]
    for events in history.steps:
        for event in events:
            event.happen(sidecar)
        sidecar.commit(sidecar.plan_change())
    now = Table(sidecar)
    for key in {*now.entries, *foreign}:
        if not now.ground().ranges.owns(key):
            value = now.entries.get(key)
            if (value[0] if value else None) != bench.table.state.get(key):
                bench.agent.change(key, value[0] if value else None)
    bench.agent.rest()
    bench.table = now
    ground = bench.ground()
    bench.plan_repair(asked(Means.RESEND, ground, bench.known(), (), ()))
    bench.repair()

    assert bench.differences() == []
    assert {key for key in bench.agent.values if ground.ranges.owns(key)} == set(ground.ours())


@few
@given(scene=scenes(), dice=st.randoms(use_true_random=False))
def test_a_healthy_node_needs_nothing(scene: Scene, dice: random.Random) -> None:
    """No fault is seen where there is none."""
    bench = Bench(Table(settled(scene)), dice)

    assert faults(bench.ground(), bench.known()) == []
    assert bench.differences() == []


@few
@given(
    scene=scenes(),
    means=st.sampled_from([Means.RESEND, Means.RECREATE, Means.REBIND, Means.REWRITE]),
    dice=st.randoms(use_true_random=False),
)
def test_no_means_harms_a_healthy_node(scene: Scene, means: Means, dice: random.Random) -> None:
    """Where nothing was wrong, nothing is afterwards; a touch asks VPP for nothing."""
    bench = Bench(Table(settled(scene)), dice)
    pending = bench.unready()
    bench.vpp.calls.clear()
    bench.plan_repair(asked(means, bench.ground(), Known(), (), ()))

    assert bench.differences() == []
    assert len(bench.unready()) == len(pending)
    assert bench.vpp.faults == []
    assert means is not Means.RESEND or [one for one in bench.vpp.calls if one.name != "cli"] == []
