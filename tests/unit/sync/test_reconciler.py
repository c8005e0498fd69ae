"""What one node's state makes of changes by others, refusals and limits, without I/O."""

from __future__ import annotations

from dataclasses import replace

from booted import started, wiring, written

from srv6kv.etcd.values import Change, KeyValue
from srv6kv.sync.reconciler import Reconciler
from srv6kv.txn.limits import DEFAULT
from srv6kv.txn.transaction import FullKey

PREFIX = "/vnf-agent/n/"
POLICY = PREFIX + "config/vpp/srv6/v2/policy/5555::d765"
RECORD = "/vnf-agent/contiv-ksr/allocatedIDs/2"
RECORDED = b'{"id":2,"name":"node2","ip_addresses":["2005::2"]}'


def in_sync() -> Reconciler:
    """A reconciler whose plan is in etcd at revision 6."""
    reconciler = started("", wiring(5))
    written(reconciler, 6)
    return reconciler


def put(reconciler: Reconciler) -> set[str]:
    """The keys that the next plan puts."""
    operations = [one for txn in reconciler.plan().transactions for one in txn.operations]
    return {one.key for one in operations if one.value is not None}


def test_a_deleted_key_of_ours_is_put_again() -> None:
    """An edit is counted, and the next change looks at what it concerns only."""
    reconciler = in_sync()
    reconciler.observe([Change(FullKey(POLICY), None, 7)])

    assert reconciler.edited == 1
    assert put(reconciler) == {POLICY}
    assert not reconciler.compares_all
    assert reconciler.is_urgent


def test_what_the_watch_repeats_is_no_edit() -> None:
    """Our own commit, its deletion, and keys of other prefixes."""
    reconciler = in_sync()
    value = reconciler.held()[POLICY][0]
    reconciler.observe([Change(FullKey(POLICY), value, 6), Change(FullKey("/elsewhere"), b"x", 7)])
    reconciler.intake.apply(("Service", "default", "myservice"), None)
    for transaction in reconciler.plan().transactions:
        reconciler.committed(transaction, (), 8)
    reconciler.finish_change()
    reconciler.observe([Change(FullKey(POLICY), None, 8)])

    assert reconciler.edited == 0
    assert not reconciler.plan()


def test_a_record_of_a_node_renumbers_it() -> None:
    """Contiv's id and address count; a record that goes takes them along."""
    reconciler = in_sync()
    reconciler.observe([Change(FullKey(RECORD), RECORDED, 7)])
    found = reconciler.cluster.records.by_name()

    assert (found["node2"].id, found["node2"].ip) == (2, "2005::2")
    assert reconciler.cluster.dirt.nodes

    reconciler.observe([Change(FullKey(RECORD), None, 8)])
    assert reconciler.cluster.records.by_name() == {}


def test_a_refusal_that_shows_another_value_is_news() -> None:
    """What the key holds instead is planned with; the same refusal again is not."""
    reconciler = in_sync()
    change = Change(FullKey(POLICY), b"{}", 7)

    assert reconciler.apply_refusal([change])
    assert reconciler.is_contended
    assert put(reconciler) == {POLICY}
    assert not reconciler.apply_refusal([change])


def test_a_key_that_is_gone_at_a_refusal_is_reported_later() -> None:
    """The watch reports a deletion at its own revision, which is no second edit."""
    reconciler = in_sync()

    assert reconciler.apply_refusal([Change(FullKey(POLICY), None, 9)])
    reconciler.observe([Change(FullKey(POLICY), None, 8)])
    assert reconciler.edited == 1


def test_a_refusal_without_changes_is_news_once() -> None:
    """Something beside the keys has changed: smaller transactions, then all is read again."""
    reconciler = in_sync()

    assert reconciler.apply_refusal([])
    assert not reconciler.apply_refusal([])


def test_new_limits_compare_everything() -> None:
    """What did not fit may fit now; the same limits again change nothing."""
    reconciler = in_sync()
    reconciler.set_limits(DEFAULT)
    assert not reconciler.compares_all

    reconciler.set_limits(replace(DEFAULT, operations=DEFAULT.operations // 2))
    assert reconciler.compares_all


def test_a_comparison_finds_what_the_watch_has_missed() -> None:
    """A key that is gone, one with another revision, one of ours about ourselves, and a record."""
    reconciler = started("", wiring(5))
    held = written(reconciler, 6)
    entries = [*wiring(5), *held]
    assert reconciler.differing(entries) == set()

    notes = KeyValue(FullKey("/srv6kv/n/shared"), b"{}", 7)
    changed = [one for one in entries if one.key not in (POLICY, notes.key)]
    first = wiring(5)[0]
    changed = [one for one in changed if one.key != first.key]
    changed += [replace(first, mod_revision=8), notes, KeyValue(FullKey(RECORD), RECORDED, 8)]

    assert reconciler.differing(changed) == {POLICY, first.key, notes.key, RECORD}


def test_the_first_plan_of_a_session_reports_plumbing() -> None:
    """Once: what others may own, and what of it was made."""
    reconciler = in_sync()
    plan = reconciler.plan()

    assert reconciler.report(plan).startswith("plumbing found=")
    assert reconciler.report(plan) == ""


def test_postponed_deletions_are_planned_again() -> None:
    """A key whose deletion is left is looked at by the next plan; a plan of all looks anyway."""
    reconciler = in_sync()
    key = POLICY.removeprefix(PREFIX)
    reconciler.postpone([key])
    assert key in reconciler.plan().parts

    reconciler.compare_all()
    reconciler.postpone([key])
    assert reconciler.compares_all


def test_a_service_is_steered_by_name() -> None:
    """All that is steered, by the service that it is for."""
    assert "default/myservice" in map(str, in_sync().steered())
