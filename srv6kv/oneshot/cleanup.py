"""Removing all that is srv6kv's below a label, also of a node that is gone.

Rule (decision 0029): only keys that are ours by name, by the ranges noted in etcd or
by today's, in the order in which a plan deletes: steerings, policies, rule chains, routes,
localsids. What we made because others lacked it goes too, unless another writer uses it by now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from srv6kv import foreign
from srv6kv.etcd.values import KeyValue
from srv6kv.ligato import keys
from srv6kv.plan import ownership
from srv6kv.plan.ownership import Ranges
from srv6kv.plan.plan import delete_order, split
from srv6kv.sync.ledgerkeys import ledger_of
from srv6kv.txn.limits import DEFAULT, Limits
from srv6kv.txn.transaction import Operation, Transaction

NOTES = ("boot", "ranges", "shared")
"""The notes below ``/srv6kv/<label>/``; the writer key is none."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What is to be deleted, and what has to stay.

    Attributes:
        notes: what we have noted about ourselves, to be deleted with the last transaction.
        kept: what we made and others use: key (short form) to one of the keys that need it.
    """

    transactions: tuple[Transaction, ...]
    notes: tuple[Operation, ...]
    kept: Mapping[str, str]
    followers: frozenset[str] = frozenset()

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys of the agent that go, in their order."""
        return tuple(o.key for transaction in self.transactions for o in transaction.operations)

    @property
    def steps(self) -> list[tuple[Transaction, tuple[Operation, ...]]]:
        """The transactions, the last with the deletion of the notes: an interrupted cleanup still
        finds in them what is srv6kv's."""
        if not (self.transactions or self.notes):
            return []
        *most, last = self.transactions or (Transaction(()),)
        return [*((one, ()) for one in most), (last, self.notes)]


def removal(
    label: str, entries: list[KeyValue], today: Ranges, limits: Limits = DEFAULT
) -> Removal:
    """Find what of these keys is srv6kv's.

    Args:
        entries: all keys below ``/vnf-agent/<label>/config/`` and ``/srv6kv/<label>/``.
        today: the ranges of the settings in use; those noted in etcd count anyway.
    """
    prefix, own_prefix = keys.agent_prefix(label), ownership.own_prefix(label)
    noted = {e.key.removeprefix(own_prefix): e for e in entries if e.key.startswith(own_prefix)}
    actual = {e.key.removeprefix(prefix): e for e in entries if e.key.startswith(prefix)}
    ledger = ledger_of({name: entry.value for name, entry in noted.items()})
    owned = ledger.ranges | today
    gone = {key for key in actual if owned.owns(key)}
    made = {k for k, v in ledger.shared.items() if k in actual and actual[k].value == v.encode()}
    kept = dict(_in_use(made, {k: v.value for k, v in actual.items() if k not in gone | made}))
    order = sorted(gone | made - kept.keys(), key=delete_order)
    deletes = [Operation(keys.full(prefix, key), None, actual[key].mod_revision) for key in order]
    return Removal(
        tuple(split(deletes, limits.planned, limits.size)),
        tuple(Operation(keys.full(own_prefix, name), None, 0) for name in NOTES if name in noted),
        kept,
    )


def _in_use(made: set[str], others: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """Find the VRF tables that a key of others needs: its objects would go with the table."""
    users: dict[int, str] = {}
    for key, value in sorted(others.items()):
        if key.startswith((keys.INTERFACE, keys.ROUTE)):
            for vrf in _vrfs_of(value):
                users.setdefault(vrf, key)
    for key in sorted(made):
        if key.startswith(keys.VRF_TABLE):
            number = key.removeprefix(f"{keys.VRF_TABLE}id/").partition("/")[0]
            if number.isascii() and number.isdigit() and int(number) in users:
                yield key, users[int(number)]


def _vrfs_of(value: bytes) -> Iterator[int]:
    """The VRFs that an interface or a route names; 0, which always exists, if it names none."""
    try:
        body: Any = foreign.plain(value)
    except ValueError:  # not the agent's either
        return
    if isinstance(body, dict):
        for name in ("vrf", "vrf_id", "via_vrf_id", "vrfId", "viaVrfId"):
            if isinstance(body.get(name), int):
                yield body[name]
