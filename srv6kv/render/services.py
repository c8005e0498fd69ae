"""All services together: who may have which address, and what each one receives and sends.

Rule (rule L5): an address that several services ask for is steered for the first by
role, creation timestamp and name, the same on every node. Where the others select the same
endpoints this is exact, because a pod translates for all of them; else they get a warning.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from srv6kv.cluster.cluster import Cluster
from srv6kv.cluster.index import Claims
from srv6kv.cluster.topology import PodEndpoint, Topology
from srv6kv.kube.model import Ref, Service
from srv6kv.net import sids
from srv6kv.net.addresses import is_ipv4
from srv6kv.net.family import ByFamily, Family, family_of
from srv6kv.notes import Note, Reason
from srv6kv.render import remarks
from srv6kv.render.addresses import FIELDS, Asked, Place, Role, asked_by, places_of
from srv6kv.render.desired import Steered
from srv6kv.render.endpoint import Translation
from srv6kv.render.lists import Lists
from srv6kv.render.offers import Offers
from srv6kv.render.selection import anywhere
from srv6kv.render.service import (
    Answers,
    Host,
    IsUp,
    LocalEndpoint,
    Reach,
    Receivers,
    Run,
    answers_of,
    runs_of,
)
from srv6kv.render.way import Way, is_local
from srv6kv.settings import Settings

Ends = set[tuple[str, tuple[str, ...], tuple[str, ...]]]
"""Endpoints by address, with node hints and zone hints."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A service as it was last applied, what its local endpoints answer for, and the runs of ports
    that each of them answers for."""

    service: Service
    asked: Asked
    answers: ByFamily[Answers]
    runs: dict[LocalEndpoint, tuple[Run, ...]]


@dataclass(slots=True)
class _Kept:
    """The parts of a service that are kept from change to change; ways by family, and whether a
    policy of Local selects."""

    offers: ByFamily[Offers]
    ways: dict[tuple[Family, bool], Way] = field(default_factory=dict)


class Services:
    """The services that ask for an address.

    Attributes:
        topology: of the nodes; a new one means that every service is to be applied again.
    """

    def __init__(self, topology: Topology, settings: Settings) -> None:
        self.topology = topology
        self._settings = settings
        self._entries: dict[Ref, _Entry] = {}
        self._kept: dict[Ref, _Kept] = {}
        self._claims = Claims[Ref]()

    def apply(self, refs: Iterable[Ref], cluster: Cluster) -> set[Ref]:
        """Apply these services as they are in the cluster; return them and all that share an
        address with them and notice it."""
        concerned = set(refs)
        for ref in refs:
            before, ends = self._entries.get(ref), self._ends_if_shared(ref)
            service = cluster.services.get(ref)
            entry = None
            if service is not None and not service.proxy_name:
                entry = self._entries[ref] = self._entry_of(service, cluster)
            else:
                self._entries.pop(ref, None)
                self._kept.pop(ref, None)
            others = self._claims.claim(ref, *(entry.asked.roles if entry else ()))
            if before is not None and entry is not None:
                is_as_old = before.service.created == entry.service.created
                if is_as_old and before.asked.roles == entry.asked.roles:
                    others = self._noticed_by(ref, before, ends, entry)
            concerned |= others
        return concerned

    def _ends_if_shared(self, ref: Ref) -> dict[Family, Ends]:
        """Return what the services that share an address with one compare, before it changes."""
        entry = self._entries.get(ref)
        shared = [one for one in (entry.asked.roles if entry else ()) if len(self.sharers(one)) > 1]
        return {family: self._ends_of(ref, family) for family in set(map(family_of, shared))}

    def _noticed_by(
        self, ref: Ref, before: _Entry, ends: Mapping[Family, Ends], entry: _Entry
    ) -> set[Ref]:
        """Find the services behind one for an address that notice a change of its slices or traffic
        policies: services before them translate first, and they compare their endpoints with the
        owner's."""
        found: set[Ref] = set()
        for address in entry.asked.roles:
            sharers, family = self.sharers(address), family_of(address)
            place = sharers.index(ref)
            if place == len(sharers) - 1:
                continue
            is_same = before.answers[family] == entry.answers[family]
            is_same &= before.service.ports == entry.service.ports
            if is_same and place == 0:
                is_same = ends[family] == self._ends_of(ref, family)
                is_same &= self._places(address, before) == self._places(address, entry)
            if not is_same:
                found.update(sharers[place + 1 :])
        return found

    def _entry_of(self, service: Service, cluster: Cluster) -> _Entry:
        asked = asked_by(service, self.topology, self._settings)
        families = set(map(family_of, asked.roles))
        slices = cluster.slices_of(service.ref) if families else ()
        own, node = self.topology.own, self.topology.own_name
        kept = self._kept.setdefault(service.ref, _Kept(ByFamily.of(lambda _: Offers(node))))
        for family in Family:
            is_rendered = family in families
            mine = (one for one in slices if is_rendered and one.is_ipv4 == family.is_ipv4)
            kept.offers[family].update(service, mine, own.zone if own else "")
        answers = ByFamily.of(lambda one: self._answers_of(service, asked, kept.offers[one]))
        runs = {pod: runs_of(ports) for table in answers for pod, ports in table.items()}
        return _Entry(service, asked, answers, runs)

    def _answers_of(self, service: Service, asked: Asked, offers: Offers) -> Answers:
        places = (places_of(role, service, self._settings) for role in asked.roles.values())
        policies = {place.local_only for listed in places for place in listed}
        is_mine = partial(is_local, topology=self.topology, settings=self._settings)
        local = offers.local(is_mine, self.topology)
        return answers_of(local, offers.facts, sorted(policies), self.topology, self._settings)

    def sharers(self, address: str) -> list[Ref]:
        """Return all services that ask for an address, its owner first."""
        claimants = self._claims.of(address)
        if len(claimants) == 1:
            return list(claimants)

        def right(ref: Ref) -> tuple[Role, str, Ref]:
            entry = self._entries[ref]
            return (entry.asked.roles[address], entry.service.created, ref)

        return sorted(claimants, key=right)

    def _before(self, address: str, ref: Ref) -> list[_Entry]:
        """Return the services with a better right to an address."""
        sharers = self.sharers(address)
        return [self._entries[other] for other in sharers[: sharers.index(ref)]]

    def _is_denied(self, address: str, ref: Ref, first: Ref) -> bool:
        """Another service's ClusterIP is never an external address (rule L7)."""
        roles = (self._entries[first].asked.roles[address], self._entries[ref].asked.roles[address])
        return roles[0] is Role.CLUSTER_IP and roles[1] is not Role.CLUSTER_IP

    def receivers_of(self, ref: Ref) -> Receivers:
        """Return what a service's local endpoints answer for, where the address's owner sends."""
        entry = self._entries.get(ref)
        if entry is None:
            return {}
        found: dict[LocalEndpoint, list[Translation]] = {}
        for address in entry.asked.roles:
            sharers = self.sharers(address)
            if self._is_denied(address, ref, sharers[0]):
                continue
            family, better = family_of(address), self._before(address, ref)
            # Whichever pods these have: a pod of both answers for no other service there.
            taken = {(port.protocol, port.number) for one in better for port in one.service.ports}
            for pod, ports in entry.answers[family].items():
                if better and pod not in better[0].answers[family]:
                    continue
                runs = entry.runs[pod]
                if taken:
                    runs = runs_of({port: to for port, to in ports.items() if port not in taken})
                found.setdefault(pod, []).extend(Translation(address, *run) for run in runs)
        return {one: tuple(items) for one, items in found.items()}

    def steered_by(
        self, ref: Ref, cluster: Cluster, is_up: IsUp, unread: Container[str] = ()
    ) -> tuple[list[Steered], list[Note]]:
        """Render what a service steers, and the warnings about it."""
        entry = self._entries.get(ref)
        if entry is None:
            return [], []
        service, main_vrf = entry.service, self._settings.main_vrf
        notes = list(remarks.on_spec(service, entry.asked, self._settings))
        reaches: dict[tuple[Family, bool], Reach] = {}
        steered = []
        for address, role in entry.asked.roles.items():
            first = self.sharers(address)[0]
            if first != ref:
                notes += self.on_sharing(address, ref, first)
                continue
            for place in places_of(role, service, self._settings):
                way = (family_of(address), place.local_only)
                if way not in reaches:
                    reaches[way] = self._reach_of(entry, is_up, *way, unread)
                lists, unsure = reaches[way].lists, reaches[way].unsure
                # Without endpoints the drop route answers for a ClusterIP; no route covers another
                # address, so it is steered into a SID that drops (fact F9).
                if not lists and role is not Role.CLUSTER_IP:
                    lists = Lists.of({(sids.discard_sid(self._settings.sid.node),): 1})
                if lists or unsure:
                    suffix = f"_{address}" + ("_main" if place.vrf == main_vrf else "")
                    if role is Role.CLUSTER_IP and not is_ipv4(address):
                        suffix = ""
                    target = (place.vrf, address)
                    steered.append(Steered(ref, service.created, target, lists, suffix, unsure))
        if reaches:
            notes += remarks.on_reach(service, reaches.values(), self._settings)
            families = {family for family, _ in reaches}
            notes += remarks.on_slices(service, cluster.slices_of(ref), families)
            offers = self._kept[ref].offers
            twice = {item for family in families for item in self._twice(offers[family])}
            notes += remarks.on_targets(service, twice)
        return steered, notes

    def _reach_of(
        self, entry: _Entry, is_up: IsUp, family: Family, local_only: bool, unread: Container[str]
    ) -> Reach:
        kept, key = self._kept[entry.service.ref], (family, local_only)
        if key not in kept.ways:
            kept.ways[key] = Way(self._settings, local_only=local_only)
        kept.ways[key].update(kept.offers[family], self.topology)
        return kept.ways[key].reach(entry.service.ports, is_up, unread)

    def _twice(self, offers: Offers) -> Iterator[str]:
        """Ready pods that have several target ports for one port; a host's are kube-proxy's."""
        for port, item in offers.twice():
            place = self.topology.locate(item.endpoint, self._settings.pod_subnet)
            if isinstance(place, PodEndpoint):
                yield f"{item.address} for {port.protocol} {port.number}"

    @property
    def looked_at(self) -> int:
        """How many endpoints of slices were looked at, and how many ways to them looked for."""
        return sum(
            sum(offers.looked_at for offers in kept.offers)
            + sum(way.found for way in kept.ways.values())
            for kept in self._kept.values()
        )

    def on_sharing(self, address: str, ref: Ref, first: Ref) -> Iterator[Note]:
        """Warn a service about an address to which another one has the better right."""
        entry, owner = self._entries[ref], self._entries[first]
        field = FIELDS[entry.asked.roles[address]]
        if self._is_denied(address, ref, first):
            text = f"{field}: {address} is the ClusterIP of Service {first}; not rendered for it"
            yield remarks.remark(entry.service, Reason.EXTERNAL_IP_DENIED, text)
            return
        if not self._is_equal(address, entry, owner):
            text = f"{field}: {address} belongs to Service {first}, which has other endpoints"
            text += " or policies; this one is not rendered for it"
            yield remarks.remark(entry.service, Reason.SERVICE_IP_CONFLICT, text)
        if clashes := self._clashes(address, ref):
            text = f"{field}: {address} {', '.join(clashes)} has another target port in an older"
            text += " service that shares the address"
            yield remarks.remark(entry.service, Reason.SERVICE_PORT_CONFLICT, text)

    def _is_equal(self, address: str, entry: _Entry, owner: _Entry) -> bool:
        """Whether two services ask for the same at an address. Every node answers alike, so nothing
        of this node counts."""
        if self._places(address, entry) != self._places(address, owner):
            return False
        family = family_of(address)
        return self._ends_of(entry.service.ref, family) == self._ends_of(owner.service.ref, family)

    def _places(self, address: str, entry: _Entry) -> tuple[Place, ...]:
        return places_of(entry.asked.roles[address], entry.service, self._settings)

    def _ends_of(self, ref: Ref, family: Family) -> Ends:
        """The endpoints among which nodes select, each with the hints by which they choose."""
        found = set()
        for offered in self._kept[ref].offers[family].candidates().values():
            ends = [item.endpoint for item in anywhere(offered)]
            by_node = all(end.ready and end.node_hints for end in ends)
            by_zone = all(end.ready and end.zone_hints for end in ends)
            for end in ends:
                hints = (end.node_hints if by_node else (), end.zone_hints if by_zone else ())
                found.add((end.address, *hints))
        return found

    def _clashes(self, address: str, ref: Ref) -> list[str]:
        """Ports that an older service translates differently in a pod of both."""
        found, family = set(), family_of(address)
        for other in self._before(address, ref):
            for pod, ports in self._entries[ref].answers[family].items():
                theirs = {} if isinstance(pod, Host) else other.answers[family].get(pod, {})
                found |= {port for port, to in ports.items() if theirs.get(port, to) != to}
        return [f"{protocol} {port}" for protocol, port in sorted(found)]
