"""Repairing as values: what each means writes, in which order, and what it never does."""

from __future__ import annotations

import json

import hypothesis
import pytest
from history import violations
from hypothesis import given
from hypothesis import strategies as st
from repairing import Table, chosen, pair, renamed, settled, shapes, whole
from sidecar import Sidecar, own_ranges
from strategies import Scene, scenes

from srv6kv.agent.needs import Means
from srv6kv.etcd.values import Change
from srv6kv.ligato import keys
from srv6kv.ligato.schema import parse_json
from srv6kv.ligato.validity import fault_of
from srv6kv.ligato.values import decode
from srv6kv.net.sids import DISCARD_HOST
from srv6kv.repair.ground import Pause
from srv6kv.repair.means import RepairPlan, plan_repair
from srv6kv.repair.never import never
from srv6kv.txn.transaction import FullKey

EVERY = tuple(one for one in Means if one is not Means.RESTART)


def foreign(scene_keys: Sidecar) -> set[str]:
    """The keys that are not ours."""
    ranges = own_ranges(scene_keys.settings)
    return {key for key in scene_keys.actual.entries if not ranges.owns(key)}


def base(sidecar: Sidecar) -> list[tuple[int, list[Change]]]:
    """All keys as one revision, what is needed first."""
    listed = sorted(sidecar.actual.entries.items(), key=lambda item: (keys.rank(item[0]), item[0]))
    return [(0, [Change(FullKey(key), entry.value, 0) for key, entry in listed])]


def unsound(sidecar: Sidecar, table: Table) -> list[str]:
    """What is wrong in a state on the way; that no localsid answers a discard SID is right."""
    found = violations([*base(sidecar), *table.changes], foreign(sidecar))
    return [text for text in found if not text.endswith(f"{DISCARD_HOST} is missing")]


few = hypothesis.settings(max_examples=40)
every_means = pytest.mark.parametrize("means", EVERY)


@every_means
@few
@given(scene=scenes())
def test_etcd_ends_as_it_was(means: Means, scene: Scene) -> None:
    """After any means every key has the bytes that it had; only a move changes BSIDs, and leaves
    nothing owed either."""
    sidecar = settled(scene)
    table = Table(sidecar)
    before = table.state
    ground, repairing = whole(table, means)

    assert ground.owed == {}
    assert repairing.left == {}
    assert renamed(before, repairing.rebound) == table.state
    assert bool(repairing.rebound) == (
        means is Means.REBIND and bool(chosen(table.ground(), means))
    )


@every_means
@few
@given(scene=scenes())
def test_the_agent_accepts_every_state_on_the_way(means: Means, scene: Scene) -> None:
    """Every value is one that the agent decodes and finds valid; no steering is without its policy,
    no policy without its localsids, and no BSID begins another one."""
    sidecar = settled(scene)
    table = Table(sidecar)
    whole(table, means)

    for _, changes in table.changes:
        for change in changes:
            if change.value is not None:
                parse_json(change.key, change.value)
                assert fault_of(decode(change.key, change.value)) is None
    assert unsound(sidecar, table) == []


@every_means
@few
@given(scene=scenes(), part=st.integers(0, 40))
def test_what_is_cut_short_is_put_back(means: Means, scene: Scene, part: int) -> None:
    """Wherever a repair is broken off, what it owes brings back every byte, but for finished
    moves; again each state on the way is sound."""
    sidecar = settled(scene)
    table = Table(sidecar)
    before, ground = table.state, table.ground()
    repairing = plan_repair({means: chosen(ground, means)}, ground, batch=2)
    done = repairing.steps[:part]
    table.do(ground, done)
    table.do(ground, ground.restoring())

    assert ground.owed == {}
    assert table.state == renamed(before, RepairPlan(list(done)).rebound)
    assert unsound(sidecar, table) == []


@few
@given(scene=scenes(), part=st.integers(1, 40))
def test_a_lost_answer_is_found_out(scene: Scene, part: int) -> None:
    """A step that is done although nobody said so is owed like any other, and one that is not
    done is not."""
    table = Table(settled(scene))
    before, ground = table.state, table.ground()
    steps = plan_repair({Means.REWRITE: chosen(ground, Means.REWRITE)}, ground).steps[:part]
    table.do(ground, steps[:-1])
    for step in steps[-1:]:
        assert not ground.read(table.read(), table.revision, step)
        table.commit(step.transaction)
        assert ground.read(table.read(), table.revision, step)
    table.do(ground, ground.restoring())

    assert table.state == before


def test_what_others_change_is_not_put_back() -> None:
    """A key that somebody else has put while it was away is that one's."""
    table = pair()
    ground = table.ground()
    steps = plan_repair({Means.REWRITE: chosen(ground, Means.REWRITE)}, ground).steps
    table.do(ground, steps[:1])
    key = min(ground.owed)
    table.entries[key] = (b"{}", table.revision + 1)
    table.revision += 1
    ground.read(table.read(), table.revision)
    assert key not in ground.owed
    table.do(ground, ground.restoring())

    assert table.state[key] == b"{}"


def test_a_recreation_goes_there_and_back_at_once() -> None:
    """Some policies at a time; the agent is waited for only when they are back."""
    table = pair()
    ground = table.ground()
    steps = plan_repair({Means.RECREATE: chosen(ground, Means.RECREATE)}, ground, batch=1).steps
    there, back = (json.loads(step.transaction.operations[0].value or b"") for step in steps[:2])

    assert [step.pause for step in steps] == [Pause.NONE, Pause.APPLIED] * 2
    assert there == {**back, "installation_vrf_id": 1}
    assert [len(step.transaction) for step in steps] == [1] * 4


def test_a_rewrite_waits_until_all_is_gone() -> None:
    """Steerings go before policies before localsids; the other way round they come back, after the
    one pause."""
    ground = pair().ground()
    steps = plan_repair({Means.REWRITE: chosen(ground, Means.REWRITE)}, ground).steps
    kinds = [list(dict.fromkeys(shape)) for shape in shapes(steps)]

    assert kinds == [
        ["del steering", "del policy", "del localsid"],
        ["put localsid", "put policy", "put steering"],
    ]
    assert [step.pause for step in steps] == [Pause.GONE, Pause.NONE]
    assert steps[0].waits_for == steps[1].done == chosen(ground, Means.REWRITE)


def test_a_policy_is_rewritten_with_its_steerings() -> None:
    """The agent takes them out with it, so they have to come again too."""
    ground = pair().ground()
    steps = plan_repair({Means.REWRITE: frozenset({keys.policy("9999:f00d::2")})}, ground).steps

    assert shapes(steps) == [
        ["del steering"] * 2 + ["del policy"],
        ["put policy"] + ["put steering"] * 2,
    ]


def test_a_lost_deletion_is_a_put_and_a_deletion() -> None:
    """Of a key that etcd has no more; the value between them is one that cannot be made."""
    table = pair()
    ground = table.ground()
    key = keys.policy("5555::1")
    steps = plan_repair({Means.RESEND: frozenset({key})}, ground).steps
    table.do(ground, steps[:1])
    assert ground.owed == {key: None}
    table.do(ground, steps[1:])

    assert shapes(steps) == [["put policy"], ["del policy"]]
    assert (key in table.state, ground.owed) == (False, {})


@pytest.mark.parametrize(
    "key",
    [
        keys.localsid("6666::1"),
        keys.policy("5555::1"),
        keys.steering("forK8sService-a-b"),
        keys.route(0, "6666::1/128", "::"),
        keys.route(1, "2096::/110", "::"),
        keys.rule_chain("srv6kv-x-OUTPUT"),
    ],
)
def test_what_can_never_be_made_is_valid(key: str) -> None:
    """For each kind of key: the agent decodes the value and finds nothing wrong with it."""
    value = never(key)
    parse_json(key, value)
    found = decode(key, value) if not key.startswith(keys.RULE_CHAIN) else None

    assert found is None or (found.key, fault_of(found)) == (key, None)


def test_a_key_of_another_kind_has_no_such_value() -> None:
    """It says so instead of writing something."""
    with pytest.raises(ValueError, match="writes no such key"):
        never("config/vpp/v2/interfaces/x")


@few
@given(scene=scenes())
def test_a_large_task_is_guarded_key_by_key(scene: Scene) -> None:
    """No transaction has more operations than a server compares one by one."""
    ground = Table(settled(scene)).ground()
    for means in EVERY:
        steps = plan_repair({means: chosen(ground, means)}, ground).steps

        assert all(len(step.transaction) <= 120 for step in steps)
        assert {key for step in steps for key in step.done} == chosen(ground, means)
