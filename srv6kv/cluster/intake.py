"""Raw objects into the cluster: one that can be read replaces, else its last good version stays.

One note names object and fields: that it is malformed, or which elements are ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from srv6kv.cluster.cluster import Cluster
from srv6kv.kube import parse
from srv6kv.kube.gaps import gap_of
from srv6kv.kube.model import Body, EndpointSlice, Gap, Identity, KubeObject, Node, Ref
from srv6kv.notes import Note, Reason, Subject, on_ignored

MOST_TIMES = 10_000
"""So many times are kept; more changes than that can wait only while etcd is away."""


@dataclass(slots=True)
class Triggers:
    """When the changes that are not in etcd yet were triggered, as their slices say (rule M7).

    The API server's controllers write the time of the pod's or service's change into each slice
    that they change for it. Any other text is not measured; it is no error of the object.
    """

    _times: dict[Ref, list[float]] = field(default_factory=dict)
    _number: int = 0

    def add(self, ref: Ref, text: str) -> None:
        """A slice has changed; its annotation says when that was triggered, "" if it says nothing.

        Args:
            text: RFC 3339 with a fraction of any length.
        """
        when = unix_time(text)
        if when is not None and self._number < MOST_TIMES:
            self._times.setdefault(ref, []).append(when)
            self._number += 1

    def forget(self, ref: Ref) -> None:
        """A slice is gone: its last change is not what is waiting now."""
        self._number -= len(self._times.pop(ref, ()))

    def drain(self) -> list[float]:
        """All that are known (Unix times); they are known no longer."""
        times = [one for listed in self._times.values() for one in listed]
        self._times.clear()
        self._number = 0
        return times


def unix_time(text: str) -> float | None:
    """Seconds since 1970 of an RFC 3339 time with its zone; None: it is none."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return when.timestamp() if when.tzinfo is not None else None


@dataclass(slots=True)
class Intake:
    """Applies objects to a cluster; keeps the notes on malformed ones.

    Attributes:
        kept: the object whose last good version stays when it is gone (rule M6).
        is_kept_away: the kept object is gone.
        incomplete: what is said of the kept object while it lacks what it had.
    """

    cluster: Cluster
    kept: Identity | None = None
    triggers: Triggers = field(default_factory=Triggers)
    _notes: dict[Identity, Note] = field(default_factory=dict)
    _warnings: dict[Identity, Note] = field(default_factory=dict)
    _gaps: dict[Identity, Gap] = field(default_factory=dict)
    _all_gaps: frozenset[Gap] | None = None
    _good: set[Identity] = field(default_factory=set)
    is_kept_away: bool = False
    incomplete: Note | None = None

    def apply(self, identity: Identity, body: Body | None) -> None:
        """Apply one object; None: it is gone. Kinds that are not used are skipped."""
        kind = identity[0]
        if kind not in parse.KINDS:
            return
        self._notes.pop(identity, None)
        self._warnings.pop(identity, None)
        if self._gaps.pop(identity, None) is not None:
            self._all_gaps = None
        if identity == self.kept:
            self.is_kept_away, self.incomplete = body is None, None
            if body is None:
                return
        if body is None:
            self._good.discard(identity)
            self.cluster.remove(*identity)
            if kind == "EndpointSlice":
                self.triggers.forget(Ref(*identity[1:]))
            return
        try:
            value, skipped = parse.read(kind, body)
        except parse.ParseError as error:
            is_good = identity in self._good
            kept = "its last good version stays" if is_good else "it is left out"
            self._notes[identity] = Note(Subject.of(identity), Reason.MALFORMED, f"{error}; {kept}")
            gap = gap_of(identity, body) if not is_good else None
            if gap is not None:
                self._gaps[identity], self._all_gaps = gap, None
            return
        self._good.add(identity)
        if skipped:
            self._warnings[identity] = on_ignored(Subject.of(identity), skipped)
        if isinstance(value, EndpointSlice) and self.cluster.would_change(value):
            self.triggers.add(value.ref, value.triggered)
        if identity == self.kept and not skipped:
            value = self._completed(identity, value)
        self.cluster.put(value)

    def _completed(self, identity: Identity, value: KubeObject) -> KubeObject:
        """The kept Node with what it lacks and its last good version had: one that was deleted is
        registered again before it has its pod CIDR, and perhaps its addresses, again."""
        last = self.cluster.nodes.get(value.name) if isinstance(value, Node) else None
        if last is None or not isinstance(value, Node):
            return value
        lacking = {
            "spec.podCIDR": last.pod_cidrs and not value.pod_cidrs,
            "status.addresses": last.addresses and not value.addresses,
        }
        if any(lacking.values()):
            fields = ", ".join(name for name, is_lacking in lacking.items() if is_lacking)
            text = f"{fields}: not there any more; what it was counts until it is there again"
            self.incomplete = Note(Subject.of(identity), Reason.OWN_NODE_INCOMPLETE, text)
        return replace(
            value,
            pod_cidrs=value.pod_cidrs or last.pod_cidrs,
            addresses=value.addresses or last.addresses,
        )

    def is_malformed(self, identity: Identity) -> bool:
        """Whether what came last of an object makes no sense."""
        return identity in self._notes

    def problem_of(self, identity: Identity) -> str:
        """What is wrong with an object that never was good; "": nothing, or it was."""
        note = self._notes.get(identity)
        return note.text if note is not None and identity not in self._good else ""

    def gaps(self) -> frozenset[Gap]:
        """What the objects could define that are malformed and never were good; the same set as
        long as nothing of it changes."""
        if self._all_gaps is None:
            self._all_gaps = frozenset(self._gaps.values())
        return self._all_gaps

    @property
    def has_malformed(self) -> bool:
        """Whether an object is malformed now."""
        return bool(self._notes)

    def notes(self) -> Iterator[Note]:
        """The notes about objects that are malformed now, and on elements that are ignored."""
        incomplete = [self.incomplete] if self.incomplete is not None else []
        yield from sorted((*self._notes.values(), *self._warnings.values(), *incomplete))

    def apply_all(self, objects: Iterable[tuple[Identity, Body | None]]) -> None:
        """Apply several objects."""
        for identity, body in objects:
            self.apply(identity, body)
