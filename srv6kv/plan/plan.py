"""What has to be done so that etcd holds the desired state, in an order that is safe at each step.

Order (rule R11): localsids, routes, pod objects, policies, steerings; then deletes in
reverse. VPP keeps one entry for a (VRF, prefix): when its steering changes its key, the old key
goes immediately before the new one comes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass, field

import msgspec

from srv6kv.ligato import keys
from srv6kv.ligato.values import encode
from srv6kv.net.targets import Target
from srv6kv.notes import Kind, Note, Reason, Subject
from srv6kv.plan.actual import Actual, steering_facts
from srv6kv.plan.effects import effects_of
from srv6kv.plan.inherited import Inherited
from srv6kv.plan.ownership import Ranges
from srv6kv.plan.resolve import Part, Resolved, resolve
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
        ranges: the ranges in use when it last wrote.
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
class Left:
    """The parts that a plan leaves out, by key or by target.

    Attributes:
        notes: why.
        needs: targets to the key of the localsid without which they are not steered.
        without_bsid: targets for which no BSID is free.
        kept: keys that would go, but may be what something means that cannot be read.
        unnoted: keys that others may own, and that are not created because there is no room to note
            them.
    """

    notes: dict[Part, tuple[Note, ...]] = field(default_factory=dict)
    needs: dict[Target, str] = field(default_factory=dict)
    without_bsid: frozenset[Target] = frozenset()
    kept: frozenset[str] = frozenset()
    unnoted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Plan:
    """The way from actual to desired.

    Attributes:
        transactions: to be committed one after the other; usually one.
        notes: objects that are left out and why.
        ledger: what is to be noted with the last transaction.
        effects: policies by what happens to them: create, grow, shrink, replace, remove.
        values: key (short form) to the bytes that should be there; None: nothing should.
        plumbing: what others may own, and what of it is made now; empty unless all was compared.
        parts: what was looked at: keys, and targets of steerings.
        left: what of these is left out.
    """

    transactions: tuple[Transaction, ...]
    notes: tuple[Note, ...]
    ledger: Ledger
    effects: Counter[str]
    values: dict[str, bytes | None]
    plumbing: Plumbing = Plumbing()
    parts: frozenset[Part] = frozenset()
    left: Left = Left()

    def __bool__(self) -> bool:
        return bool(self.transactions)

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
        desired: what should be.
        actual: what is.
        settings: of this node.
        prefix: ``/vnf-agent/<label>/``.
        ranges: what is ours now.
        ledger: what was noted before.
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
        object_keys = {key for key in actual.entries if owned.owns(key)} | desired.objects.keys()
        targets = {*desired.steered, *desired.carried} | _actual_targets(actual, owned)
        object_keys = {k for k in object_keys if not k.startswith((keys.POLICY, keys.STEERING))}
        leftovers = {k for k in actual.entries if owned.owns(k)} - object_keys
    else:
        object_keys = {key for key in delta.keys if owned.owns(key) or key in desired.objects}
        targets, leftovers = delta.targets, set[str]()
    room = most_bytes - len(prefix.encode())
    listed = (sorted(object_keys), sorted(targets))
    resolved = resolve(desired, actual, settings, owned, *listed, room, inherited)
    for key in leftovers - resolved.kept:
        resolved.values.setdefault(key, None)
    shareable = desired.shared.keys() | ledger.shared.keys()
    concerned = shareable if delta is None else shareable & delta.keys
    shared, unnoted = _shared(desired, actual, ledger, resolved, concerned, present)
    kept = _keep(resolved.values, actual, inherited) if inherited is not None else []
    looked_at = object_keys if delta is None else object_keys | delta.keys
    parts = frozenset[Part]((*looked_at, *targets, *resolved.values, *kept))
    shared |= {key: ledger.shared[key] for key in kept if key in ledger.shared}
    stages = _stages(resolved.values, actual, prefix)
    return Plan(
        transactions=tuple(txn for stage in stages for txn in split(stage, most, batch_bytes)),
        notes=_all_notes(resolved, len(kept)),
        ledger=Ledger(ranges, dict(sorted(shared.items()))),
        effects=effects_of(resolved.values, actual),
        values=resolved.values,
        plumbing=_plumbing(desired, actual, resolved.values, present)
        if delta is None
        else Plumbing(),
        parts=parts,
        left=Left(
            {part: tuple(notes) for part, notes in resolved.notes.items()},
            resolved.needs,
            frozenset(resolved.without_bsid),
            frozenset(kept),
            frozenset(unnoted),
        ),
    )


def _all_notes(resolved: Resolved, kept: int) -> tuple[Note, ...]:
    notes = {note for listed in resolved.notes.values() for note in listed}
    return tuple(sorted(notes | ({kept_note(kept)} if kept else set())))


def kept_note(number: int) -> Note:
    """Warn about keys that may not go."""
    text = f"{number} keys that nothing defines stay until all input can be read"
    return Note(Subject(Kind.CLUSTER), Reason.DELETES_HELD, text)


def _plumbing(
    desired: Desired, actual: Actual, values: dict[str, bytes | None], present: Container[str]
) -> Plumbing:
    made = [
        key
        for key in desired.shared
        if (value := values.get(key)) is not None
        and (key not in actual.entries or actual.entries[key].value != value)
    ]
    there = [key for key in desired.shared if key in actual.entries or key in present]
    found = [key for key in there if key not in made]
    return Plumbing(tuple(sorted(found)), tuple(sorted(made)))


def _keep(values: dict[str, bytes | None], actual: Actual, inherited: Inherited) -> list[str]:
    """Keep what may not go, but for a steering whose prefix another key takes over."""
    taken = {_target_of(v) for k, v in values.items() if v and k.startswith(keys.STEERING)}
    kept: list[str] = []
    leaving: set[str] = set()
    for key, value in sorted(values.items(), key=lambda item: delete_order(item[0])):
        is_going = value is None and key in actual.entries
        is_taken = is_going and _is_taken(key, actual, taken)
        if is_going and not is_taken and not inherited.may_go(key, leaving):
            kept.append(key)
        elif key in actual.facts and (value is None or _bsid_of(value) != actual.facts[key].bsid):
            leaving.add(key)
    for key in kept:
        del values[key]
    for key in leaving:
        policy = keys.policy(actual.facts[key].bsid)
        if policy in inherited.kept and inherited.may_go(policy, leaving):
            values.setdefault(policy, None)
    return kept


def _bsid_of(value: bytes) -> str | None:
    facts = steering_facts(value)
    return facts.bsid if facts is not None else None


def _is_taken(key: str, actual: Actual, taken: set[Target]) -> bool:
    facts = actual.facts.get(key)
    return facts is not None and facts.target in taken


def _actual_targets(actual: Actual, owned: Ranges) -> set[Target]:
    held = (facts.target for key, facts in actual.facts.items() if owned.owns(key))
    return {target for target in held if target is not None}


def _shared(
    desired: Desired,
    actual: Actual,
    ledger: Ledger,
    resolved: Resolved,
    concerned: Iterable[str],
    present: Container[str],
) -> tuple[dict[str, str], set[str]]:
    """Create what is absent, update or delete only what we wrote.

    Returns:
        What to note about it, and what is not created because there is no room to note it.
    """
    noted, unnoted, values = dict(ledger.shared), set[str](), resolved.values
    for key in sorted(concerned):
        entry = actual.entries.get(key)
        written = noted.pop(key, None)
        is_ours = entry is not None and entry.value == (written or "").encode()
        value = desired.shared.get(key)
        if value is None:
            if is_ours:
                values[key] = None
        elif is_ours or (entry is None and key not in present):
            text = encode(value).decode()
            if text != written:
                # A part of a plan notes what was noted before as well.
                union = ledger.shared | noted | {key: text}
                if (size := len(dump_shared(union))) > MOST_SHARED_BYTES:
                    resolved.remark_value(key, _unnoted(size))
                    unnoted.add(key)
                    if written is not None:
                        noted[key] = written
                    continue
            values[key] = text.encode()
            noted[key] = text
    return noted, unnoted


def _unnoted(size: int) -> str:
    text = f"with it srv6kv would note {size} bytes about such keys in etcd, and more than"
    return f"{text} {MOST_SHARED_BYTES} do not fit; it is not created"


def _stages(values: dict[str, bytes | None], actual: Actual, prefix: str) -> list[list[Operation]]:
    """Ordered operations; more than one stage only if steerings swap their prefixes."""
    changes = {
        key: value
        for key, value in values.items()
        if (entry.value if (entry := actual.entries.get(key)) else None) != value
    }
    freed = _to_be_freed(values, changes, actual)
    first = [_operation(prefix, key, None, actual) for key in sorted(freed)]
    holders = _holders(changes, actual, freed)
    second: list[Operation] = []
    for key in sorted((k for k, v in changes.items() if v is not None), key=put_order):
        second += [_operation(prefix, old, None, actual) for old in holders.get(key, ())]
        guard = 0 if key in freed else None
        second.append(_operation(prefix, key, changes[key], actual, guard))
    for key in freed:
        if values[key] is not None and key not in changes:
            second.append(_operation(prefix, key, values[key], actual, 0))
    gone = {key for key, value in changes.items() if value is None}
    gone -= freed.union(*holders.values())
    second += [_operation(prefix, key, None, actual) for key in sorted(gone, key=delete_order)]
    return [stage for stage in (first, second) if stage]


def put_order(key: str) -> tuple[int, str]:
    """The place of a key (short form) among puts."""
    return (keys.rank(key), key)


def delete_order(key: str) -> tuple[int, str]:
    """The place of a key (short form) among deletions: the reverse of the puts, by kind."""
    return (-keys.rank(key), key)


def _operation(
    prefix: str, key: str, value: bytes | None, actual: Actual, guard: int | None = None
) -> Operation:
    if guard is None:
        entry = actual.entries.get(key)
        guard = entry.revision if entry else 0
    return Operation(prefix + key, value, guard)


def _moved(changes: dict[str, bytes | None]) -> dict[str, Target]:
    """Return the steerings that are to be put, with their targets."""
    return {
        key: _target_of(value)
        for key, value in changes.items()
        if value is not None and key.startswith(keys.STEERING)
    }


def _target_of(value: bytes) -> Target:
    """Return the target of a desired steering."""
    facts = steering_facts(value)
    assert facts is not None
    assert facts.target is not None
    return facts.target


def _to_be_freed(
    values: dict[str, bytes | None], changes: dict[str, bytes | None], actual: Actual
) -> set[str]:
    """Steerings that must go in a transaction of their own, because a key occurs once in one.

    A key that moves to another prefix while its own is taken over; and a pair of keys that share a
    prefix already, because deleting one of them removes the other's entry in VPP too.
    """
    freed: set[str] = set()
    for key, target in _moved(changes).items():
        for other in actual.steerings.get(target, set()) - {key}:
            if values.get(other) is not None:
                freed.add(other)
    for key, value in changes.items():
        facts = actual.facts.get(key)
        if value is None and facts is not None and facts.target is not None:
            twins = actual.steerings[facts.target] - {key}
            if any(values.get(twin) is not None and twin not in changes for twin in twins):
                freed |= {key, *(twin for twin in twins if twin in values)}
    return freed


def _holders(
    changes: dict[str, bytes | None], actual: Actual, freed: set[str]
) -> dict[str, list[str]]:
    """For each steering that is put: the keys that have its prefix now and are to go."""
    holders = {}
    for key, target in _moved(changes).items():
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
