"""All services together: who may have which address, and what each one receives and sends.

Rule (spec/services.md 2.5): an address that several services ask for is steered for the first by
role, creation timestamp and name, the same on every node. Where the others select the same
endpoints this is exact, because a pod translates for all of them; else they are told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from srv6kv import sids
from srv6kv.addresses import is_ipv4
from srv6kv.agent.values import SegmentList
from srv6kv.cluster import Cluster
from srv6kv.kube.model import Ref, Service
from srv6kv.notes import Note
from srv6kv.render import remarks
from srv6kv.render.addresses import FIELDS, Asked, Role, asked_by, places_of
from srv6kv.render.claims import Claims
from srv6kv.render.desired import Steered
from srv6kv.render.endpoint import Translation
from srv6kv.render.service import HOSTS, Answers, IsUp, Reach, Receivers, answers_of, reach_of
from srv6kv.select import Candidates, candidates_of, select
from srv6kv.settings import Settings
from srv6kv.topology import PodEndpoint, Topology


@dataclass(frozen=True, slots=True)
class _Entry:
    """A service as it was last taken in; what its slices offer, by family: IPv6, IPv4."""

    service: Service
    asked: Asked
    candidates: tuple[Candidates, Candidates]
    answers: tuple[Answers, Answers]


class Services:
    """The services that ask for an address.

    Attributes:
        topology: of the nodes; a new one means that every service is to be taken in again.
    """

    def __init__(self, topology: Topology, settings: Settings) -> None:
        self.topology = topology
        self._settings = settings
        self._entries: dict[Ref, _Entry] = {}
        self._claims = Claims[Ref]()

    def take(self, refs: Iterable[Ref], cluster: Cluster) -> set[Ref]:
        """Take in these services; they and all that share an address with them and notice it."""
        concerned = set(refs)
        for ref in refs:
            before = self._entries.get(ref)
            service = cluster.services.get(ref)
            entry = None
            if service is not None and not service.proxy_name:
                entry = self._entry_of(service, cluster)
            if entry is None:
                self._entries.pop(ref, None)
            else:
                self._entries[ref] = entry
            others = self._claims.claim(ref, *(entry.asked.roles if entry else ()))
            if before is not None and entry is not None and _is_as_good(before, entry):
                others = self._noticed_by(ref, before, entry)
            concerned |= others
        return concerned

    def _noticed_by(self, ref: Ref, before: _Entry, entry: _Entry) -> set[Ref]:
        """Those behind a service for an address who notice that its slices or policies changed:
        whoever is before them translates first, and the owner's endpoints are what they compare."""
        found: set[Ref] = set()
        for address in entry.asked.roles:
            sharers, ipv4 = self.sharers(address), is_ipv4(address)
            place = sharers.index(ref)
            is_same = before.answers[ipv4] == entry.answers[ipv4]
            if not is_same or (place == 0 and not self._is_equal(address, before, entry)):
                found.update(sharers[place + 1 :])
        return found

    def _entry_of(self, service: Service, cluster: Cluster) -> _Entry:
        asked = asked_by(service, self.topology, self._settings)
        families = {is_ipv4(address) for address in asked.roles}
        slices = cluster.slices_of(service.ref) if families else ()
        ipv6, ipv4 = (
            candidates_of(service, (item for item in slices if item.is_ipv4 == family))
            if family in families
            else {}
            for family in (False, True)
        )
        answers = (self._answers_of(ipv6), self._answers_of(ipv4))
        return _Entry(service, asked, (ipv6, ipv4), answers)

    def _answers_of(self, candidates: Candidates) -> Answers:
        return answers_of(candidates, self.topology, self._settings)

    def sharers(self, address: str) -> list[Ref]:
        """All that ask for an address, the one that has it first."""
        claimants = self._claims.of(address)
        if len(claimants) == 1:
            return list(claimants)
        return sorted(claimants, key=lambda ref: self._right_to(address, ref))

    def _answers_before(self, address: str, ref: Ref) -> Iterator[Answers]:
        """What the endpoints of those answer for who have a better right to an address."""
        sharers = self.sharers(address)
        for other in sharers[: sharers.index(ref)]:
            yield self._entries[other].answers[is_ipv4(address)]

    def _right_to(self, address: str, ref: Ref) -> tuple[Role, str, Ref]:
        entry = self._entries[ref]
        return (entry.asked.roles[address], entry.service.created, ref)

    def _is_denied(self, address: str, ref: Ref, first: Ref) -> bool:
        """Another service's ClusterIP is never an external address (2.7)."""
        roles = (self._entries[first].asked.roles[address], self._entries[ref].asked.roles[address])
        return roles[0] is Role.CLUSTER_IP and roles[1] is not Role.CLUSTER_IP

    def receivers_of(self, ref: Ref) -> Receivers:
        """What a service's local endpoints answer for; only where the address's owner sends."""
        entry = self._entries.get(ref)
        if entry is None:
            return Receivers()
        found: dict[str, list[Translation]] = {}
        for address in entry.asked.roles:
            sharers = self.sharers(address)
            if self._is_denied(address, ref, sharers[0]):
                continue
            better = list(self._answers_before(address, ref))
            for pod, ports in entry.answers[is_ipv4(address)].items():
                if better and pod not in better[0]:
                    continue
                found.setdefault(pod, []).extend(
                    Translation(address, protocol, port, target)
                    for (protocol, port), target in ports.items()
                    if not any((protocol, port) in table.get(pod, {}) for table in better)
                )
        return Receivers({pod: tuple(items) for pod, items in found.items()})

    def steered_by(
        self, ref: Ref, cluster: Cluster, is_up: IsUp, unread: Container[str] = ()
    ) -> tuple[list[Steered], list[Note]]:
        """What a service steers, and what there is to say about it."""
        entry = self._entries.get(ref)
        if entry is None:
            return [], []
        service = entry.service
        notes = remarks.on_spec(service, entry.asked, self._settings)
        reaches: dict[tuple[bool, bool], Reach] = {}
        steered = []
        for address, role in entry.asked.roles.items():
            first = self.sharers(address)[0]
            if first != ref:
                notes += self.on_sharing(address, ref, first)
                continue
            for place in places_of(role, service, self._settings):
                way = (is_ipv4(address), place.local_only)
                if way not in reaches:
                    reaches[way] = self._reach_of(entry, is_up, *way, unread)
                lists = self._lists_for(role, reaches[way])
                unsure = reaches[way].unsure
                if lists or unsure:
                    suffix = self._suffix_of(address, role, place.vrf)
                    target = (place.vrf, address)
                    steered.append(Steered(ref, service.created, target, lists, suffix, unsure))
        if reaches:
            notes += remarks.on_reach(service, reaches.values(), self._settings)
            families = {ipv4 for ipv4, _ in reaches}
            notes += remarks.on_slices(service, cluster.slices_of(ref), families)
            twice = {item for ipv4 in families for item in self._twice(entry.candidates[ipv4])}
            notes += remarks.on_targets(service, twice)
        return steered, notes

    def _reach_of(
        self, entry: _Entry, is_up: IsUp, ipv4: bool, local_only: bool, unread: Container[str]
    ) -> Reach:
        return reach_of(
            entry.service,
            entry.candidates[ipv4],
            self.topology,
            self._settings,
            is_up,
            local_only=local_only,
            unread=unread,
        )

    def _twice(self, candidates: Candidates) -> Iterator[str]:
        """Ready pods that have several target ports for one port; a host's are kube-proxy's."""
        for port, offered in candidates.items():
            ready = [item for item in offered if item.endpoint.ready]
            targets = Counter(item.address for item in ready)
            for item in (one for one in ready if targets[one.address] > 1):
                place = self.topology.locate(item.endpoint, self._settings.pod_subnet)
                if isinstance(place, PodEndpoint):
                    yield f"{item.address} for {port.protocol} {port.number}"

    def _lists_for(self, role: Role, reach: Reach) -> tuple[SegmentList, ...]:
        """Without endpoints the drop route answers for a ClusterIP; no route covers another
        address, so it is steered into a SID that drops (fact F9)."""
        if reach.lists or role is Role.CLUSTER_IP:
            return reach.lists
        return (SegmentList(segments=(sids.discard_sid(self._settings.sid.node),), weight=1),)

    def _suffix_of(self, address: str, role: Role, vrf: int) -> str:
        if role is Role.CLUSTER_IP and not is_ipv4(address):
            return ""
        return f"_{address}" + ("_main" if vrf == self._settings.main_vrf else "")

    def on_sharing(self, address: str, ref: Ref, first: Ref) -> list[Note]:
        """What it means for a service that another one has the better right to its address."""
        entry, owner = self._entries[ref], self._entries[first]
        field = FIELDS[entry.asked.roles[address]]
        if self._is_denied(address, ref, first):
            text = f"{field}: {address} is the ClusterIP of Service {first}; not rendered for it"
            return [remarks.remark(entry.service, "ExternalIPDenied", text)]
        notes = []
        if not self._is_equal(address, entry, owner):
            text = f"{field}: {address} belongs to Service {first}, which has other endpoints"
            text += " or policies; this one is not rendered for it"
            notes.append(remarks.remark(entry.service, "ServiceIPConflict", text))
        clashes = self._clashes(address, ref)
        if clashes:
            text = f"{field}: {address} {', '.join(clashes)} has another target port in an older"
            text += " service that shares the address"
            notes.append(remarks.remark(entry.service, "ServicePortConflict", text))
        return notes

    def _is_equal(self, address: str, entry: _Entry, owner: _Entry) -> bool:
        """Whether two services want the same for an address: on every node the same answer, so
        nothing of this node is looked at."""
        places = [
            places_of(item.asked.roles[address], item.service, self._settings)
            for item in (entry, owner)
        ]
        ipv4 = is_ipv4(address)
        return places[0] == places[1] and _everywhere(entry, ipv4) == _everywhere(owner, ipv4)

    def _clashes(self, address: str, ref: Ref) -> list[str]:
        """Ports that an older service translates differently in a pod of both."""
        found = set()
        for answers in self._answers_before(address, ref):
            for pod, ports in self._entries[ref].answers[is_ipv4(address)].items():
                theirs = answers.get(pod, {}) if pod not in HOSTS else {}
                found |= {port for port, to in ports.items() if theirs.get(port, to) != to}
        return [f"{protocol} {port}" for protocol, port in sorted(found)]


def _is_as_good(before: _Entry, entry: _Entry) -> bool:
    """Whether a service has the same right to the same addresses as before."""
    return (before.asked.roles, before.service.created) == (
        entry.asked.roles,
        entry.service.created,
    )


def _everywhere(entry: _Entry, ipv4: bool) -> set[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """The endpoints that a node without endpoints, in no zone, would select, each with the hints by
    which other nodes choose among them."""
    found = set()
    chosen = select(entry.service, entry.candidates[ipv4], "", "", local_only=False)
    for listed in chosen.by_port.values():
        ends = [item.endpoint for item in listed]
        by_node = all(end.ready and end.node_hints for end in ends)
        by_zone = all(end.ready and end.zone_hints for end in ends)
        for end in ends:
            hints = (end.node_hints if by_node else (), end.zone_hints if by_zone else ())
            found.add((end.address, *hints))
    return found
