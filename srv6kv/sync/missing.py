"""Whether a Pod that a slice names for an address is late, or is not there with that address.

Rule: pure. Slices and pods come by different watches, so a slice may come before its Pod. A list
that was asked for later decides. What it lacks will not come either: a slice written by hand may
name any Pod, and one that has ended has no address any more.
"""

from __future__ import annotations

from collections.abc import Mapping

from srv6kv.kube.model import Ref

LATE_SECONDS = 1.0
"""A Pod that exists usually comes after milliseconds; a list of everything costs more."""


class MissingPods:
    """Remembers which pods are looked for, and the list that decides.

    Attributes:
        asked: the number of that list; 0: none.
    """

    def __init__(self) -> None:
        self.asked = 0
        self._since: dict[str, float] = {}
        self._sought: dict[str, Ref] = {}

    def take_result(self, listed: int) -> Mapping[str, Ref]:
        """Return what was sought, once, when the list has arrived; then a new search may begin."""
        if not 0 < self.asked <= listed:
            return {}
        sought, self._sought, self.asked = self._sought, {}, 0
        return sought

    def update(self, missing: Mapping[str, Ref], now: float) -> bool:
        """Replace the missing pods; whether a list should be asked for."""
        self._since = {address: self._since.get(address, now) for address in missing}
        return not self.asked and any(now >= one + LATE_SECONDS for one in self._since.values())

    def search(self, missing: Mapping[str, Ref], asked: int) -> None:
        """Let the list of that number decide about these."""
        self._sought, self.asked = dict(missing), asked
