"""The own Node: what is said while it was not seen, and what stays when it goes."""

from __future__ import annotations

from typing import Any

import pytest
from booted import started, wiring, written
from clusters import identity, node, settings

from srv6kv.cluster.ownnode import near_names, warning
from srv6kv.sync.reconciler import Reconciler

NODES = ["node1", "node2", "edge-7.example.net", "worker"]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("NODE1", ("node1",)),
        ("node1.example.net", ("node1",)),
        ("edge-7", ("edge-7.example.net",)),
        ("Edge-7.corp.example.net", ("edge-7.example.net",)),
        ("wroker", ("worker",)),
        ("node7.example.net", ("node1", "node2")),
        ("other", ()),
        ("", ()),
    ],
)
def test_near_names(name: str, near: tuple[str, ...]) -> None:
    """Another case, a domain more or less, or a slip of the finger is recognised."""
    assert near_names(name, NODES) == near


def test_the_name_itself_comes_first() -> None:
    """The same name in another case is nearer than any other."""
    assert near_names("NODE2", ["node2.a", "node2", "node20"])[0] == "node2"


def test_warning() -> None:
    """It names the node, those near it, or what is wrong with it."""
    assert str(warning("n1.a", ["n1"])) == (
        'Node n1.a: there is no Node of this name; near it: n1; give --node the name that "kubectl'
        ' get nodes" shows; nothing is written or deleted for it until it has been seen'
        " (OwnNodeUnknown)"
    )
    assert "never seen well-formed: spec: bad;" in warning("n1", [], "spec: bad").text


def seen(*bodies: dict[str, Any]) -> Reconciler:
    """What node 1 knows after these objects."""
    reconciler = Reconciler(settings("seed"), "node1", "n")
    for body in bodies:
        reconciler.intake.apply(identity(body), body)
    return reconciler


def broken(number: int) -> dict[str, Any]:
    """A Node that makes no sense."""
    return {**node(number), "spec": 5}


def bare(number: int) -> dict[str, Any]:
    """A Node that is registered, and no more."""
    return {**node(number), "spec": {}, "status": {}}


@pytest.mark.parametrize(
    "body", [node(2), broken(1), bare(1)], ids=["another", "malformed", "registered"]
)
def test_not_seen(body: dict[str, Any]) -> None:
    """A Node of another name, or one that was never well-formed, is not the own Node."""
    reconciler = seen(body)
    found = reconciler.own_node.warn()

    assert not reconciler.own_node.is_seen
    assert not reconciler.own_node.is_eligible
    assert found is not None
    assert ("near it: node2" in found.text) == (body["metadata"]["name"] == "node2")

    reconciler.intake.apply(identity(node(1)), node(1))

    assert reconciler.own_node.warn() is None
    assert reconciler.own_node.is_eligible


def test_the_near_names_stay() -> None:
    """However nodes come and go, there is one warning and so one line."""
    reconciler = seen(node(2))
    first = reconciler.own_node.warn()
    reconciler.intake.apply(identity(node(3)), node(3))
    reconciler.intake.apply(identity(node(2)), None)

    assert reconciler.own_node.warn() == first


@pytest.mark.parametrize("body", [None, broken(1)], ids=["deleted", "malformed"])
def test_its_state_stays_while_it_is_away(body: dict[str, Any] | None) -> None:
    """Nothing is to be written when the own Node goes, nor when it is back (rule M6)."""
    reconciler = started("", wiring(5))
    written(reconciler, 6)
    own = identity(node(1))
    reconciler.intake.apply(own, body)

    assert not reconciler.own_node.is_eligible
    assert reconciler.own_node.is_seen
    assert not reconciler.plan()

    reconciler.intake.apply(own, node(1))

    assert reconciler.own_node.is_eligible
    assert not reconciler.plan()


@pytest.mark.parametrize("is_deleted", [True, False])
@pytest.mark.parametrize("lacking", [("spec",), ("status",), ("spec", "status")])
def test_it_is_registered_again(is_deleted: bool, lacking: tuple[str, ...]) -> None:
    """A Node without its pod CIDR and addresses, which come a moment later, takes nothing away."""
    reconciler = started("", wiring(5))
    written(reconciler, 6)
    own = identity(node(1))
    if is_deleted:
        reconciler.intake.apply(own, None)
    reconciler.intake.apply(own, {**node(1), **{name: {} for name in lacking}})

    assert not reconciler.plan()
    assert not reconciler.own_node.is_eligible
    assert [note.reason for note in reconciler.intake.notes()] == ["OwnNodeIncomplete"]

    reconciler.intake.apply(own, node(1))

    assert reconciler.own_node.is_eligible
    assert list(reconciler.intake.notes()) == []
    assert not reconciler.plan()


def test_another_node_that_goes_is_gone() -> None:
    """Only the own Node is kept."""
    reconciler = seen(node(1), node(2))
    reconciler.intake.apply(identity(node(2)), None)

    assert set(reconciler.cluster.nodes) == {"node1"}


def test_a_source_is_silent_without_any_object() -> None:
    """The own Node that is kept does not speak for the source."""
    reconciler = seen(node(1))

    assert not reconciler.own_node.is_source_silent

    reconciler.intake.apply(identity(node(1)), None)

    assert reconciler.own_node.is_source_silent
