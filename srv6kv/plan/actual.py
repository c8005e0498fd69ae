"""The keys of one agent in etcd, indexed for planning.

Rule: this is the only history that counts. Keys are in short form (``config/...``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from srv6kv import foreign
from srv6kv.cluster.index import Index
from srv6kv.ligato import keys
from srv6kv.ligato.values import AgentValue, Policy, decode
from srv6kv.net import addresses
from srv6kv.net.bsids import Texts
from srv6kv.net.targets import Target


class Entry(NamedTuple):
    """A key's bytes and mod revision."""

    value: bytes
    revision: int


class SteeringFacts(NamedTuple):
    """A steering in etcd, of ours or of others; no target: not a prefix in a VRF."""

    target: Target | None
    bsid: str


@dataclass(slots=True)
class Actual:
    """The keys of one agent as last read or watched.

    Attributes:
        steerings: which steering keys take a target, ours or not.
        vrfs: how many targets are steered in each VRF, by kind: a name of ours begins with it.
        host_routes: which route keys lead to exactly one (VRF, address).
        deleted: at which revision keys went, until the watch reports it.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    steerings: Index[Target, str] = field(default_factory=Index)
    vrfs: dict[str, Counter[int]] = field(
        default_factory=lambda: {keys.SERVICE_STEERING: Counter(), keys.TUNNEL_STEERING: Counter()}
    )
    facts: dict[str, SteeringFacts] = field(default_factory=dict)
    users: Index[str, str] = field(default_factory=Index)
    bsids: Texts = field(default_factory=Texts)
    host_routes: Index[Target, str] = field(default_factory=Index)
    deleted: dict[str, int] = field(default_factory=dict)

    def value_of(self, key: str) -> bytes | None:
        """Return the bytes of a key; None: it is not there."""
        entry = self.entries.get(key)
        return entry.value if entry is not None else None

    def changes(self, values: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
        """Return those of these values that etcd does not hold."""
        return {key: value for key, value in values.items() if value != self.value_of(key)}

    def targets_of(self, bsid: str) -> set[Target]:
        """Return what is steered into a policy, by whomever."""
        targets = (self.facts[user].target for user in self.users.get(bsid, ()))
        return {target for target in targets if target is not None}

    def subject_of(self, key: str) -> Target | None:
        """Return the target of a steering or of a route to one address."""
        facts = self.facts.get(key)
        return facts.target if facts is not None else keys.host_route_of(key)

    def is_known(self, key: str, revision: int) -> bool:
        """Whether nothing about a key that happened up to a revision is news."""
        entry = self.entries.get(key)
        newest = entry.revision if entry is not None else self.deleted.get(key, 0)
        return newest >= revision

    def expect_deletion(self, key: str, revision: int) -> None:
        """Remember a deletion that the watch will report."""
        self.deleted[key] = revision

    def confirm_deletion(self, key: str, revision: int) -> None:
        """Forget a deletion that the watch has reported, up to this revision."""
        if self.deleted.get(key, revision + 1) <= revision:
            del self.deleted[key]

    def apply(self, key: str, value: bytes | None, revision: int) -> None:
        """Apply the value of one key; None: it is gone."""
        if key in self.entries:
            self._unindex(key)
        if value is None:
            self.entries.pop(key, None)
        else:
            self.entries[key] = Entry(value, revision)
            self._index(key, value)

    def _index(self, key: str, value: bytes) -> None:
        if key.startswith(keys.STEERING):
            facts = steering_facts(value)
            if facts is not None:
                self.facts[key] = facts
                if facts.target is not None:
                    self.steerings.add(facts.target, key)
                    self._count(key, facts.target[0], 1)
                self.users.add(facts.bsid, key)
        elif key.startswith(keys.POLICY):
            self.bsids.add(key.removeprefix(keys.POLICY))
        elif (host := keys.host_route_of(key)) is not None:
            self.host_routes.add(host, key)

    def _unindex(self, key: str) -> None:
        if key.startswith(keys.POLICY):
            self.bsids.discard(key.removeprefix(keys.POLICY))
        elif (facts := self.facts.pop(key, None)) is not None:
            if facts.target is not None:
                self.steerings.discard(facts.target, key)
                self._count(key, facts.target[0], -1)
            self.users.discard(facts.bsid, key)
        elif (host := keys.host_route_of(key)) is not None:
            self.host_routes.discard(host, key)

    def _count(self, key: str, vrf: int, change: int) -> None:
        for kind, counts in self.vrfs.items():
            if key.startswith(keys.STEERING + kind):
                counts[vrf] += change


_Number = int | float | str | bool | None
"""The agent takes numbers as texts, too."""


class _Traffic(msgspec.Struct, gc=False):
    """Names in both spellings that the agent takes; null is absent."""

    installation_vrf_id: _Number = None
    camel_vrf: _Number = msgspec.field(default=None, name="installationVrfId")
    prefix_address: str | None = None
    camel_address: str | None = msgspec.field(default=None, name="prefixAddress")


class _Steering(msgspec.Struct, gc=False):
    policy_bsid: str | None = None
    camel_bsid: str | None = msgspec.field(default=None, name="policyBsid")
    l3_traffic: _Traffic | None = None
    camel_traffic: _Traffic | None = msgspec.field(default=None, name="l3Traffic")


def steering_facts(value: bytes) -> SteeringFacts | None:
    """Read a steering; None for what the agent could not decode either."""
    try:
        found = foreign.decode(value, _Steering)
    except foreign.Unreadable:
        return None
    bsid = found.policy_bsid if found.policy_bsid is not None else found.camel_bsid
    traffic = found.l3_traffic if found.l3_traffic is not None else found.camel_traffic
    return SteeringFacts(_target_of(traffic), bsid or "")


def _target_of(traffic: _Traffic | None) -> Target | None:
    prefix = (traffic.prefix_address or traffic.camel_address) if traffic is not None else None
    if traffic is None or prefix is None:
        return None
    try:
        vrf = int(traffic.installation_vrf_id or traffic.camel_vrf or 0)
        text, _, length = prefix.partition("/")
        address = addresses.canonical_of_any(text)
        if length == str(addresses.host_length(address)):
            return (vrf, address)
        return (vrf, str(addresses.Prefix.parse_any(prefix)))
    except ValueError:
        return None


def read(key: str, value: bytes | None) -> AgentValue | None:
    """Return a value as srv6kv writes it; None: it is not there, or could not be ours."""
    try:
        return decode(key, value) if value is not None else None
    except ValueError:
        return None


def lists_of(key: str, value: bytes) -> set[tuple[tuple[str, ...], int]]:
    """Return segments and weight of each list of a policy; none if it could not be ours."""
    policy = read(key, value)
    lists = policy.segment_lists if isinstance(policy, Policy) else ()
    return {(item.segments, item.weight) for item in lists}


def effects_of(values: Mapping[str, bytes | None], actual: Actual) -> Counter[str]:
    """Count policies by what happens to them: create, grow, shrink, replace, remove. Each change
    moves flows."""
    changes = actual.changes(values).items()
    return Counter(
        _effect(key, actual.value_of(key), new)
        for key, new in changes
        if key.startswith(keys.POLICY)
    )


def _effect(key: str, old: bytes | None, new: bytes | None) -> str:
    if old is None:
        return "create"
    if new is None:
        return "remove"
    before, after = lists_of(key, old), lists_of(key, new)
    if before <= after:
        return "grow"
    return "shrink" if after <= before else "replace"
