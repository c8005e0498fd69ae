"""Desired state and etcd together: which keys, with which bytes, should be there.

Rule (design.md section 3): BSIDs and steering names that etcd holds stay with their (VRF, address);
everything else follows from the desired state. Whatever the agent would call INVALID is left out,
with a note, and so is all of the service that needs it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from srv6kv import bsids
from srv6kv.actual import Actual, Target
from srv6kv.addresses import is_canonical
from srv6kv.agent import keys
from srv6kv.agent.validity import fault_of
from srv6kv.agent.values import AgentValue, L3Traffic, LocalSid, Policy, Steering, encode
from srv6kv.notes import Note
from srv6kv.ownership import Ranges
from srv6kv.render.desired import Desired, Steered
from srv6kv.settings import Settings

MOST_BYTES_OF_A_POLICY = 1_000_000
"""A default etcd takes requests of 1.5 MiB; about ten thousand endpoints."""


@dataclass(slots=True)
class Resolved:
    """What part of etcd should be.

    Attributes:
        wanted: key to bytes; None: a key that should not be there.
        kept: keys of services that cannot be written now; they stay as they are.
        notes: why something is left out.
    """

    wanted: dict[str, bytes | None] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    notes: list[Note] = field(default_factory=list)

    def remark(self, subject: str, reason: str, text: str) -> None:
        """Add a note."""
        self.notes.append(Note(subject, reason, text))


def resolve(
    desired: Desired,
    actual: Actual,
    settings: Settings,
    ranges: Ranges,
    object_keys: Iterable[str],
    targets: Iterable[Target],
) -> Resolved:
    """The wanted bytes of these objects and of the steerings and policies of these targets."""
    resolved = Resolved()
    for key in object_keys:
        _want_object(key, desired.objects.get(key), actual, resolved, ranges)
    steered = {}
    for target in targets:
        held = _leave(target, actual, ranges, resolved)
        entry = desired.steered.get(target)
        if entry is None:
            continue
        if _is_free(entry, desired, actual, ranges, resolved):
            steered[target] = entry
        else:
            resolved.kept |= held
    given = _bsids_of(steered, desired, actual, settings, ranges)
    for target, entry in steered.items():
        fault = _enter(entry, given.get(target), desired, actual, settings, resolved)
        if fault is not None:
            resolved.remark(f"Service {entry.service}", *fault)
            resolved.kept |= _leave(target, actual, ranges, resolved)
    for key in resolved.kept:
        if resolved.wanted.get(key) is None:
            resolved.wanted.pop(key, None)
    return resolved


def _want_object(
    key: str, value: AgentValue | None, actual: Actual, resolved: Resolved, ranges: Ranges
) -> None:
    fault = _fault_of(value, actual, ranges) if value is not None else None
    if fault is None:
        resolved.wanted[key] = None if value is None else encode(value)
    else:
        resolved.remark(key, "InvalidValue", f"{fault}; nothing is written")


def _fault_of(value: AgentValue, actual: Actual, ranges: Ranges) -> str | None:
    """What is wrong with an object by itself or beside what etcd holds.

    Agent rule 6: a SID is no /128 route of its own VRF; one of ours leaves with its cause.
    """
    fault = fault_of(value)
    if fault is not None or not isinstance(value, LocalSid):
        return fault
    routes = actual.host_routes.get((value.installation_vrf_id, value.sid), ())
    foreign = [key for key in sorted(routes) if not ranges.owns(key)]
    return f"sid: {foreign[0]} has the same address in the same VRF" if foreign else None


def _leave(target: Target, actual: Actual, ranges: Ranges, resolved: Resolved) -> set[str]:
    """Want nothing of what etcd holds for a target, until ``_enter`` wants some of it again."""
    held = set()
    for key in actual.steerings.get(target, ()):
        if not ranges.owns(key):
            continue
        held.add(key)
        bsid = actual.facts[key].bsid
        policy = keys.policy(bsid)
        users = {actual.facts[user].target for user in actual.users[bsid]}
        if users == {target} and policy in actual.entries and ranges.owns(policy):
            held.add(policy)
    for key in held:
        resolved.wanted.setdefault(key, None)
    return held


def _is_free(
    entry: Steered, desired: Desired, actual: Actual, ranges: Ranges, resolved: Resolved
) -> bool:
    """Whether nothing stands in the way of steering a target; else a note says what.

    What came after our steering does not remove it: VPP would lose the other's entry with ours.
    """
    vrf, address = entry.target
    keys_there = actual.steerings.get(entry.target, set())
    is_newcomer = not any(ranges.owns(key) for key in keys_there)
    problem = None
    if any(not ranges.owns(key) for key in keys_there):
        problem = "is steered by somebody else"
    elif entry.target in actual.host_routes:
        problem = f"has a route of its own in VRF {vrf}, which would keep half of the traffic"
    faulty = _faulty_sid(entry, desired, actual, ranges)
    if faulty is not None:
        problem, is_newcomer = f"needs localsid {faulty}, which is not valid", True
    if problem is not None:
        text = f"{address} {problem}"
        text += "; nothing is written for the service" if is_newcomer else ""
        resolved.remark(f"Service {entry.service}", "InvalidValue", text)
    return problem is None or not is_newcomer


def _faulty_sid(entry: Steered, desired: Desired, actual: Actual, ranges: Ranges) -> str | None:
    for item in entry.lists:
        if len(item.segments) > 1:
            continue  # its localsid is another node's
        value = desired.objects.get(keys.localsid(item.segments[0]))
        if value is not None and _fault_of(value, actual, ranges) is not None:
            return item.segments[0]
    return None


def _bsids_of(
    steered: dict[Target, Steered],
    desired: Desired,
    actual: Actual,
    settings: Settings,
    ranges: Ranges,
) -> dict[Target, str]:
    """The BSID in etcd while its steering lives, else a new one."""
    main = settings.main_vrf
    given: dict[Target, str] = {}
    for target in steered:
        bsid = _held_bsid(target, actual, settings, ranges)
        bsid = bsid or _left_bsid(target, desired, actual, settings, ranges)
        if bsid is not None:
            given[target] = bsid

    def is_taken(bsid: str) -> bool:
        """A policy of ours that nothing is steered into is what a crash left: it can be used."""
        policy, localsid = keys.policy(bsid), keys.localsid(bsid)
        return (
            bsid in actual.users
            or (policy in actual.entries and not ranges.owns(policy))
            or localsid in actual.entries
            or localsid in desired.objects
            or (main, bsid) in actual.host_routes
            or keys.route(main, f"{bsid}/128", "::") in desired.objects
            or (main, bsid) in actual.steerings
        )

    new = [target for target in steered if target not in given]
    return given | bsids.assign(new, settings.sid.service_bsid, actual.bsids, is_taken)


def _held_bsid(target: Target, actual: Actual, settings: Settings, ranges: Ranges) -> str | None:
    """The BSID that the target's steering has in etcd, if it can stay.

    Two targets on one BSID (defect D4) are parted: the lower one keeps it.
    """
    for key in sorted(filter(ranges.owns, actual.steerings.get(target, ()))):
        bsid = actual.facts[key].bsid
        if not (is_canonical(bsid) and bsid in settings.sid.service_bsid):
            continue
        users = filter(ranges.owns, actual.users[bsid])
        targets = (actual.facts[user].target for user in users)
        if target == min(item for item in targets if item is not None):
            return bsid
    return None


def _left_bsid(
    target: Target, desired: Desired, actual: Actual, settings: Settings, ranges: Ranges
) -> str | None:
    """The BSID of the address in a VRF where it is steered no more: the VRF ids have changed."""
    if actual.vrfs[target[0]]:
        return None
    for vrf in sorted(vrf for vrf, count in actual.vrfs.items() if count):
        left = (vrf, target[1])
        if left not in desired.steered:
            bsid = _held_bsid(left, actual, settings, ranges)
            if bsid is not None:
                return bsid
    return None


def _name_of(entry: Steered, desired: Desired, actual: Actual) -> str:
    """The name in etcd; else the plain one, unless a namesake has it or is older."""
    held = {key.removeprefix(keys.STEERING) for key in actual.steerings.get(entry.target, ())}
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
    entry: Steered,
    bsid: str | None,
    desired: Desired,
    actual: Actual,
    settings: Settings,
    resolved: Resolved,
) -> tuple[str, str] | None:
    """Want the steering and the policy of a target; or why not, as reason and text."""
    vrf, address = entry.target
    if bsid is None:
        return "BsidExhausted", f"{address}: every BSID that it could have is in use"
    steering = Steering(
        name=_name_of(entry, desired, actual),
        policy_bsid=bsid,
        l3_traffic=L3Traffic(installation_vrf_id=vrf, prefix_address=f"{address}/128"),
    )
    policy = Policy(
        bsid=bsid,
        installation_vrf_id=settings.main_vrf,
        srh_encapsulation=True,
        segment_lists=entry.lists,
    )
    value = encode(policy)
    fault = fault_of(policy) or fault_of(steering)
    if fault is None and len(value) > MOST_BYTES_OF_A_POLICY:
        fault = f"segment_lists: {len(entry.lists)} lists make a value of {len(value)} bytes"
    if fault is not None:
        return "InvalidValue", f"{fault}; nothing is written for the service"
    resolved.wanted[policy.key] = value
    resolved.wanted[steering.key] = encode(steering)
    return None
