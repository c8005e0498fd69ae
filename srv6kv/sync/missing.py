"""Whether a Pod that a slice names for an address is late, or is not there with that address.

Rule: pure. Slices and pods come by different watches, so a slice may be here before its Pod. A list
that was asked for later tells. What it lacks will not come either: a slice written by hand may name
any Pod, and one that has ended has no address any more.
"""

from __future__ import annotations

from collections.abc import Mapping

from srv6kv.kube.model import Ref

LATE_SECONDS = 1.0
"""A Pod that exists is usually here after milliseconds; a list of everything costs more."""


class MissingPods:
    """Remembers which pods are looked for, and the list that is to tell.

    Attributes:
        asked: the number of that list; 0: none.
    """

    def __init__(self) -> None:
        self.asked = 0
        self._since: dict[str, float] = {}
        self._sought: dict[str, Ref] = {}

    def answer(self, listed: int) -> Mapping[str, Ref]:
        """What was sought, once the list is here; then a new search may begin.

        Args:
            listed: how often the whole cluster was listed.
        """
        if not 0 < self.asked <= listed:
            return {}
        sought, self._sought, self.asked = self._sought, {}, 0
        return sought

    def see(self, missing: Mapping[str, Ref], now: float) -> bool:
        """Whether a list should be asked for.

        Args:
            missing: pods that are missing now, by the addresses for which slices name them.
            now: monotonic time.
        """
        self._since = {address: self._since.get(address, now) for address in missing}
        return not self.asked and any(now >= one + LATE_SECONDS for one in self._since.values())

    def seek(self, missing: Mapping[str, Ref], asked: int) -> None:
        """The list of that number is to tell about these."""
        self._sought, self.asked = dict(missing), asked
