"""What plans have left out, and why, kept until it changes or becomes possible.

Rule: pure. A plan of a change looks at few parts of a node's state; what it does not look at is
left out as before. So nothing that is refused is tried again, and no change leads to a comparison
of everything, because of something that lasts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from srv6kv.net.targets import Target
from srv6kv.notes import Note
from srv6kv.plan.plan import Plan, kept_note
from srv6kv.plan.resolve import Part
from srv6kv.render.desired import Delta


@dataclass(slots=True)
class LeftOut:
    """Keeps what the plans so far have left out."""

    _notes: dict[Part, tuple[Note, ...]] = field(default_factory=dict)
    _waiting: dict[str, set[Target]] = field(default_factory=dict)
    _needs: dict[Target, str] = field(default_factory=dict)
    _without_bsid: set[Target] = field(default_factory=set)
    _kept: set[str] = field(default_factory=set)
    _unnoted: set[str] = field(default_factory=set)
    _noted: Mapping[str, str] | None = None

    def apply(self, found: Plan, *, is_full: bool) -> None:
        """Apply a plan; one of everything replaces all that was left out before."""
        if is_full:
            self._notes, self._waiting, self._needs = {}, {}, {}
            self._without_bsid, self._kept, self._unnoted = set(), set(), set()
        for part in found.parts:
            self._forget(part)
        self._notes |= found.left.notes
        self._kept |= found.left.kept
        self._without_bsid |= found.left.without_bsid
        self._unnoted |= found.left.unnoted
        for target, key in found.left.needs.items():
            self._needs[target] = key
            self._waiting.setdefault(key, set()).add(target)

    def _forget(self, part: Part) -> None:
        self._notes.pop(part, None)
        if isinstance(part, str):
            self._kept.discard(part)
            self._unnoted.discard(part)
            return
        self._without_bsid.discard(part)
        key = self._needs.pop(part, None)
        if key is not None:
            self._waiting[key].discard(part)
            if not self._waiting[key]:
                del self._waiting[key]

    def widen(self, delta: Delta, noted: Mapping[str, str] | None = None) -> None:
        """Add to a change what was left out and the change may have made possible.

        Args:
            noted: what is noted in etcd about keys that others may own.
        """
        if self._unnoted and noted != self._noted:
            self._noted = noted
            delta.keys |= self._unnoted
        if not delta:
            return
        delta.targets |= self._without_bsid  # whatever goes may leave a BSID behind
        if self._waiting:
            for key in self._waiting.keys() & delta.keys:
                delta.targets |= self._waiting[key]

    @property
    def kept(self) -> set[str]:
        """The keys that would be deleted if all input could be read."""
        return self._kept

    def notes(self) -> Iterator[Note]:
        """Yield the warnings about what is left out."""
        for notes in self._notes.values():
            yield from notes
        if self._kept:
            yield kept_note(len(self._kept))
