"""Desired state and etcd together: which keys, with which bytes, should be there.

Rule (decision 0028): BSIDs and steering names that etcd holds stay with their (VRF, address);
everything else follows from the desired state. Whatever the agent would call INVALID is left out,
with a note, and so is all of the service or tunnel that needs it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import msgspec

from srv6kv.ligato import keys
from srv6kv.ligato.validity import fault_of
from srv6kv.ligato.values import (
    AgentValue,
    L3Traffic,
    LocalSid,
    Policy,
    RuleChain,
    Steering,
    encode,
)
from srv6kv.net.addresses import network_of
from srv6kv.net.targets import Target
from srv6kv.notes import Kind, Note, Reason, Subject
from srv6kv.plan.actual import Actual
from srv6kv.plan.allot import Allotment
from srv6kv.plan.inherited import Inherited
from srv6kv.plan.ownership import Ranges
from srv6kv.render.desired import Carried, Desired, Steered
from srv6kv.settings import Settings

Part = str | Target
"""A key, or what is to be steered."""


@dataclass(slots=True)
class Resolved:
    """The part of etcd that is desired.

    Attributes:
        values: key to bytes; None: a key that should not be there.
        kept: keys of services that cannot be written now; they stay as they are.
        notes: why something is left out.
        needs: targets that are left out for want of a localsid, to its key.
        without_bsid: targets that are left out because no BSID is free.
    """

    values: dict[str, bytes | None] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    notes: dict[Part, list[Note]] = field(default_factory=dict)
    needs: dict[Target, str] = field(default_factory=dict)
    without_bsid: set[Target] = field(default_factory=set)

    def remark(self, part: Part, subject: Subject, reason: Reason, text: str) -> None:
        """Add a note about a part."""
        self.notes.setdefault(part, []).append(Note(subject, reason, text))

    def remark_value(self, key: str, text: str) -> None:
        """Add a note that a key cannot have its value."""
        self.remark(key, Subject(Kind.VALUE, key), Reason.INVALID_VALUE, text)


def resolve(
    desired: Desired,
    actual: Actual,
    settings: Settings,
    ranges: Ranges,
    object_keys: Iterable[str],
    targets: Collection[Target],
    most_bytes: int,
    inherited: Inherited | None = None,
) -> Resolved:
    """Choose the desired bytes of these objects and of the steerings and policies of these targets.

    Args:
        most_bytes: of a key (short form) and its value together; what has more is left out.
        inherited: decides what of etcd's values stays; None: nothing does.
    """
    resolved = Resolved()
    for key in object_keys:
        value = desired.objects.get(key)
        if inherited is not None and isinstance(value, RuleChain):
            value = inherited.completed_chain(value)
        _add_object(key, value, actual, resolved, ranges, most_bytes)
    steered: dict[Target, Steered | Carried] = {}
    leaving = set(targets)
    for target in targets:
        held = _leave(target, leaving, actual, ranges, resolved)
        entry = desired.entry(target)
        if isinstance(entry, Steered):
            entry = inherited.completed(entry) if inherited is not None else entry
        if entry is None or not entry.lists:
            continue
        if _is_free(entry, desired, actual, ranges, resolved):
            steered[target] = entry
        elif target not in desired.host_routes:
            resolved.kept |= held
    given = Allotment(desired, actual, settings, ranges, leaving).bsids_of(steered)
    for target, entry in steered.items():
        fault = _enter(
            entry, given.get(target), desired, actual, settings, ranges, resolved, most_bytes
        )
        if fault is not None:
            resolved.remark(target, entry.subject, *fault)
            if given.get(target) is None:
                resolved.without_bsid.add(target)
            resolved.kept |= _leave(target, leaving, actual, ranges, resolved)
    for key in resolved.kept:
        if resolved.values.get(key) is None:
            resolved.values.pop(key, None)
    return resolved


def _add_object(
    key: str,
    value: AgentValue | None,
    actual: Actual,
    resolved: Resolved,
    ranges: Ranges,
    most_bytes: int,
) -> None:
    fault = _fault_of(value, actual, ranges) if value is not None else None
    text = None if value is None else encode(value)
    if fault is not None:
        resolved.remark_value(key, f"{fault}; nothing is written")
    elif text is not None and (excess := _excess_of(key, len(text), most_bytes)):
        resolved.remark_value(key, f"{excess}; nothing is written")
    else:
        resolved.values[key] = text


def _excess_of(key: str, size: int, most_bytes: int) -> str:
    """Say that a key with a value of this size is too large; "" if one request to etcd holds it."""
    size += len(key.encode())
    return f"{size} bytes, and {most_bytes} fit into one request" if size > most_bytes else ""


def _fault_of(value: AgentValue, actual: Actual, ranges: Ranges) -> str | None:
    """Say what is wrong with an object, by itself or beside what etcd holds.

    Agent rule 6: a SID is no /128 route of its own VRF; one of ours leaves with its cause.
    """
    fault = fault_of(value)
    if fault is not None or not isinstance(value, LocalSid):
        return fault
    routes = actual.host_routes.get((value.installation_vrf_id, value.sid), ())
    foreign = [key for key in sorted(routes) if not ranges.owns(key)]
    return f"sid: {foreign[0]} has the same address in the same VRF" if foreign else None


def _leave(
    target: Target, leaving: set[Target], actual: Actual, ranges: Ranges, resolved: Resolved
) -> set[str]:
    """Desire nothing of what etcd holds for a target, until ``_enter`` desires some of it again.

    A policy that others of ours are steered into stays, unless all of them are ``leaving`` too;
    others that steer into it steer into what is reserved for us.
    """
    held = set()
    for key in actual.steerings.get(target, ()):
        if not ranges.owns(key):
            continue
        held.add(key)
        bsid = actual.facts[key].bsid
        policy = keys.policy(bsid)
        users = {actual.facts[user].target for user in filter(ranges.owns, actual.users[bsid])}
        if users <= leaving and policy in actual.entries and ranges.owns(policy):
            held.add(policy)
    for key in held:
        resolved.values.setdefault(key, None)
    return held


def _is_free(
    entry: Steered | Carried,
    desired: Desired,
    actual: Actual,
    ranges: Ranges,
    resolved: Resolved,
) -> bool:
    """Whether a target can be steered; if not, add a warning.

    What came after our steering does not remove it: VPP would lose the other's entry with ours. Our
    own routes do: what etcd holds of them, and since when, must not decide.
    """
    vrf, destination = entry.target
    keys_there = actual.steerings.get(entry.target, set())
    is_newcomer = not any(ranges.owns(key) for key in keys_there)
    problem = None
    if any(not ranges.owns(key) for key in keys_there):
        problem = "is steered by another writer"
    elif entry.target in desired.host_routes:
        problem, is_newcomer = f"is a SID with a route of its own in VRF {vrf}", True
    elif any(not ranges.owns(key) for key in actual.host_routes.get(entry.target, ())):
        problem = f"has a route of its own in VRF {vrf}, which would keep half of the traffic"
    faulty = _faulty_sid(entry, desired, actual, ranges)
    if faulty is not None:
        problem, is_newcomer = f"needs localsid {faulty}, which is not valid", True
        resolved.needs[entry.target] = keys.localsid(faulty)
    if problem is not None:
        text = f"{destination} {problem}"
        text += f"; {_NOTHING[type(entry)]}" if is_newcomer else ""
        resolved.remark(entry.target, entry.subject, Reason.INVALID_VALUE, text)
    return problem is None or not is_newcomer


_NOTHING: dict[type, str] = {
    Steered: "nothing is written for the service",
    Carried: "nothing is written for this part of the tunnel",
}


def _faulty_sid(
    entry: Steered | Carried, desired: Desired, actual: Actual, ranges: Ranges
) -> str | None:
    for sid in entry.ends:  # behind another node's SID the localsid is that node's
        value = desired.objects.get(keys.localsid(sid))
        if value is not None and _fault_of(value, actual, ranges) is not None:
            return sid
    return None


def _name_of(entry: Steered, desired: Desired, actual: Actual, ranges: Ranges) -> str:
    """Choose the name in etcd, else the plain one unless a namesake has it or is older.

    Of a shared address the next service takes over the steering as it is (rule L5):
    to rename it would let packets through to the next best route.
    """
    there = filter(ranges.owns, actual.steerings.get(entry.target, ()))
    held = {key.removeprefix(keys.STEERING) for key in there}
    if entry.suffix:
        left = sorted(name for name in held if name.endswith(entry.suffix))
        return left[0] if left and entry.full_name not in held else entry.full_name
    for name in (entry.plain_name, entry.full_name):
        if name in held:
            return name
    namesakes = desired.names[entry.plain_name]
    if len(namesakes) > 1:
        holder = actual.facts.get(keys.steering(entry.plain_name))
        if holder is not None and holder.target in namesakes:
            return entry.full_name
        first = min(namesakes, key=lambda target: _age(desired.steered[target]))
        if first != entry.target:
            return entry.full_name
    return entry.plain_name


def _age(entry: Steered) -> tuple[object, ...]:
    return (entry.created, entry.service)


def _enter(
    entry: Steered | Carried,
    bsid: str | None,
    desired: Desired,
    actual: Actual,
    settings: Settings,
    ranges: Ranges,
    resolved: Resolved,
    most_bytes: int,
) -> tuple[Reason, str] | None:
    """Desire the steering and the policy of a target; or why not, as reason and text."""
    vrf, destination = entry.target
    if bsid is None:
        return Reason.BSID_EXHAUSTED, f"{destination}: every BSID that it could have is in use"
    if isinstance(entry, Carried):
        name = entry.name(bsid)
    else:
        name = _name_of(entry, desired, actual, ranges)
    steering = Steering(
        name=name,
        policy_bsid=bsid,
        l3_traffic=L3Traffic(installation_vrf_id=vrf, prefix_address=network_of(destination)),
    )
    policy = Policy(bsid=bsid, installation_vrf_id=settings.main_vrf, srh_encapsulation=True)
    number = len(entry.lists)
    size = len(encode(policy)) + len(',"segment_lists":[]') + entry.lists.size + number - 1
    if excess := _excess_of(policy.key, size, most_bytes):  # the lists are not even made
        text = f"{policy.key}: {number} segment lists are {excess}"
        return Reason.INVALID_VALUE, f"{text}; {_NOTHING[type(entry)]}"
    policy = msgspec.structs.replace(policy, segment_lists=entry.lists.made())
    fault = fault_of(policy) or fault_of(steering)
    if fault is not None:
        return Reason.INVALID_VALUE, f"{fault}; {_NOTHING[type(entry)]}"
    resolved.values[policy.key] = encode(policy)
    resolved.values[steering.key] = encode(steering)
    return None
