"""Which objects of one resource exist, and which are gone for certain.

Rule: pure. An object in a list is accepted at once. One that a list lacks is accepted as gone when
the watch says so, or when two complete lists in a row lack it: a list may come back shortened. A
server whose resource versions went back, restored from a backup or behind the others, has to say so
for half a minute.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from srv6kv.kube.model import Identity

BACK_SECONDS = 30.0
"""So long a server whose versions went back has to leave out what is to be gone."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A complete list, all of one resource version, and how many items have no name."""

    version: str
    items: dict[Identity, msgspec.Raw]
    unnamed: int = 0


@dataclass(slots=True)
class Known:
    """What is known to be there.

    Attributes:
        version: where a watch resumes; "": nowhere, a list is needed.
        missing: what the last lists had not, and the time of the first of these.
    """

    version: str = ""
    highest: int = 0
    objects: set[Identity] = field(default_factory=set)
    missing: dict[Identity, float] = field(default_factory=dict)

    @property
    def is_behind(self) -> bool:
        """Whether the server's versions went back and that is not accepted yet."""
        return self._went_back(self.version)

    def _went_back(self, version: str) -> bool:
        number = number_of(version)
        return number is not None and number < self.highest

    def apply_list(self, found: Listed, asked: float) -> set[Identity]:
        """Apply a complete list, asked for at this monotonic time; returns what is gone for
        certain."""
        self.version = found.version
        # What has no name may be any of those that are missing.
        missing = self.objects - found.items.keys() if not found.unnamed else set()
        self.missing = {identity: self.missing.get(identity, asked) for identity in missing}
        needed = BACK_SECONDS if self.is_behind else 0.0
        gone = {one for one, since in self.missing.items() if asked > since + needed}
        self.missing = {one: since for one, since in self.missing.items() if one not in gone}
        self.objects = (self.objects | found.items.keys()) - gone
        if not self.missing:
            self.highest = number_of(found.version) or 0
        return gone

    def apply_event(self, version: str, identity: Identity | None, *, is_there: bool) -> bool:
        """Apply an event of a watch; False: its version went back, so a list is needed."""
        if self._went_back(version):
            self.version = ""
            return False
        self.version, self.highest = version, number_of(version) or self.highest
        if identity is not None:
            self.objects.discard(identity)
            if is_there:
                self.objects.add(identity)
        return True

    def apply_current(self, version: str) -> None:
        """Apply the server's current version; if it went back, a list is needed."""
        if self._went_back(version):
            self.version = ""


def number_of(version: str) -> int | None:
    """A resource version as a number; None: this server's versions cannot be compared."""
    is_number = version.isascii() and version.isdigit() and len(version) <= 20
    return int(version) if is_number else None
