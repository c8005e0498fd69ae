"""Laws of changes that go out in parts, over random changes, states and times."""

from __future__ import annotations

import random

import pytest
from booted import started, wiring
from clusters import endpoint, endpoint_slice, identity, service
from history import violations

from srv6kv.agent.status import State, ValueStatus
from srv6kv.agent.view import Reported
from srv6kv.etcd.values import Change, KeyValue
from srv6kv.sync.rollout import Rollout
from srv6kv.sync.turns import COPY_SECONDS
from srv6kv.txn.transaction import FullKey

PREFIX = "/vnf-agent/n/"
PODS = [f"2001:0:0:1::{host}" for host in (2, 3, 5, 6)]
STEP = 0.05
SETTLED = 12.0 + 2 * COPY_SECONDS
"""Seconds after which all is out, however little the agent says."""


class Node:
    """A node whose agent says CONFIGURED of a put with some chance in each step."""

    def __init__(self, seed: int, chance: float) -> None:
        self.random = random.Random(seed)
        self.etcd = {item.key: item for item in wiring(5)}
        self.reconciler = started("", self.etcd.values())
        self.revisions: list[tuple[int, list[Change]]] = []
        self.now = 0.0
        self._chance = chance
        self._phases = Rollout()
        self._revision = 5
        self._said: dict[str, Reported] = {}
        self._silent: list[str] = []

    def change(self) -> None:
        """A service comes, moves to another address or name, gets other endpoints, or goes."""
        number = self.random.randrange(4)
        name = f"s{number}" + self.random.choice(["", "", "x"])
        place = number if self.random.random() < 0.7 else self.random.randrange(6)
        pods = [endpoint(pod, "node1", ready=True) for pod in PODS]
        chosen = self.random.sample(pods, self.random.randrange(4))
        bodies = [service(name, f"2096::f{place}"), endpoint_slice(name, chosen)]
        is_gone = self.random.random() < 0.25
        for body in bodies:
            self.reconciler.intake.apply(identity(body), None if is_gone else body)

    def listen(self) -> None:
        """The agent says something of some keys."""
        for key in [key for key in self._silent if self.random.random() < self._chance]:
            self._silent.remove(key)
            self._revision += 1
            is_there = key in self.reconciler.actual.entries
            state = State.CONFIGURED if is_there else State.REMOVED
            self._said[key] = Reported(ValueStatus(key, state, "CREATE"), self._revision)

    def step(self) -> bool:
        """Plan and commit what may go; whether that was all."""
        self.now += STEP
        plan = self.reconciler.plan()
        actual, ledger = self.reconciler.actual, self.reconciler.ledger
        part = self._phases.next_part(plan, ledger, actual, self._said.get, self.now)
        for index, transaction in enumerate(part.plan.transactions):
            self._revision += 1
            extra = self.reconciler.bookkeeping(part.plan, index, is_part=not part.is_last)
            for one in (*transaction.operations, *extra):
                if one.value is None:
                    del self.etcd[one.key]
                else:
                    self.etcd[one.key] = KeyValue(one.key, one.value, self._revision)
            short = [(one.key.removeprefix(PREFIX), one.value) for one in transaction.operations]
            changes = [Change(FullKey(key), value, self._revision) for key, value in short]
            self._silent += [key for key, _ in short]
            self.reconciler.committed(transaction, extra, self._revision)
            self._phases.committed(transaction, PREFIX, self._revision, self.now)
            self.revisions.append((self._revision, changes))
        if part.is_last or part.copies:
            self.reconciler.finish_change(part.copies)
        else:
            self.reconciler.postpone(part.gone)
        return part.is_last


@pytest.mark.parametrize("chance", [0.0, 0.05, 0.5])
@pytest.mark.parametrize("seed", range(6))
def test_no_part_leaves_a_gap_or_a_remnant(seed: int, chance: float) -> None:
    """Whatever changes while parts wait, and whatever the agent says: nothing refers to what is not
    there, and in the end etcd holds what one comparison of everything wants."""
    node = Node(seed, chance)
    for _ in range(200):
        if node.random.random() < 0.4:
            node.change()
        node.listen()
        node.step()
    last = node.now
    while not node.step():
        assert node.now < last + SETTLED
    node.reconciler.reset(node.etcd.values())

    assert violations(node.revisions) == []
    assert not node.reconciler.plan()
