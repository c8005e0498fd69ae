"""What plans have left out, and why, kept until it changes or becomes possible.

Rule: pure. A plan of a change looks at few parts of a node's state; what it does not look at is
left out as before. So nothing that is refused is tried again, and no change leads to a comparison
of everything, because of something that lasts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from srv6kv.cluster.index import Index
from srv6kv.net.targets import Target
from srv6kv.notes import Note
from srv6kv.plan.plan import Plan
from srv6kv.plan.resolve import Left, Part
from srv6kv.render.desired import Delta


@dataclass(slots=True)
class LeftOut:
    """Keeps what the plans so far have left out."""

    _left: Left = field(default_factory=Left)
    _waiting: Index[str, Target] = field(default_factory=Index)
    _noted: Mapping[str, str] | None = None

    def apply(self, found: Plan, *, is_full: bool) -> None:
        """Apply a plan; one of everything replaces all that was left out before."""
        if is_full:
            self._left, self._waiting = Left(), Index()
        for part in found.parts:
            self._forget(part)
        left, new = self._left, found.left
        left.notes |= new.notes
        left.kept |= new.kept
        left.without_bsid |= new.without_bsid
        left.unnoted |= new.unnoted
        left.needs |= new.needs
        for target, key in new.needs.items():
            self._waiting.add(key, target)

    def _forget(self, part: Part) -> None:
        self._left.notes.pop(part, None)
        if isinstance(part, str):
            self._left.kept.discard(part)
            self._left.unnoted.discard(part)
        else:
            self._left.without_bsid.discard(part)
            self._waiting.discard(self._left.needs.pop(part, ""), part)

    def widen(self, delta: Delta, noted: Mapping[str, str] | None = None) -> None:
        """Add to a change what was left out and the change may have made possible."""
        if self._left.unnoted and noted != self._noted:
            self._noted = noted
            delta.keys |= self._left.unnoted
        if not delta:
            return
        delta.targets |= self._left.without_bsid  # whatever goes may leave a BSID behind
        for key in self._waiting.keys() & delta.keys:
            delta.targets |= self._waiting[key]

    @property
    def kept(self) -> set[str]:
        """The keys that would be deleted if all input could be read."""
        return self._left.kept

    def notes(self) -> Iterator[Note]:
        """Yield the warnings about what is left out."""
        return self._left.all_notes()
