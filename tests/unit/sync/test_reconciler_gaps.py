"""With gaps in the input, only what this process has wanted before is deleted."""

from __future__ import annotations

from booted import started, wiring, written

from srv6kv.kube.gaps import ANYTHING
from srv6kv.sync.reconciler import Reconciler

PREFIX = "/vnf-agent/n/"
POLICY = "config/vpp/srv6/v2/policy/5555::d765"
IDENTITY = ("Service", "default", "myservice")
BROKEN = {"metadata": {"name": "broken"}, "spec": {"clusterIP": "2096::5", "ports": 7}}


def going(reconciler: Reconciler) -> set[str]:
    """The keys that the next plan deletes."""
    transactions = reconciler.plan().transactions
    return {o.key for txn in transactions for o in txn.operations if o.value is None}


def reasons(reconciler: Reconciler) -> set[str]:
    """Why something is noted."""
    return {note.reason for note in reconciler.notes()}


def test_what_seems_to_be_gone_stays_while_there_are_gaps() -> None:
    """A service that a restart does not find keeps its keys, with a note, until all is readable."""
    held = written(started("", wiring(5)), 6)
    again = started("", [*wiring(5), *held])
    again.intake.apply(IDENTITY, None)
    again.source_gaps = frozenset({ANYTHING})

    assert not going(again)
    assert "DeletesHeld" in reasons(again)

    again.source_gaps = frozenset()

    assert PREFIX + POLICY in going(again)
    assert "DeletesHeld" not in reasons(again)


def test_a_malformed_object_at_the_start_is_a_gap() -> None:
    """What a restart finds malformed may be what etcd holds keys of: they stay meanwhile."""
    held = written(started("", wiring(5)), 6)
    again = started("", [*wiring(5), *held], without=IDENTITY)
    again.intake.apply(IDENTITY, BROKEN)

    assert not going(again)

    again.intake.apply(IDENTITY, None)

    assert PREFIX + POLICY in going(again)


def test_gaps_hold_nothing_that_was_seen_since_the_start() -> None:
    """One bad object stops no others: what this process has wanted goes when it is gone."""
    reconciler = started("", wiring(5))
    reconciler.source_gaps = frozenset({ANYTHING})
    written(reconciler, 6)
    reconciler.intake.apply(IDENTITY, None)

    assert PREFIX + POLICY in going(reconciler)
    assert "DeletesHeld" not in reasons(reconciler)
