"""A node that lives: its cluster changes, srv6kv plans and writes, the model of the agent follows.

Everything is seeded; the same seed is the same life.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agentmodel import Agent, FakeVpp, State
from agentruns import (
    LOCALSID,
    POLICY,
    SRV6,
    STEERING,
    Change,
    apply,
    assert_held,
    deliver,
    failures,
    interleaved,
    prefix_of,
)
from clusters import Json, endpoint, endpoint_slice, identity, pod_address, service, settings
from history import differences
from strategies import OWN, Event, Scene, _scene, _Sizes, _turn

from srv6kv.etcd.values import Change as Watched
from srv6kv.etcd.values import KeyValue
from srv6kv.sync.reconciler import Reconciler
from srv6kv.txn.transaction import FullKey

BIG = "2096:0::1:B"
"""The address of the service with many backends, not in canonical form."""
MANY = 300
TORN = 0.01
"""How often the agent resyncs between two keys: its lists are of different revisions then."""


class Life:
    """One node, from nothing.

    Attributes:
        reconciler: srv6kv's.
        agent: the model.
        state: what etcd holds for the agent.
        written: how many keys srv6kv has put or deleted.
        seen: how often VPP was asked for something, by the name of the call.
        policies: every policy that srv6kv has put.
    """

    def __init__(self, conf: str, seed: int) -> None:
        self.conf = conf
        self.dice = random.Random(f"{conf} {seed}")
        self.agent = Agent(FakeVpp())
        self.agent.resync({})
        self.state: dict[str, bytes] = {}
        self.written = 0
        self.seen: Counter[str] = Counter()
        self.policies: list[Json] = []
        self._revision = 0
        self._revisions: dict[str, int] = {}
        self._bodies: dict[Any, Json] = {}
        self._noted: dict[str, bytes] = {}
        self.restart()

    def restart(self) -> None:
        """A new process of srv6kv that sees the same cluster."""
        self.reconciler = Reconciler(settings(self.conf), OWN, "n")
        entries = [
            KeyValue(FullKey(self.reconciler.prefix + key), text, self._revisions[key])
            for key, text in self.state.items()
        ]
        noted = [KeyValue(FullKey(key), text, 1) for key, text in self._noted.items()]
        self.reconciler.reset([*entries, *noted])
        for one, body in self._bodies.items():
            self.reconciler.intake.apply(one, body)

    # What happens -------------------------------------------------------------------------------

    def happen(self, events: Iterable[Event]) -> None:
        """Objects and keys of the CNI come, change and go."""
        for event in events:
            if event.kind == "wire":
                text = None if event.body is None else json.dumps(event.body).encode()
                self._write([(event.key, text)])
                watched = Watched(FullKey(self.reconciler.prefix + event.key), text, self._revision)
                self.reconciler.observe([watched])
            else:
                assert event.body is not None
                self.take(event.body, is_there=event.kind == "put")

    def take(self, body: Json, *, is_there: bool = True) -> None:
        """An object of the cluster comes, changes or goes."""
        one = identity(body)
        if is_there:
            self._bodies[one] = body
        else:
            self._bodies.pop(one, None)
        self.reconciler.intake.apply(one, body if is_there else None)

    def grow(self, backends: int) -> None:
        """The big service has so many backends on another node, in any order; 0: it goes."""
        numbers = list(range(1, backends + 1))
        self.dice.shuffle(numbers)
        for body in _big(numbers):
            self.take(body, is_there=backends > 0)

    def _write(self, changes: list[Change]) -> None:
        self._revision += 1
        apply(self.state, changes)
        self._revisions.update({key: self._revision for key, _ in changes})
        for change in interleaved(changes, self.dice):
            if self.dice.random() < TORN:
                self.agent.resync(dict(self.agent.values))
            deliver(self.agent, [change])

    # What follows -------------------------------------------------------------------------------

    def settle(self) -> None:
        """srv6kv writes what it plans; the agent gets it as its watches may deliver it."""
        plan = self.reconciler.plan()
        for index, transaction in enumerate(plan.transactions):
            changes = [
                (operation.key.removeprefix(self.reconciler.prefix), operation.value)
                for operation in transaction.operations
            ]
            before = dict(self.state)
            self.agent.vpp.calls.clear()
            self._write(changes)
            extra = self.reconciler.bookkeeping(plan, index)
            self.reconciler.committed(transaction, extra, self._revision)
            self._noted |= {one.key: one.value for one in extra if one.value is not None}
            self.written += len(changes)
            self.policies += [json.loads(t) for key, t in changes if t and key.startswith(POLICY)]
            assert_sparing(self.agent, before, changes)
            self.seen.update(call.name for call in self.agent.vpp.calls)
        self.reconciler.finish_change()
        self.agent.vpp.calls.clear()

    def assert_at_rest(self) -> None:
        """Nothing failed; what waits, waits for a key that others have not written; VPP holds
        exactly the rest."""
        self.agent.rest()
        assert failures(self.agent) == []
        assert self.agent.said == []
        assert self.agent.vpp.faults == []
        assert self.agent.vpp.refusals == {}
        waiting = set()
        for key in self.state:
            state = self.agent.state(key)
            if state == State.PENDING:
                waiting.add(key)
            elif prefix_of(key):
                assert state == State.CONFIGURED, (key, state)
        for key in waiting:
            needed = [need for _, need in self.agent.scheduler.nodes[key].needs]
            assert [need for need in needed if need not in self.state or need in waiting], key
        held = {key: text for key, text in self.state.items() if key not in waiting}
        assert_held(self.agent.vpp, held)
        assert differences(self.agent.values, self.state) == []

    def resync(self) -> None:
        """The agent resyncs over what it has: VPP is asked for nothing of SRv6."""
        self.agent.vpp.calls.clear()
        self.agent.resync(self.state)
        assert {call.name for call in self.agent.vpp.calls} <= {"plain_add"}


def _big(numbers: Iterable[int]) -> list[Json]:
    listed = [endpoint(pod_address(2, 100 + number), "node2") for number in numbers]
    return [
        service("big", BIG, namespace="default"),
        *(
            endpoint_slice("big", listed[start : start + 100], name=f"big-{start}")
            for start in range(0, MANY, 100)
        ),
    ]


def assert_sparing(agent: Agent, before: Mapping[str, bytes], changes: list[Change]) -> None:
    """VPP was asked for no more than the difference of the values: nothing for a value that stays,
    lists alone for a policy that stays."""
    allowed: Counter[tuple[str, str]] = Counter()
    for key, text in changes:
        old = json.loads(before[key]) if key in before else None
        new = json.loads(text) if text is not None else None
        if key.startswith(SRV6):
            allowed.update(_allowed(key, old, new))
    asked = Counter(
        (call.name, call.about)
        for call in agent.vpp.calls
        if call.name not in ("cli", "plain_add", "plain_del")
    )
    excess = asked - allowed
    assert not excess, (excess, changes)


def _allowed(key: str, old: Json | None, new: Json | None) -> Iterator[tuple[str, str]]:
    if old == new:
        return
    if key.startswith(POLICY):
        yield from _allowed_of_policy(old, new)
        return
    for verb, value in (("del", old), ("add", new)):
        if value is not None and key.startswith(LOCALSID):
            yield f"localsid_{verb}", value["sid"]
        elif value is not None and key.startswith(STEERING):
            yield f"steering_{verb}", value["l3_traffic"]["prefix_address"]


def _allowed_of_policy(old: Json | None, new: Json | None) -> Iterator[tuple[str, str]]:
    one = old or new
    assert one is not None
    bsid = one["bsid"]
    before, after = _lists(old), _lists(new)
    if old is None:
        yield "policy_add", bsid
        yield from [("list_add", bsid)] * (len(after) - 1)
    elif new is None:
        yield "policy_del", bsid
    else:
        rest = {name: old.get(name) for name in old.keys() | new.keys() if name != "segment_lists"}
        assert rest == {name: new.get(name) for name in rest}, "a policy that is made anew"
        yield from [("list_add", bsid)] * len(after - before)
        yield from [("list_del", bsid)] * len(before - after)


def _lists(value: Json | None) -> set[tuple[tuple[str, ...], int]]:
    listed = value["segment_lists"] if value is not None else []
    return {(tuple(item["segments"]), item["weight"]) for item in listed}


def lived(conf: str, seed: int, steps: int) -> Life:
    """A life of so many steps, with everything checked at every rest."""
    life = Life(conf, seed)
    scene: Scene | None = None
    step = 0
    while step < steps:
        sizes = _Sizes(life.dice.randint(1, 4), life.dice.randint(1, 6), 3, 8)
        after = _scene(sizes, life.dice, conf)
        events = _turn(scene, after) if scene is not None else _rise(after)
        scene = after
        life.dice.shuffle(events)
        while events and step < steps:
            size = life.dice.randint(1, 8)
            bunch, events = events[:size], events[size:]
            life.happen(bunch)
            _chance(life, step)
            life.settle()
            life.assert_at_rest()
            step += 1
        if events:  # the history ends within a turn
            life.happen(events)
            life.settle()
            life.assert_at_rest()
    return life


def _rise(scene: Scene) -> list[Event]:
    return [
        *(Event("put", body) for body in scene.objects),
        *(Event("wire", value, key) for key, value in scene.keys[OWN].items()),
    ]


def _chance(life: Life, step: int) -> None:
    """Now and then the big service changes, srv6kv starts anew, the agent resyncs, or it starts
    anew with its VPP."""
    if step % 15 == 7:
        life.grow(life.dice.choice([0, 1, 2, 40, MANY]))
    if step % 40 == 23:
        life.restart()
    if step % 25 == 11:
        life.resync()
    if step % 30 == 19:
        life.agent.restart_with_vpp()
