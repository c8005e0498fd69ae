"""What has to be done so that etcd holds the desired state, in an order that is safe at each step.

Order (rule R11): localsids, routes, pod objects, policies, steerings; then deletes in
reverse. VPP keeps one entry for a (VRF, prefix): when its steering changes its key, the old key
goes immediately before the new one comes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass, field

import msgspec

from srv6kv.ligato import keys
from srv6kv.ligato.chains import is_builtin
from srv6kv.ligato.values import encode
from srv6kv.net.targets import Target
from srv6kv.notes import Note
from srv6kv.plan.actual import Actual, effects_of, steering_facts
from srv6kv.plan.copies import Order, order_of
from srv6kv.plan.inherited import Inherited
from srv6kv.plan.ownership import Ranges
from srv6kv.plan.resolve import Left, Part, Resolver
from srv6kv.render.desired import Delta, Desired
from srv6kv.settings import Settings
from srv6kv.txn import limits
from srv6kv.txn.transaction import Operation, Transaction

MOST_OPERATIONS = limits.DEFAULT.planned
MOST_BYTES = limits.DEFAULT.size
MOST_SHARED_BYTES = 3 << 16
MOST_RANGES_BYTES = 1 << 15
"""Both go into the same transaction, beside MOST_BYTES."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The notes of srv6kv in etcd about itself.

    Attributes:
        shared: objects that it created although others may own them, with the bytes it wrote.
    """

    ranges: Ranges = field(default_factory=Ranges)
    shared: dict[str, str] = field(default_factory=dict)


def dump_shared(shared: dict[str, str]) -> bytes:
    """The text that is kept in etcd about the objects that others may own."""
    return msgspec.json.encode(shared, order="sorted")


@dataclass(frozen=True, slots=True)
class Plumbing:
    """The objects that others may own and that the node needs, when all keys were compared.

    Attributes:
        found: keys that were there, in etcd or in the agent.
        made: keys that were not, or that we had made otherwise.
    """

    found: tuple[str, ...] = ()
    made: tuple[str, ...] = ()

    def __str__(self) -> str:
        listed = ": " + ", ".join(self.made) if self.made else ""
        return f"plumbing found={len(self.found)} made={len(self.made)}{listed}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The way from actual to desired.

    Attributes:
        values: key (short form) to the bytes that should be there; None: nothing should.
        plumbing: what others may own, and what of it is made now; empty unless all was compared.
        parts: what was looked at: keys, and targets of steerings.
        order: which chains wait for others.
    """

    transactions: tuple[Transaction, ...]
    ledger: Ledger
    effects: Counter[str]
    values: dict[str, bytes | None]
    plumbing: Plumbing = Plumbing()
    parts: frozenset[Part] = frozenset()
    left: Left = field(default_factory=Left)
    order: Order = field(default_factory=Order)

    def __bool__(self) -> bool:
        return bool(self.transactions)

    @property
    def notes(self) -> tuple[Note, ...]:
        """The warnings about what is left out."""
        return tuple(sorted(set(self.left.all_notes())))

    @property
    def compared(self) -> int:
        """How many keys were compared."""
        return len(self.values)

    @property
    def can_wait(self) -> bool:
        """Whether policies only grow or only shrink: each change moves flows of unaffected
        endpoints, so the counterpart is worth waiting for (rule M3)."""
        return bool(self.effects) and self.effects.keys() <= {"grow", "shrink"}


# A key (localsid, route, rule chain, ...):
# in etcd (actual)           | desired             | outcome
# absent                     | a value             | put, if it is still absent
# the same bytes             | the value           | nothing (R5)
# other bytes                | a value             | put, if its mod revision is still the same
# any                        | an invalid value    | stays as it is, InvalidValue
# ours                       | nothing             | deleted after all puts
# ours, may be of an input   | nothing             | stays, DeletesHeld
#   that cannot be read      |                     |
# not ours                   | nothing             | stays
#
# A shared key, which others may own:
# absent, also in the agent  | a value             | put and noted in the ledger
# absent, no room to note it | a value             | stays absent, InvalidValue
# the bytes that we noted    | a value or nothing  | put or deleted
# other bytes                | a value or nothing  | stays
#
# A target (VRF, prefix), with its steering and SR policy:
# no steering                | segment lists       | put, with a free BSID and name
# no steering, no free BSID  | segment lists       | nothing, BsidExhausted
# a steering of ours         | segment lists       | put; BSID and name stay
# a steering of ours under   | segment lists       | the old key is deleted, then the new one put,
#   another name             |                     |   with nothing between
# a steering of others, or   | segment lists       | nothing, InvalidValue
#   their host route, alone  |                     |
# the same beside ours       | segment lists       | put as if it were alone, InvalidValue
# any, a localsid is invalid | segment lists       | stays as it is, InvalidValue
# any, is a SID that we      | segment lists       | deleted, InvalidValue
#   route                    |                     |
# a steering of ours         | no lists            | deleted, then its policy unless it is in use
# two steerings that swap    | segment lists       | deleted in a transaction of their own, then put
#   their prefixes           |                     |
def plan(
    desired: Desired,
    actual: Actual,
    settings: Settings,
    *,
    prefix: str,
    ranges: Ranges,
    ledger: Ledger | None = None,
    delta: Delta | None = None,
    inherited: Inherited | None = None,
    present: Container[str] = (),
    most: int = MOST_OPERATIONS,
    most_bytes: int = MOST_BYTES,
    batch_bytes: int = MOST_BYTES,
) -> Plan:
    """Plan the transactions that make etcd hold the desired state.

    Args:
        delta: compare only this; None: everything that is ours.
        inherited: decides what of etcd stays, with a note; None: every key of ours may go.
        present: keys that the agent has from others than etcd: what may be others' is theirs.
        most: operations of one transaction.
        most_bytes: of a key with its value; what has more is left out.
        batch_bytes: of a transaction of more than one operation.
    """
    ledger = ledger or Ledger()
    owned = ranges | ledger.ranges
    if delta is None:
        own_keys = {key for key in actual.entries if owned.owns(key)}
        object_keys = own_keys | desired.objects.keys()
        object_keys = {k for k in object_keys if not k.startswith((keys.POLICY, keys.STEERING))}
        targets = {*desired.steered, *desired.carried}
        held = (facts.target for key, facts in actual.facts.items() if owned.owns(key))
        targets |= {target for target in held if target is not None}
        leftovers = own_keys - object_keys
    else:
        object_keys = {key for key in delta.keys if owned.owns(key) or key in desired.objects}
        targets, leftovers = delta.targets, set[str]()
    room = most_bytes - len(prefix.encode())
    resolver = Resolver(desired, actual, settings, owned, room, inherited)
    resolver.resolve(sorted(object_keys), sorted(targets))
    values, left = resolver.values, resolver.left
    for key in leftovers - resolver.staying:
        values.setdefault(key, None)
    shareable = desired.shared.keys() | ledger.shared.keys()
    concerned = shareable if delta is None else shareable & delta.keys
    shared = _share(desired, actual, ledger, resolver, concerned, present)
    if inherited is not None:
        left.kept.update(_keep(values, actual, inherited))
    looked_at = object_keys if delta is None else object_keys | delta.keys
    shared |= {key: ledger.shared[key] for key in left.kept if key in ledger.shared}
    changes = actual.changes(values)
    order = order_of(changes, actual)
    stages = _stages(values, changes, order.followers, actual, prefix)
    return Plan(
        transactions=tuple(txn for stage in stages for txn in split(stage, most, batch_bytes)),
        ledger=Ledger(ranges, dict(sorted(shared.items()))),
        effects=effects_of(changes, actual),
        values=values,
        plumbing=Plumbing() if delta is not None else _plumbing(desired, actual, changes, present),
        parts=frozenset[Part]((*looked_at, *targets, *values, *left.kept)),
        left=left,
        order=order,
    )


def _plumbing(
    desired: Desired, actual: Actual, changes: dict[str, bytes | None], present: Container[str]
) -> Plumbing:
    made = sorted(key for key in desired.shared if changes.get(key) is not None)
    there = sorted(key for key in desired.shared if key in actual.entries or key in present)
    return Plumbing(tuple(key for key in there if key not in made), tuple(made))


def _keep(values: dict[str, bytes | None], actual: Actual, inherited: Inherited) -> list[str]:
    """Keep what may not go, but for a steering whose prefix another key takes over."""
    taken = set(_moved(values).values())
    kept: list[str] = []
    leaving: set[str] = set()
    for key, value in sorted(values.items(), key=lambda item: delete_order(item[0])):
        facts = actual.facts.get(key)
        is_going = value is None and key in actual.entries
        is_taken = facts is not None and facts.target in taken
        if is_going and not is_taken and not inherited.may_go(key, leaving):
            kept.append(key)
        elif facts is not None:
            after = steering_facts(value) if value is not None else None
            if after is None or after.bsid != facts.bsid:
                leaving.add(key)
    for key in kept:
        del values[key]
    for key in leaving:
        policy = keys.policy(actual.facts[key].bsid)
        if policy in inherited.kept and inherited.may_go(policy, leaving):
            values.setdefault(policy, None)
    return kept


def _share(
    desired: Desired,
    actual: Actual,
    ledger: Ledger,
    resolver: Resolver,
    concerned: Iterable[str],
    present: Container[str],
) -> dict[str, str]:
    """Create what is absent, update or delete only what we wrote; return what to note about it."""
    noted, values = dict(ledger.shared), resolver.values
    for key in sorted(concerned):
        there = actual.value_of(key)
        written = noted.pop(key, None)
        is_ours = there is not None and there == (written or "").encode()
        value = desired.shared.get(key)
        if value is None:
            if is_ours:
                values[key] = None
        elif is_ours or (there is None and key not in present):
            text = encode(value).decode()
            # A part of a plan notes what was noted before as well.
            size = len(dump_shared(ledger.shared | noted | {key: text})) if text != written else 0
            if size > MOST_SHARED_BYTES:
                resolver.left.remark_value(key, _unnoted(size))
                resolver.left.unnoted.add(key)
                if written is not None:
                    noted[key] = written
                continue
            values[key] = text.encode()
            noted[key] = text
    return noted


def _unnoted(size: int) -> str:
    text = f"with it srv6kv would note {size} bytes about such keys in etcd, and more than"
    return f"{text} {MOST_SHARED_BYTES} do not fit; it is not created"


def _stages(
    values: dict[str, bytes | None],
    changes: dict[str, bytes | None],
    followers: Collection[str],
    actual: Actual,
    prefix: str,
) -> list[list[Operation]]:
    """Ordered operations; more than one stage only if steerings swap their prefixes, or a chain
    waits for another one."""

    def operation(key: str, value: bytes | None) -> Operation:
        entry = actual.entries.get(key)
        is_there = entry is not None and (value is None or key not in freed)
        return Operation(keys.full(prefix, key), value, entry.revision if entry and is_there else 0)

    moved = _moved(changes)
    freed = _to_be_freed(values, changes, moved, actual)
    holders = _holders(changes, moved, actual, freed)
    first = [operation(key, None) for key in sorted(freed)]
    second: list[Operation] = []
    listed = (key for key, value in changes.items() if value is not None)
    puts = sorted(listed, key=lambda key: _place(key, changes[key]))
    for key in (key for key in puts if key not in followers):
        second += [operation(old, None) for old in holders.get(key, ())]
        second.append(operation(key, changes[key]))
    for key in freed:
        if values[key] is not None and key not in changes:
            second.append(operation(key, values[key]))
    gone = {key for key, value in changes.items() if value is None}
    gone -= freed.union(*holders.values())
    second += [operation(key, None) for key in sorted(gone, key=delete_order)]
    third = [operation(key, changes[key]) for key in puts if key in followers]
    return [stage for stage in (first, second, third) if stage]


def put_order(key: str) -> tuple[int, str]:
    """The place of a key (short form) among puts."""
    return (keys.rank(key), key)


def _place(key: str, value: bytes | None) -> tuple[int, str, str]:
    """The place of a key (short form) among puts: as ``put_order``, but steerings in the order of
    their policies. The agent takes from both by turns, and a service works when it has both."""
    facts = steering_facts(value) if value is not None and key.startswith(keys.STEERING) else None
    return (keys.rank(key), keys.policy(facts.bsid) if facts is not None else key, key)


def delete_order(key: str) -> tuple[int, bool, str]:
    """The place of a key (short form) among deletions: the reverse of the puts, by kind, and a
    chain before those that it jumps to."""
    return (-keys.rank(key), not is_builtin(key), key)


def _moved(values: dict[str, bytes | None]) -> dict[str, Target]:
    """Return the steerings that are to be put, with their targets."""
    steerings = ((k, v) for k, v in values.items() if v is not None and k.startswith(keys.STEERING))
    found = {key: steering_facts(value) for key, value in steerings}
    return {key: facts.target for key, facts in found.items() if facts and facts.target}


def _to_be_freed(
    values: dict[str, bytes | None],
    changes: dict[str, bytes | None],
    moved: dict[str, Target],
    actual: Actual,
) -> set[str]:
    """Steerings that must go in a transaction of their own, because a key occurs once in one.

    A key that moves to another prefix while its own is taken over; and a pair of keys that share a
    prefix already, because deleting one of them removes the other's entry in VPP too.
    """
    freed: set[str] = set()
    for key, target in moved.items():
        others = actual.steerings.get(target, set()) - {key}
        freed |= {other for other in others if values.get(other) is not None}
    for key, value in changes.items():
        facts = actual.facts.get(key)
        if value is None and facts is not None and facts.target is not None:
            twins = actual.steerings[facts.target] - {key}
            if any(values.get(twin) is not None and twin not in changes for twin in twins):
                freed |= {key, *(twin for twin in twins if twin in values)}
    return freed


def _holders(
    changes: dict[str, bytes | None], moved: dict[str, Target], actual: Actual, freed: set[str]
) -> dict[str, list[str]]:
    """For each steering that is put: the keys that have its prefix now and are to go."""
    holders = {}
    for key, target in moved.items():
        others = sorted(actual.steerings.get(target, set()) - {key} - freed)
        holders[key] = [other for other in others if changes.get(other, b"") is None]
    return holders


def split(
    operations: list[Operation], most: int = MOST_OPERATIONS, most_bytes: int = MOST_BYTES
) -> list[Transaction]:
    """Transactions that a server takes, in the same order; of that many operations, or one more: a
    deletion that makes room for a put stays with it, unless there is room for one only."""
    transactions: list[Transaction] = []
    batch: list[Operation] = []
    size = 0
    for operation in operations:
        cost = limits.size_of([operation])
        is_pair = most > 1 and bool(batch) and operation.is_put and not batch[-1].is_put
        is_full = len(batch) >= most and not is_pair
        if batch and (is_full or size + cost > most_bytes):
            transactions.append(Transaction(tuple(batch)))
            batch, size = [], 0
        batch.append(operation)
        size += cost
    if batch:
        transactions.append(Transaction(tuple(batch)))
    return transactions
