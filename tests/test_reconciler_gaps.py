"""While something in the manifests could never be read, nothing is deleted."""

from __future__ import annotations

from test_boot import started, wiring, written

POLICY = "config/vpp/srv6/v2/policy/5555::d765"
IDENTITY = ("Service", "default", "myservice")


def test_what_seems_to_be_gone_stays_while_there_are_gaps() -> None:
    """A service that a restart does not find keeps its keys, with a note, until all is readable."""
    held = written(started("", wiring(5)), 6)
    again = started("", [*wiring(5), *held])
    again.intake.take(IDENTITY, None)
    again.delete_nothing(True)

    assert not again.plan()
    assert "DeletesHeld" in {note.reason for note in again.notes()}

    again.delete_nothing(False)
    gone = {o.key for txn in again.plan().transactions for o in txn.operations}

    assert f"/vnf-agent/n/{POLICY}" in gone
    assert "DeletesHeld" not in {note.reason for note in again.notes()}
