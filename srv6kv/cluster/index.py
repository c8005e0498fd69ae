"""Sets by key, and claims to what only one can have: an address, a SID, a name."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value", bound=Hashable)


class Index(dict[Key, set[Value]]):
    """Sets by key; an empty one is no entry."""

    __slots__ = ()

    def add(self, key: Key, value: Value) -> None:
        """Add a value to the set of a key."""
        self.setdefault(key, set()).add(value)

    def discard(self, key: Key, value: Value) -> None:
        """Remove a value from the set of a key; an unknown one is no error."""
        values = self.get(key)
        if values is not None:
            values.discard(value)
            if not values:
                del self[key]


class Claims(Generic[Value]):
    """Keeps which claimants claim which things; others decide who gets them."""

    def __init__(self) -> None:
        self._claimed: dict[Value, tuple[str, ...]] = {}
        self._claimants = Index[str, Value]()

    def of(self, thing: str) -> set[Value]:
        """Return all claimants of a thing that has some."""
        return self._claimants[thing]

    def claim(self, claimant: Value, *things: str) -> set[Value]:
        """Replace the claims of one claimant; return all other claimants of what it claimed or
        claims."""
        others: set[Value] = set()
        for thing in self._claimed.pop(claimant, ()):
            self._claimants.discard(thing, claimant)
            others |= self._claimants.get(thing, set())
        if things:
            self._claimed[claimant] = things
        for thing in things:
            others |= self._claimants.get(thing, set())
            self._claimants.add(thing, claimant)
        return others
