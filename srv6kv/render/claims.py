"""Who wants which of something that only one can have: an address, a SID, a name."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Claimant = TypeVar("Claimant", bound=Hashable)


class Claims(Generic[Claimant]):
    """Each claimant wants some things or nothing; who gets them is decided elsewhere."""

    def __init__(self) -> None:
        self._wanted: dict[Claimant, tuple[str, ...]] = {}
        self._wanting: dict[str, set[Claimant]] = {}

    def of(self, thing: str) -> set[Claimant]:
        """All that want it; somebody does."""
        return self._wanting[thing]

    def claim(self, claimant: Claimant, *things: str) -> set[Claimant]:
        """Let one want these and nothing else; all others that wanted what it did or does."""
        others: set[Claimant] = set()
        for thing in self._wanted.pop(claimant, ()):
            self._wanting[thing].discard(claimant)
            others |= self._wanting[thing]
            if not self._wanting[thing]:
                del self._wanting[thing]
        if things:
            self._wanted[claimant] = things
        for thing in things:
            wanting = self._wanting.setdefault(thing, set())
            others |= wanting
            wanting.add(claimant)
        return others
