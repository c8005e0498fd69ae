"""The endpoints that the slices of one service offer, slice by slice: a change costs its slice.

Rule: no two parts share an address. What several slices list is a part of its own, in which rule E8
has decided between them; every other part is what one slice offers alone. So whatever is counted
over all candidates is the sum over the parts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from functools import cached_property
from operator import add, sub

from srv6kv.kube.model import Endpoint, EndpointSlice, Service, ServicePort
from srv6kv.render.selection import Candidate, Candidates, Facts, candidates_of, facts_of, merged

SHARED = ""
"""Names the part of what several slices list."""


class Part:
    """The candidates of each port in a part, in the order of ``candidates_of``."""

    def __init__(self, offered: Candidates) -> None:
        self.offered = offered

    @cached_property
    def addresses(self) -> frozenset[str]:
        """Every address in it."""
        return frozenset(one.address for listed in self.offered.values() for one in listed)

    @cached_property
    def twice(self) -> tuple[tuple[ServicePort, Candidate], ...]:
        """The ready candidates whose address has several targets for one port."""
        found = []
        for port, offered in self.offered.items():
            ready = [one for one in offered if one.endpoint.ready]
            number = Counter(one.address for one in ready)
            found += [(port, one) for one in ready if number[one.address] > 1]
        return tuple(found)

    def where(self, keeps: Callable[[Candidate], bool]) -> Candidates:
        """The candidates that are kept."""
        return {port: tuple(filter(keeps, listed)) for port, listed in self.offered.items()}

    def without(self, addresses: Collection[str]) -> Part:
        """The part without these addresses; itself if it has none of them."""
        if self.addresses.isdisjoint(addresses):
            return self
        return Part(self.where(lambda one: one.address not in addresses))


_NONE = Part({})


class Offers:
    """The parts of one service and family.

    Attributes:
        parts: by the name of their slice.
        facts: about all candidates of each port.
        looked_at: how many endpoints of slices were looked at so far.
    """

    def __init__(self, node: str) -> None:
        self.ports: tuple[ServicePort, ...] = ()
        self.zone = ""
        self.looked_at = 0
        self._node = node
        self._begin()

    def _begin(self) -> None:
        self.parts: dict[str, Part] = {}
        self.facts: dict[ServicePort, Facts] = {}
        self._slices: dict[str, EndpointSlice] = {}
        self._whole: dict[str, Part] = {}
        self._listing: dict[str, set[str]] = {}
        self._shared: set[str] = set()
        self._local: dict[str, tuple[Part, Candidates]] = {}
        self._judged_by: object = None

    def update(self, service: Service, slices: Iterable[EndpointSlice], zone: str) -> None:
        """Replace the slices of the service and the zone of the node."""
        if (service.ports, zone) != (self.ports, self.zone):
            self._begin()
            self.ports, self.zone = service.ports, zone
        now = {item.ref.name: item for item in slices}
        changed = {name for name, item in now.items() if self._slices.get(name) is not item}
        changed |= self._slices.keys() - now.keys()
        stale, concerns_shared = set(changed), False
        for name in changed:
            before = self._whole.pop(name, _NONE)
            after = _NONE
            if name in now:
                self.looked_at += len(now[name].endpoints)
                after = self._whole[name] = Part(candidates_of(service, (now[name],)))
            old, new = before.addresses, after.addresses
            concerns_shared |= not self._shared.isdisjoint(old)
            for address in old - new:
                stale |= self._leave(address, name)
            for address in new - old:
                stale |= self._enter(address, name)
            concerns_shared |= not self._shared.isdisjoint(new)
        self._slices = now
        for name in stale:
            self._replace(name, self._whole.get(name))
        if concerns_shared:
            self._replace(SHARED, self._between() if self._shared else None)

    def _enter(self, address: str, name: str) -> set[str]:
        """Add a slice to those that list an address; the slices that it concerns."""
        names = self._listing.setdefault(address, set())
        names.add(name)
        if len(names) == 1:
            return set()
        self._shared.add(address)
        return names

    def _leave(self, address: str, name: str) -> set[str]:
        names = self._listing[address]
        names.discard(name)
        if len(names) == 1:
            self._shared.discard(address)
        elif not names:
            del self._listing[address]
        return names

    def _replace(self, name: str, part: Part | None) -> None:
        part = part.without(self._shared) if part is not None and name != SHARED else part
        before = self.parts.pop(name, None)
        if before is not None:
            self._count(before, sub)
        if part is not None:
            self.parts[name] = part
            self._count(part, add)

    def _count(self, part: Part, change: Callable[[int, int], int]) -> None:
        for port, offered in part.offered.items():
            facts = facts_of(offered, self._node, self.zone)
            self.facts[port] = Facts(*map(change, self.facts.get(port, Facts()), facts))

    def _between(self) -> Part:
        """Decide between the slices that list the same addresses."""
        names = sorted({name for address in self._shared for name in self._listing[address]})
        parts = (self._whole[name].where(lambda one: one.address in self._shared) for name in names)
        return Part(merged(parts))

    def local(self, is_local: Callable[[Endpoint], bool], judged_by: object) -> Candidates:
        """The candidates on this node.

        Args:
            judged_by: by what ``is_local`` judges; with another object all are judged again.
        """
        if judged_by is not self._judged_by:
            self._local, self._judged_by = {}, judged_by
        for name, (part, _) in list(self._local.items()):
            if self.parts.get(name) is not part:
                del self._local[name]
        for name, part in self.parts.items():
            if name not in self._local:
                self._local[name] = (part, part.where(lambda one: is_local(one.endpoint)))
        found: dict[ServicePort, tuple[Candidate, ...]] = {}
        for _, offered in self._local.values():
            for port, listed in offered.items():
                found[port] = found.get(port, ()) + listed
        return found

    def twice(self) -> Iterable[tuple[ServicePort, Candidate]]:
        """The ready candidates whose address has several targets for one port."""
        return (item for part in self.parts.values() for item in part.twice)

    def candidates(self) -> Candidates:
        """All candidates of each port, as ``candidates_of`` gives them."""
        none: Candidates = dict.fromkeys(self.ports, ())
        return merged((none, *(part.offered for part in self.parts.values())))
