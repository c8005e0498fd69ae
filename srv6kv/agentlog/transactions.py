"""An agent's log as a recording: the etcd transactions that give an agent the same values.

Rule: a change puts and deletes what it lists. A full resync lists all that the agent is to have,
so it becomes what differs from before; without a difference it is an empty transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from srv6kv.agentlog.entries import Kind, Logged
from srv6kv.txn.recording import Recorded
from srv6kv.txn.transaction import FullKey, Operation, Transaction


def recorded(logged: Iterable[Logged]) -> Iterator[Recorded]:
    """Each transaction of a log as a recorded one, with keys that lack a label.

    Numbers count from 1. A guard says only whether the log has put the key before: it is 1 then,
    else 0. A key that is deleted without having been put is left out.
    """
    state: dict[str, bytes] = {}
    for number, transaction in enumerate(logged, start=1):
        operations = []
        for key, value in _changes(transaction, state):
            if value is None and key not in state:
                continue
            operations.append(Operation(FullKey(key), value, 1 if key in state else 0))
            if value is None:
                del state[key]
            else:
                state[key] = value
        yield Recorded(number, Transaction(tuple(operations)), transaction.time)


def _changes(transaction: Logged, state: dict[str, bytes]) -> list[tuple[str, bytes | None]]:
    listed = {
        key: None if value is None else msgspec.json.encode(value, order="sorted")
        for key, value in transaction.values
    }
    if transaction.kind is not Kind.RESYNC:
        return list(listed.items())
    kept = listed.keys() | transaction.unreadable
    listed |= {key: None for key in state if key not in kept}
    return [(key, value) for key, value in sorted(listed.items()) if state.get(key) != value]
