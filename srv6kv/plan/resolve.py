"""Desired state and etcd together: which keys, with which bytes, should be there.

Rule (decision 0028): BSIDs and steering names that etcd holds stay with their (VRF, address);
everything else follows from the desired state. Whatever the agent would call INVALID is left out,
with a note, and so is all of the service or tunnel that needs it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from srv6kv.ligato import keys
from srv6kv.ligato.chains import ChainName
from srv6kv.ligato.validity import fault_of
from srv6kv.ligato.values import (
    AgentValue,
    L3Traffic,
    LocalSid,
    Policy,
    Steering,
    encode,
)
from srv6kv.net.addresses import network_of
from srv6kv.net.targets import Target
from srv6kv.notes import Kind, Note, Reason, Subject
from srv6kv.plan.actual import Actual
from srv6kv.plan.allot import Allotment
from srv6kv.plan.copies import chains_of
from srv6kv.plan.inherited import Inherited
from srv6kv.plan.ownership import Ranges
from srv6kv.render.desired import Carried, Desired, Steered
from srv6kv.settings import Settings

Part = str | Target
"""A key, or what is to be steered."""


@dataclass(slots=True)
class Left:
    """The parts that plans leave out, by key or by target.

    Attributes:
        needs: targets to the key of the localsid without which they are not steered.
        without_bsid: targets for which no BSID is free.
        kept: keys that would go, but may be what something means that cannot be read.
        unnoted: keys that others may own, and that are not created because there is no room to note
            them.
    """

    notes: dict[Part, tuple[Note, ...]] = field(default_factory=dict)
    needs: dict[Target, str] = field(default_factory=dict)
    without_bsid: set[Target] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)
    unnoted: set[str] = field(default_factory=set)

    def remark(self, part: Part, subject: Subject, reason: Reason, text: str) -> None:
        """Add a note about a part."""
        self.notes[part] = (*self.notes.get(part, ()), Note(subject, reason, text))

    def remark_value(self, key: str, text: str) -> None:
        """Add a note that a key cannot have its value."""
        self.remark(key, Subject(Kind.VALUE, key), Reason.INVALID_VALUE, text)

    def all_notes(self) -> Iterator[Note]:
        """Yield the warnings about what is left out."""
        for notes in self.notes.values():
            yield from notes
        if self.kept:
            text = f"{len(self.kept)} keys that nothing defines stay until all input can be read"
            yield Note(Subject(Kind.CLUSTER), Reason.DELETES_HELD, text)


@dataclass(slots=True)
class Resolver:
    """Chooses the part of etcd that is desired.

    Attributes:
        most_bytes: of a key (short form) and its value together; what has more is left out.
        inherited: decides what of etcd's values stays; None: nothing does.
        values: key to bytes; None: a key that should not be there.
        staying: keys of services that cannot be written now.
    """

    desired: Desired
    actual: Actual
    settings: Settings
    ranges: Ranges
    most_bytes: int
    inherited: Inherited | None
    values: dict[str, bytes | None] = field(default_factory=dict)
    staying: set[str] = field(default_factory=set)
    left: Left = field(default_factory=Left)
    _leaving: set[Target] = field(default_factory=set)

    def resolve(self, object_keys: Iterable[str], targets: Collection[Target]) -> None:
        """Choose the bytes of these objects and of the steerings and policies of these targets."""
        builtins = dict[ChainName, None]()
        for key in object_keys:
            if (name := ChainName.of(key)) is not None:
                builtins[name.builtin] = None
            else:
                self._add_object(key, self.desired.objects.get(key))
        for builtin in builtins:
            chains = chains_of(builtin, self.desired.objects, self.actual, self.inherited)
            for key, chain in chains.items():
                self._add_object(key, chain)
        self._leaving = set(targets)
        steered: dict[Target, Steered | Carried] = {}
        for target in targets:
            held = self._leave(target)
            entry = self.desired.entry(target)
            if isinstance(entry, Steered) and self.inherited is not None:
                entry = self.inherited.completed(entry)
            if entry is None or not entry.lists:
                continue
            if not self._refuse(entry):
                steered[target] = entry
            elif target not in self.desired.host_routes:
                self.staying |= held
        given = Allotment(
            self.desired, self.actual, self.settings, self.ranges, self._leaving
        ).bsids_of(steered)
        for target, entry in steered.items():
            fault = self._enter(entry, given.get(target))
            if fault is not None:
                self.left.remark(target, entry.subject, *fault)
                if target not in given:
                    self.left.without_bsid.add(target)
                self.staying |= self._leave(target)
        for key in self.staying:
            if self.values.get(key) is None:
                self.values.pop(key, None)

    def _add_object(self, key: str, value: AgentValue | None) -> None:
        if value is None:
            self.values[key] = None
            return
        text = encode(value)
        fault = self._fault_of(value) or self._excess_of(key, len(text))
        if fault:
            self.left.remark_value(key, f"{fault}; nothing is written")
        else:
            self.values[key] = text

    def _excess_of(self, key: str, size: int) -> str:
        """Say that a key with a value of this size is too large for one request; "": it fits."""
        size, most = size + len(key.encode()), self.most_bytes
        return f"{size} bytes, and {most} fit into one request" if size > most else ""

    def _fault_of(self, value: AgentValue) -> str | None:
        """Say what is wrong with an object, by itself or beside what etcd holds.

        Agent rule 6: a SID is no /128 route of its own VRF; one of ours leaves with its cause.
        """
        fault = fault_of(value)
        if fault is not None or not isinstance(value, LocalSid):
            return fault
        routes = self.actual.host_routes.get((value.installation_vrf_id, value.sid), ())
        foreign = [key for key in sorted(routes) if not self.ranges.owns(key)]
        return f"sid: {foreign[0]} has the same address in the same VRF" if foreign else None

    def _leave(self, target: Target) -> set[str]:
        """Desire nothing that etcd holds for a target, until ``_enter`` desires some of it again.

        A policy that others of ours are steered into stays, unless all of them leave too; others
        that steer into it steer into what is reserved for us.
        """
        held = set()
        actual, owns = self.actual, self.ranges.owns
        for key in filter(owns, actual.steerings.get(target, ())):
            held.add(key)
            bsid = actual.facts[key].bsid
            policy = keys.policy(bsid)
            users = {actual.facts[user].target for user in filter(owns, actual.users[bsid])}
            if users <= self._leaving and policy in actual.entries and owns(policy):
                held.add(policy)
        for key in held:
            self.values.setdefault(key, None)
        return held

    def _refuse(self, entry: Steered | Carried) -> bool:
        """Warn about what stands in the way of a target.

        What came after our steering does not remove it: VPP would lose the other's entry with ours.
        Our own routes do: what etcd holds of them, and since when, must not decide.

        Returns:
            Whether nothing is written for it.
        """
        vrf, destination = entry.target
        is_ours = list(map(self.ranges.owns, self.actual.steerings.get(entry.target, ())))
        is_newcomer = not any(is_ours)
        problem = None
        if not all(is_ours):
            problem = "is steered by another writer"
        elif entry.target in self.desired.host_routes:
            problem, is_newcomer = f"is a SID with a route of its own in VRF {vrf}", True
        elif not all(map(self.ranges.owns, self.actual.host_routes.get(entry.target, ()))):
            problem = f"has a route of its own in VRF {vrf}, which would keep half of the traffic"
        for sid in entry.lists.ends:  # behind another node's SID the localsid is that node's
            key = keys.localsid(sid)
            value = self.desired.objects.get(key)
            if value is not None and self._fault_of(value) is not None:
                problem, is_newcomer = f"needs localsid {sid}, which is not valid", True
                self.left.needs[entry.target] = key
                break
        if problem is None:
            return False
        text = f"{destination} {problem}" + (f"; {_NOTHING[type(entry)]}" if is_newcomer else "")
        self.left.remark(entry.target, entry.subject, Reason.INVALID_VALUE, text)
        return is_newcomer

    def _name_of(self, entry: Steered) -> str:
        """Choose the name in etcd, else the plain one unless a namesake has it or is older.

        Of a shared address the next service takes over the steering as it is (rule L5):
        to rename it would let packets through to the next best route.
        """
        there = filter(self.ranges.owns, self.actual.steerings.get(entry.target, ()))
        held = {key.removeprefix(keys.STEERING) for key in there}
        if entry.suffix:
            left = sorted(name for name in held if name.endswith(entry.suffix))
            return left[0] if left and entry.full_name not in held else entry.full_name
        for name in (entry.plain_name, entry.full_name):
            if name in held:
                return name
        namesakes = self.desired.names[entry.plain_name]
        if len(namesakes) > 1:
            holder = self.actual.facts.get(keys.steering(entry.plain_name))
            if holder is not None and holder.target in namesakes:
                return entry.full_name
            rivals = (self.desired.steered[target] for target in namesakes)
            if entry.target != min(rivals, key=lambda one: (one.created, one.service)).target:
                return entry.full_name
        return entry.plain_name

    def _enter(self, entry: Steered | Carried, bsid: str | None) -> tuple[Reason, str] | None:
        """Desire the steering and the policy of a target; or why not, as reason and text."""
        vrf, destination = entry.target
        if bsid is None:
            return Reason.BSID_EXHAUSTED, f"{destination}: every BSID that it could have is in use"
        steering = Steering(
            name=entry.name(bsid) if isinstance(entry, Carried) else self._name_of(entry),
            policy_bsid=bsid,
            l3_traffic=L3Traffic(installation_vrf_id=vrf, prefix_address=network_of(destination)),
        )
        main = self.settings.main_vrf
        policy = Policy(bsid=bsid, installation_vrf_id=main, srh_encapsulation=True)
        number = len(entry.lists)
        size = len(encode(policy)) + len(',"segment_lists":[]') + entry.lists.size + number - 1
        fault: str | None
        if excess := self._excess_of(policy.key, size):  # the lists are not even made
            fault = f"{policy.key}: {number} segment lists are {excess}"
        else:
            policy = msgspec.structs.replace(policy, segment_lists=entry.lists.made())
            fault = fault_of(policy) or fault_of(steering)
        if fault is not None:
            return Reason.INVALID_VALUE, f"{fault}; {_NOTHING[type(entry)]}"
        self.values[policy.key] = encode(policy)
        self.values[steering.key] = encode(steering)
        return None


_NOTHING: dict[type, str] = {
    Steered: "nothing is written for the service",
    Carried: "nothing is written for this part of the tunnel",
}
