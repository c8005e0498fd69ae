"""The desired state of a node, before BSIDs and steering names are chosen by what etcd holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from srv6kv.cluster.index import Index
from srv6kv.kube.model import Ref
from srv6kv.ligato import keys
from srv6kv.ligato.values import AgentValue, LocalSid
from srv6kv.net.bsids import Home
from srv6kv.net.targets import Target
from srv6kv.notes import Kind, Note, Subject
from srv6kv.render.lists import Lists


@dataclass(frozen=True, slots=True)
class Steered:
    """Traffic to one address in one VRF and the segment lists that take it.

    Attributes:
        created: creation timestamp of the service; the later of two services that would share a
            steering name takes the longer one.
        suffix: what its steering's name ends with, unless it is a ClusterIP.
        unsure: lists in etcd that end so, in a node or pod that cannot be read, stay.
    """

    service: Ref
    created: str
    target: Target
    lists: Lists
    suffix: str = ""
    unsure: frozenset[str] = frozenset()

    @property
    def subject(self) -> Subject:
        """The subject of warnings about it."""
        return Subject(Kind.SERVICE, self.service)

    @property
    def plain_name(self) -> str:
        """The reference's steering name; a ClusterIP has it unless a namesake does."""
        return f"{keys.SERVICE_STEERING}{self.service.namespace}-{self.service.name}"

    @property
    def full_name(self) -> str:
        """The name that nothing else can share."""
        return self.plain_name + (self.suffix or f"_{self.target[1]}")


@dataclass(frozen=True, slots=True)
class Tunnel:
    """The way to one node for one kind of traffic: one policy, with some prefixes steered into it.

    Attributes:
        end: the SID that ends it.
        targets: what is steered into it; the first one stands for the tunnel.
    """

    node: str
    home: Home
    end: str
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Carried:
    """Traffic to one prefix that rides a tunnel."""

    target: Target
    tunnel: Tunnel
    suffix: str

    @property
    def subject(self) -> Subject:
        """The subject of warnings about it."""
        return Subject(Kind.NODE, self.tunnel.node)

    @property
    def lists(self) -> Lists:
        """The one segment list of the tunnel."""
        return Lists.of({(self.tunnel.end,): 1})

    def name(self, bsid: str) -> str:
        """The reference's steering name."""
        return keys.tunnel_steering(bsid, self.suffix)


@dataclass(slots=True)
class Desired:
    """The state that this node should have.

    Attributes:
        objects: key to value, everything but policies and steerings.
        shared: key to value of objects that others may own: created if absent.
        steered: one entry per steering of a service and its policy.
        carried: one entry per steering into a tunnel.
        names: which targets want a plain steering name.
        host_routes: which routes among the objects lead to exactly one (VRF, address).
        notes: remarks, by the part of the cluster that they are about.
    """

    objects: dict[str, AgentValue] = field(default_factory=dict)
    shared: dict[str, AgentValue] = field(default_factory=dict)
    steered: dict[Target, Steered] = field(default_factory=dict)
    carried: dict[Target, Carried] = field(default_factory=dict)
    names: Index[str, Target] = field(default_factory=Index)
    host_routes: Index[Target, str] = field(default_factory=Index)
    notes: dict[object, tuple[Note, ...]] = field(default_factory=dict)

    def entry(self, target: Target) -> Steered | Carried | None:
        """Return the entry of a target; services come first, their addresses are no node's."""
        return self.steered.get(target) or self.carried.get(target)

    def beside(self, key: str, subjects: Iterable[Target | None]) -> Delta:
        """Find what may differ because a key of others has changed that is about these targets."""
        targets = {target for target in subjects if target is not None}
        found = Delta({key}, {target for target in targets if self.entry(target) is not None})
        for vrf, address in targets:
            localsid = self.objects.get(keys.localsid(address))
            if isinstance(localsid, LocalSid) and localsid.installation_vrf_id == vrf:
                found.keys.add(localsid.key)
                found.targets |= {k for k, one in self.steered.items() if address in one.lists.ends}
                found.targets |= {k for k, one in self.carried.items() if address == one.tunnel.end}
        return found

    def all_notes(self) -> Iterator[Note]:
        """Every note once, sorted."""
        yield from sorted({note for notes in self.notes.values() for note in notes})


@dataclass(slots=True)
class Delta:
    """The parts of a desired state that one update may have changed.

    Attributes:
        is_urgent: endpoints are gone with their node; nothing is to be waited for.
    """

    keys: set[str] = field(default_factory=set)
    targets: set[Target] = field(default_factory=set)
    is_urgent: bool = False

    def __or__(self, other: Delta) -> Delta:
        return Delta(
            self.keys | other.keys,
            self.targets | other.targets,
            self.is_urgent or other.is_urgent,
        )

    def __bool__(self) -> bool:
        return bool(self.keys or self.targets)
