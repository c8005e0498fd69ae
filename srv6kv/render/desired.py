"""What should be in etcd, before BSIDs and steering names are settled with what is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from srv6kv.actual import Target
from srv6kv.agent import keys
from srv6kv.agent.values import AgentValue, SegmentList
from srv6kv.kube.model import Ref
from srv6kv.notes import Note


@dataclass(frozen=True, slots=True)
class Steered:
    """Traffic to one address in one VRF and the segment lists that take it.

    Attributes:
        created: creation timestamp of the service; the later of two services that would share a
            steering name takes the longer one.
    """

    service: Ref
    created: str
    target: Target
    lists: tuple[SegmentList, ...]

    @property
    def plain_name(self) -> str:
        """The reference's steering name."""
        return f"{keys.SERVICE_STEERING}{self.service.namespace}-{self.service.name}"

    @property
    def full_name(self) -> str:
        """The name that no other service can share."""
        return f"{self.plain_name}_{self.target[1]}"


@dataclass(slots=True)
class Desired:
    """The state that this node should have.

    Attributes:
        objects: key to value, everything but policies and steerings.
        shared: key to value of objects that others may own: created if absent.
        steered: one entry per steering and its policy.
        names: which targets want a plain steering name.
        notes: remarks, by the part of the cluster that they are about.
    """

    objects: dict[str, AgentValue] = field(default_factory=dict)
    shared: dict[str, AgentValue] = field(default_factory=dict)
    steered: dict[Target, Steered] = field(default_factory=dict)
    names: dict[str, set[Target]] = field(default_factory=dict)
    notes: dict[object, tuple[Note, ...]] = field(default_factory=dict)

    def all_notes(self) -> Iterator[Note]:
        """Every note once, sorted."""
        yield from sorted({note for notes in self.notes.values() for note in notes})


@dataclass(slots=True)
class Delta:
    """What of a desired state may have changed by one update.

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
