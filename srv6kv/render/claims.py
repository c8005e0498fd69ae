"""Claims to what only one can have: an address, a SID, a name."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Claimant = TypeVar("Claimant", bound=Hashable)


class Claims(Generic[Claimant]):
    """Keeps which claimants claim which things; others decide who gets them."""

    def __init__(self) -> None:
        self._claimed: dict[Claimant, tuple[str, ...]] = {}
        self._claimants: dict[str, set[Claimant]] = {}

    def of(self, thing: str) -> set[Claimant]:
        """Return all claimants of a thing that has some."""
        return self._claimants[thing]

    def claim(self, claimant: Claimant, *things: str) -> set[Claimant]:
        """Replace the claims of one claimant.

        Returns:
            All other claimants of what it claimed or claims.
        """
        others: set[Claimant] = set()
        for thing in self._claimed.pop(claimant, ()):
            self._claimants[thing].discard(claimant)
            others |= self._claimants[thing]
            if not self._claimants[thing]:
                del self._claimants[thing]
        if things:
            self._claimed[claimant] = things
        for thing in things:
            claimants = self._claimants.setdefault(thing, set())
            others |= claimants
            claimants.add(claimant)
        return others
