"""Who wants which of something that only one can have: an address, a SID, a name."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Claimant = TypeVar("Claimant", bound=Hashable)


class Claims(Generic[Claimant]):
    """Each claimant wants one thing or nothing; who gets it is decided elsewhere."""

    def __init__(self) -> None:
        self._wanted: dict[Claimant, str] = {}
        self._wanting: dict[str, set[Claimant]] = {}

    def wanted_by(self, claimant: Claimant) -> str | None:
        """What it wants."""
        return self._wanted.get(claimant)

    def of(self, thing: str) -> set[Claimant]:
        """All that want it; somebody does."""
        return self._wanting[thing]

    def claim(self, claimant: Claimant, thing: str | None) -> set[Claimant]:
        """Let one want this and nothing else; all that wanted what it did or does."""
        others: set[Claimant] = set()
        old = self._wanted.pop(claimant, None)
        if old is not None:
            self._wanting[old].discard(claimant)
            others |= self._wanting[old]
            if not self._wanting[old]:
                del self._wanting[old]
        if thing is not None:
            self._wanted[claimant] = thing
            others |= self._wanting.setdefault(thing, set())
            self._wanting[thing].add(claimant)
        return others
