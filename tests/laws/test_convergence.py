"""The own plan settles: what is done once is done, whatever coincides with what."""

from __future__ import annotations

import random

from clusters import endpoint, endpoint_slice, identity, node, service, sid
from convergence import Node, coinciding
from hypothesis import given
from hypothesis import strategies as st
from strategies import Event, History, histories
from test_laws import law

from srv6kv.kube.gaps import ANYTHING
from srv6kv.kube.model import Identity

ROUTE = "config/vpp/v2/route/vrf/0/dst/"
STEERING = "config/vpp/srv6/v2/steering/"


@law(200)
@given(histories(), st.integers(0, 2**32))
def test_a_plan_settles(history: History, seed: int) -> None:
    """After each plan of what changed the next is empty, a comparison of everything by a new
    process finds nothing and has the same to say, and comparing everything each time leads to the
    same keys."""
    node, whole = Node(history.last.conf), Node(history.last.conf)
    for bunch in coinciding(history, random.Random(seed)):
        for one in (node, whole):
            one.happen(bunch)
        whole.reconciler.reset(whole.entries())
        node.settle()
        whole.settle()

        assert node.left() == []
        assert node.left_in_full() == ([], node.reconciler.notes())
        assert node.ours() == whole.ours()


def poison(history: History, dice: random.Random) -> tuple[Identity, object]:
    """An object that is there or not, and what becomes of it: nonsense, or nothing."""
    body = dice.choice([*history.first.objects, *history.last.objects])
    kind, namespace, name = identity(body)
    nonsense: list[object] = [
        {"metadata": body["metadata"], "spec": 5, "endpoints": 5, "status": 5},
        {"metadata": 5},
        {**body, "status": 5, "ports": 5, "spec": "x"},
        [],
        None,
    ]
    return (kind, namespace, dice.choice([name, name, "new"])), dice.choice(nonsense)


@law(150)
@given(histories(), st.integers(0, 2**32))
def test_a_plan_settles_beside_what_cannot_be_read(history: History, seed: int) -> None:
    """Objects become malformed and good again, processes start anew, etcd is read anew: a plan is
    done in one go, and what is left when all can be read is what a new process would write."""
    dice = random.Random(seed)
    node = Node(history.last.conf)
    for bunch in coinciding(history, dice):
        node.happen(bunch)
        for _ in range(dice.choice([0, 0, 1, 2])):
            name, body = poison(history, dice)
            node.objects.pop(name, None)
            if body is not None:
                node.objects[name] = body  # type: ignore[assignment]
            node.reconciler.intake.apply(name, body)  # type: ignore[arg-type]
        if dice.random() < 0.15:
            node.reconciler.source_gaps = dice.choice([frozenset(), frozenset({ANYTHING})])
        if dice.random() < 0.15:
            node.reconciler = node.started()
        node.settle()

        assert node.left() == []

        notes = node.reconciler.notes()
        node.reconciler.reset(node.entries())

        assert node.left() == []
        assert node.reconciler.notes() == notes

        node.reconciler.finish_change()
    for name in [*node.objects]:
        node.objects.pop(name)
        node.reconciler.intake.apply(name, None)
    node.reconciler.source_gaps = frozenset()
    node.happen(put(*history.last.objects))
    node.settle()

    assert node.left_in_full()[0] == []


def put(*bodies: dict[str, object]) -> list[Event]:
    """These objects come or change."""
    return [Event("put", body) for body in bodies]


def test_an_address_that_is_another_nodes_sid() -> None:
    """The route to the SID is there and the steering is not, with a note, from the first plan on;
    when the SID is no node's any more, the next plan steers the address."""
    taken = sid("7766::/16", "fe10:f00d::3")
    seen = Node("seed")
    nodes = [node(1), node(2, addresses=["fd00::102", taken]), node(3)]
    seen.happen(put(*nodes))
    seen.settle()

    assert any(f"{ROUTE}{taken}/128" in key for key in seen.ours())
    assert not any(key.endswith(f"managementIP-{taken}") for key in seen.ours())
    assert seen.left() == []
    assert seen.left_in_full()[0] == []
    assert [n.text for n in seen.reconciler.notes() if n.reason == "InvalidValue"] == [
        f"{taken} is a SID with a route of its own in VRF 0; nothing is written for this part of"
        " the tunnel"
    ]

    seen.happen([Event("remove", nodes[2])])
    seen.settle()

    assert any(key.endswith(f"managementIP-{taken}") for key in seen.ours())
    assert not any(note.reason == "InvalidValue" for note in seen.reconciler.notes())


def in_the_way(address: str) -> Event:
    """Somebody steers an address in the pod VRF."""
    value = {
        "name": "mine",
        "policy_bsid": "8502::2",
        "l3_traffic": {"installation_vrf_id": 1, "prefix_address": f"{address}/128"},
    }
    return Event("wire", value, f"{STEERING}mine")


def test_what_is_in_the_way_costs_no_comparison_of_everything() -> None:
    """While somebody else steers a service's address, a plan looks only at what has changed; what
    was left out follows as soon as the other has gone."""
    seen = Node("seed")
    seen.happen([in_the_way("2096::1"), *put(node(1), node(2))])
    for number in range(1, 31):
        name = f"s{number}"
        listed = endpoint_slice(name, [endpoint(f"2001:0:0:2::{number:x}", "node2")])
        seen.happen(put(service(name, f"2096::{number:x}"), listed))
    seen.settle()
    changed = endpoint_slice("s9", [endpoint("2001:0:0:2::77", "node2")])
    seen.happen(put(changed))
    found = seen.reconciler.plan()

    assert not seen.reconciler.compares_all
    assert found.compared <= 3
    assert {note.reason for note in seen.reconciler.notes()} == {"InvalidValue"}

    seen.settle()
    seen.happen([Event("wire", None, f"{STEERING}mine")])
    found = seen.reconciler.plan()

    assert not seen.reconciler.compares_all
    assert found.compared <= 3
    assert sum(map(len, found.transactions)) == 2
    assert seen.reconciler.notes() == set()
