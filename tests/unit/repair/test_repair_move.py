"""New BSIDs for policies that the agent cannot make: which, in which steps, and what follows."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import given
from repairing import Table, chosen, pair, settled, shapes, whole
from strategies import Scene, scenes

from srv6kv.agent.needs import Means
from srv6kv.ligato import keys
from srv6kv.net import bsids
from srv6kv.net.addresses import Prefix
from srv6kv.net.bsids import Home
from srv6kv.repair.asked import asked, related
from srv6kv.repair.choose import Known
from srv6kv.repair.means import plan_repair

few = hypothesis.settings(max_examples=40)


@few
@given(scene=scenes())
def test_run_finds_nothing_to_do_after_a_move(scene: Scene) -> None:
    """A BSID that has moved is one that etcd holds: the sidecar keeps it, with all else."""
    sidecar = settled(scene)
    table = Table(sidecar)
    whole(table, Means.REBIND)
    after = scene.sidecar()
    after.ledger = sidecar.ledger
    for key, (value, revision) in table.entries.items():
        after.actual.apply(key, value, revision)

    assert after.plan().transactions == ()
    assert after.plan_change().transactions == ()


@few
@given(scene=scenes("today"))
def test_a_second_move_does_not_lead_back(scene: Scene) -> None:
    """VPP still has what was there before the first move, and nothing in etcd says so. Under the
    longest prefixes, where all services share 65,536 BSIDs, that takes what VPP shows."""
    table = Table(settled(scene))
    _, first = whole(table, Means.REBIND)
    _, second = whole(table, Means.REBIND)
    _, third = whole(table, Means.REBIND)
    texts = [
        *first.rebound,
        *first.rebound.values(),
        *second.rebound.values(),
        *third.rebound.values(),
    ]

    assert len(texts) == len(set(texts)) == 4 * len(first.rebound)


@few
@given(scene=scenes())
def test_a_new_bsid_relates_to_none_that_vpp_has(scene: Scene) -> None:
    """Nor to one that only VPP still has, as its own text or by the agent's states."""
    ground = Table(settled(scene)).ground()
    task = {Means.REBIND: chosen(ground, Means.REBIND)}
    wished = list(plan_repair(task, ground).rebound.values())
    given_ = list(plan_repair(task, ground, avoid=wished).rebound.values())
    everything = [*wished, *given_, *(key.rpartition("/")[2] for key in task[Means.REBIND])]

    assert len(wished) == len(given_)
    assert not [
        (one, other)
        for one in given_
        for other in everything
        if one != other and can_confuse(one, other)
    ]
    assert set(wished).isdisjoint(given_)


def can_confuse(one: str, other: str) -> bool:
    """Whether the agent could take one for the other."""
    return one.startswith(other) or other.startswith(one)


def test_a_tunnel_moves_with_its_steerings() -> None:
    """The new policy first; each steering's old key goes right before the new one comes; then the
    old policy. All of it is one transaction."""
    table = pair()
    ground = table.ground()
    old = "9999:f00d::2"
    steps = plan_repair({Means.REBIND: frozenset({keys.policy(old)})}, ground).steps
    moves = ["del steering", "put steering"] * 2
    table.do(ground, steps)

    assert shapes(steps) == [["put policy", *moves, "del policy"]]
    assert steps[0].rebound == (old, "9999:f00e::2")
    assert keys.steering(
        "forNodeToNodeTunneling-usingPolicyWithBSID-9999:f00e::2-and-lookupInMainVRF"
    ) in (table.state)


@pytest.mark.parametrize("number", [0, 1, 2, 9, 0xFFFF])
@pytest.mark.parametrize("address", ["2096::d765", "2096::", "2096::5"])
def test_the_next_bsids_are_all_the_others(number: int, address: str) -> None:
    """Behind any of them, in the order of the first choice and 1, 2, ...; each once."""
    home = Home(Prefix.parse("fc00::b:0/112"), address)
    everything = list(dict.fromkeys(bsids.choices(*home)))
    bsid = everything[number % len(everything)]
    place = everything.index(bsid)

    assert list(bsids.choices_after(home, bsid)) == everything[place + 1 :] + everything[:place]


def test_bsids_that_the_agent_confuses_can_be_moved() -> None:
    """That which begins with another one, and ours that begins somebody else's."""
    table = pair()
    for bsid in ("5555::1", "5555::12", "9999:f00d::2a", "4444::1"):
        table.entries[keys.policy(bsid)] = (b"{}", 1)
    known = Known(states={})

    found = related(table.ground())

    assert found == {keys.policy(bsid) for bsid in ("5555::12", "9999:f00d::2a")}
    assert asked(Means.REBIND, table.ground(), known, (), ()) == {Means.REBIND: frozenset(found)}


def test_bsids_that_run_out() -> None:
    """The last one that is free is found; without any the policy stays as it is, and it is said."""
    ground = pair().ground()
    old = "9999:f00d::2"
    key = keys.policy(old)
    others = list(bsids.choices_after(Home(Prefix.parse("9999::/16"), old), old))
    last = plan_repair(
        {Means.REBIND: frozenset({key})}, ground, avoid=others[:40_000] + others[40_001:]
    )
    none = plan_repair({Means.REBIND: frozenset({key})}, ground, avoid=others)

    assert last.rebound == {old: others[40_000]}
    assert (none.steps, none.left) == ([], {key: "every BSID that it could have is in use"})
