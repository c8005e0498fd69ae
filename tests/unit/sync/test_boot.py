"""Rule chains across reboots: a process id means something only in the boot that gave it."""

from __future__ import annotations

import msgspec
from booted import started, wiring, written

from srv6kv.etcd.values import KeyValue
from srv6kv.sync.ledgerkeys import Boot
from srv6kv.sync.reconciler import Reconciler

POD = "2001:0:0:1::5"
CHAIN = "config/linux/iptables/v2/rulechain/srv6kv-"


def chains(reconciler: Reconciler) -> list[str]:
    """The rule chains that etcd holds."""
    return [key for key in reconciler.actual.entries if key.startswith(CHAIN)]


def test_a_restart_within_a_boot_keeps_the_chains() -> None:
    """Within one boot there is nothing to remove and nothing to write."""
    held = written(started("boot-a", wiring(5)), 6)
    again = started("boot-a", [*wiring(5), *held])

    assert not again.stale_chains()
    assert not again.plan()
    assert not again.ledger_keys.boot_operations()


def test_a_new_boot_removes_the_chains_before_anything_else() -> None:
    """Chains whose namespace was named by a process id go first, in one transaction."""
    held = written(started("boot-a", wiring(5)), 6)
    again = started("boot-b", [*wiring(5), *held])
    stale = again.stale_chains()

    assert {o.key.removeprefix("/vnf-agent/n/") for o in stale.operations} == set(chains(again))
    assert all(o.value is None for o in stale.operations)
    assert Boot("boot-b", 5, 5) == msgspec.json.decode(
        again.ledger_keys.boot_operations()[0].value or b"", type=Boot
    )


def test_wiring_of_an_earlier_boot_is_not_trusted_until_it_is_put_again() -> None:
    """A pod is not wired in a new boot before the CNI has written its Linux interface anew."""
    held = written(started("boot-a", wiring(5)), 6)
    again = started("boot-b", [*wiring(5), *held])
    again.committed(again.stale_chains(), again.ledger_keys.boot_operations(), 7)
    held = written(again, 8)

    assert chains(again) == []
    assert any(POD in str(note.subject) for note in again.notes())

    again.observe(wiring(9))
    written(again, 10)

    assert len(chains(again)) == 18  # of three pods
    assert not any(POD in str(note.subject) for note in again.notes())


def test_namespaces_without_a_process_outlive_a_boot() -> None:
    """A namespace that is named by a path of its own is trusted in every boot."""
    lasting = [
        KeyValue(item.key, item.value.replace(b"/proc/41", b"/run/netns/41"), item.mod_revision)
        for item in wiring(5)
    ]
    held = written(started("boot-a", lasting), 6)
    again = started("boot-b", [*lasting, *held])

    assert not again.stale_chains()
    assert not again.plan()
