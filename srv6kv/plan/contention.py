"""Keys of ours that others write at the same time: what depends on them, and what does not.

Rule: pure. An edit of one key costs the plan of what depends on it, and a key that is edited all
the time holds up nothing else: what needs it goes out last, in a transaction of its own.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from srv6kv.ligato import keys
from srv6kv.ligato.chains import ChainName
from srv6kv.plan.actual import Actual, lists_of, steering_facts
from srv6kv.plan.plan import Plan
from srv6kv.render.desired import Delta, Desired
from srv6kv.txn.transaction import FullKey, Operation, Transaction

_DESTINATION = re.compile(r"/dst/([^/]+)/")
_MATCHED_ADDRESS = re.compile(rb"-d ([0-9a-f:.]+)/")


def dependents(key: str, actual: Actual, desired: Desired, *, is_ours: bool) -> Delta:
    """Find what has to be planned again when others change a key (short form).

    Ask before and after the change: the old value of a steering decides as much as the new one, and
    the policy that it has left may have no other.
    """
    found = desired.beside(key, {actual.subject_of(key)})
    if not is_ours:
        return found
    found.is_urgent = True
    if key.startswith(keys.POLICY):
        found.targets |= actual.targets_of(key.removeprefix(keys.POLICY))
    elif key.startswith(keys.STEERING):
        found.targets |= desired.names.get(key.removeprefix(keys.STEERING), set())
        facts = actual.facts.get(key)
        if facts is not None:
            others = actual.steerings.get(facts.target, ()) if facts.target is not None else ()
            for bsid in {facts.bsid, *(actual.facts[other].bsid for other in others)}:
                found.keys.add(keys.policy(bsid))
                found.targets |= actual.targets_of(bsid)
    return found


def set_apart(found: Plan, contended: Collection[str], actual: Actual, prefix: str) -> Plan:
    """Split the transactions of a plan so that what needs a contended key comes last.

    Operations that depend on each other stay together and in their order.

    Args:
        contended: keys (short form) that others have just changed.

    Returns:
        The plan, with first what needs no contended key, then one group after the other of what
        does.
    """
    if not contended:
        return found
    operations = [one for transaction in found.transactions for one in transaction.operations]
    neighbours = _neighbours(operations, actual, prefix)
    left = {one.key for one in operations}
    groups = []
    for key in sorted(keys.full(prefix, key) for key in contended):
        if key in left:
            group = _group(key, neighbours)
            left -= group
            groups.append(group)
    parts = (
        Transaction(tuple(one for one in transaction.operations if one.key in group))
        for group in (left, *groups)
        for transaction in found.transactions
    )
    return replace(found, transactions=tuple(filter(None, parts)))


def _group(key: FullKey, neighbours: dict[FullKey, set[FullKey]]) -> set[FullKey]:
    """The key and all that depends on it, however indirectly."""
    found, open_ = {key}, [key]
    while open_:
        new = neighbours[open_.pop()] - found
        found |= new
        open_ += new
    return found


def _neighbours(
    operations: Iterable[Operation], actual: Actual, prefix: str
) -> dict[FullKey, set[FullKey]]:
    """Which keys of these operations share something that one of them provides."""
    providers: dict[str, set[FullKey]] = defaultdict(set)
    users: dict[str, set[FullKey]] = defaultdict(set)
    for operation in operations:
        key = keys.short(prefix, operation.key)
        for value in {operation.value, actual.value_of(key)}:
            for name, is_provider in _names(key, value, actual):
                users[name].add(operation.key)
                if is_provider:
                    providers[name].add(operation.key)
    found: dict[FullKey, set[FullKey]] = defaultdict(set)
    for name in providers:
        for user in users[name]:
            found[user] |= users[name] - {user}
    return found


def _names(key: str, value: bytes | None, actual: Actual) -> Iterator[tuple[str, bool]]:
    """Yield the names that connect a key with others, and whether it provides them: policies with
    one SID do not depend on each other, but each on the localsid."""
    if key.startswith(keys.LOCALSID):
        yield f"sid {key.removeprefix(keys.LOCALSID)}", True
    elif key.startswith(keys.ROUTE):
        for address in _DESTINATION.findall(key):
            yield f"sid {address}", True
    elif key.startswith(keys.RULE_CHAIN):
        name = ChainName.of(key)
        yield f"chain {name.builtin.key if name is not None else key}", True
        for matched in _MATCHED_ADDRESS.findall(value or b""):
            yield f"address {str(matched, 'ascii')}", True
    elif key.startswith(keys.POLICY):
        bsid = key.removeprefix(keys.POLICY)
        yield f"bsid {bsid}", True
        for _, destination in actual.targets_of(bsid):
            yield f"address {destination}", False
        for segments, _ in lists_of(key, value) if value is not None else ():
            for segment in segments:
                yield f"sid {segment}", False
    elif key.startswith(keys.STEERING):
        facts = steering_facts(value) if value is not None else None
        if facts is not None:
            yield f"bsid {facts.bsid}", True
            if facts.target is not None:
                yield f"target {facts.target}", True
                yield f"address {facts.target[1]}", False
