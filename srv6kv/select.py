"""Which endpoints serve a service: kube-proxy's rules E and C (spec/services.md section 3).

Pure functions over plain values. A *candidate* is one (address, target port) that a slice lists
for one port of the service; selection keeps or drops candidates by named rules. ``candidates_of``
and ``select`` decide; ``unused`` and ``judge`` tell, by the same code, which rule decided what.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from srv6kv.kube.model import Endpoint, EndpointSlice, Service, ServicePort, SlicePort


@dataclass(frozen=True, slots=True)
class Candidate:
    """An endpoint as it is offered for one service port."""

    endpoint: Endpoint
    target: int
    slice_name: str

    @property
    def address(self) -> str:
        """The endpoint's address."""
        return self.endpoint.address


Candidates = Mapping[ServicePort, tuple[Candidate, ...]]


@dataclass(frozen=True, slots=True)
class Selection:
    """What one kind of traffic to a service may reach from one node.

    Attributes:
        by_port: the selected candidates of each port, in address order.
        addresses: all selected addresses, sorted: the union over the ports.
        ports_differ: ports that have endpoints do not have the same ones (spec/services.md 2.2).
        unserved: ports without endpoints while others have some.
    """

    by_port: Candidates
    addresses: tuple[str, ...]
    ports_differ: bool
    unserved: tuple[ServicePort, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a candidate is selected, by which rule, and why in words.

    Attributes:
        rule: its name in spec/services.md 3.2 or 3.3, such as ``C2b``.
    """

    candidate: Candidate
    kept: bool
    rule: str
    why: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.why}"


@dataclass(frozen=True, slots=True)
class Unused:
    """Something in a slice that offers nothing, by which rule, and why in words.

    Attributes:
        place: ``""`` for the whole slice, a field, or the endpoint and the port of a duplicate.
        rule: its name in spec/services.md 3.1 or 3.2, such as ``E8``.
    """

    slice_name: str
    place: str
    rule: str
    why: str

    def __str__(self) -> str:
        place = f" {self.place}" if self.place else ""
        return f"EndpointSlice {self.slice_name}{place}: {self.rule}: {self.why}"


def candidates_of(service: Service, slices: Iterable[EndpointSlice]) -> Candidates:
    """All candidates of each port of the service, duplicates resolved (rules E3, E4, E7, E8)."""
    offered: dict[ServicePort, dict[tuple[str, int], Candidate]] = {
        port: {} for port in service.ports
    }
    for item in slices:
        endpoints = _distinct(item)
        for _, slice_port, port in _slice_ports(service, item):
            if port is None or slice_port.number is None:
                continue
            table = offered[port]
            for endpoint in endpoints:
                candidate = Candidate(endpoint, slice_port.number, item.ref.name)
                key = (endpoint.address, slice_port.number)
                known = table.get(key)
                if known is None or _rank(candidate) < _rank(known):
                    table[key] = candidate
    return {
        port: tuple(sorted(table.values(), key=lambda c: (c.address, c.target)))
        for port, table in offered.items()
    }


def _slice_ports(
    service: Service, item: EndpointSlice
) -> Iterator[tuple[int, SlicePort, ServicePort | None]]:
    """Each port of a slice with its index, and what port of the service it is, if any."""
    ports = {(port.name, port.protocol): port for port in service.ports}
    for index, slice_port in enumerate(item.ports):
        name, protocol, number = slice_port
        if number is None:
            yield index, slice_port, None  # rule E3
        else:
            yield index, slice_port, ports.get((name, protocol))  # rule E4


def _distinct(item: EndpointSlice) -> Iterable[Endpoint]:
    """Rule E8 within a slice: of one address the last entry that does not terminate counts, ready
    or not, else the first, as in ``addEndpoints`` of kube-proxy's endpointslicecache.go."""
    found: dict[str, Endpoint] = {}
    for endpoint in item.endpoints:
        if not endpoint.terminating or endpoint.address not in found:
            found[endpoint.address] = endpoint
    return found.values()


def _rank(candidate: Candidate) -> tuple[bool, bool, str]:
    """Rule E8 across slices, which kube-proxy goes through in any order; the lowest counts: not
    terminating, then ready, then the first slice by name."""
    endpoint = candidate.endpoint
    return (endpoint.terminating, not endpoint.ready, candidate.slice_name)


def unused(
    service: Service, slices: Iterable[EndpointSlice], *, ipv4: bool = False
) -> tuple[Unused, ...]:
    """What of the slices ``candidates_of`` leaves out, and why (rules S1, E1 to E4, E7, E8).

    Args:
        service: the service.
        slices: any slices, with those that ``parse`` ignored; those of other services do not count.
        ipv4: whether IPv4 is rendered at all.
    """
    ours, found = [], []
    for item in slices:
        if item.service == service.ref and (why := _why_no_family(service, item, ipv4)):
            found.append(Unused(item.ref.name, "", "E2", why))
        elif item.service == service.ref:
            ours.append(item)
        elif item.ignored is not None and item.ignored.service == service.ref:
            found.append(Unused(item.ref.name, "", item.ignored.rule, item.ignored.why))
    winners = {
        (port, candidate.address, candidate.target): candidate
        for port, listed in candidates_of(service, ours).items()
        for candidate in listed
    }
    for item in ours:
        for index, slice_port, port in _slice_ports(service, item):
            name, protocol, number = slice_port
            if port is None or number is None:
                found.append(Unused(item.ref.name, f"ports[{index}]", *_why_no_port(slice_port)))
                continue
            for endpoint in item.endpoints:
                winner = winners[port, endpoint.address, number]
                loser = Candidate(endpoint, number, item.ref.name)
                if winner.endpoint is not endpoint or winner.slice_name != loser.slice_name:
                    place = f"{endpoint.address} for {name or 'the port'} {protocol} {number}"
                    found.append(Unused(item.ref.name, place, "E8", _why_duplicate(loser, winner)))
    return tuple(found)


def _why_no_family(service: Service, item: EndpointSlice, ipv4: bool) -> str:
    """Why its service has no use for a slice's address family; "" if it has."""
    if item.is_ipv4 and not ipv4:
        return "addressType: IPv4 counts only with srv6kv.ipv4"
    if item.is_ipv4 in service.families:
        return ""
    return f"addressType: the service has no {'IPv4' if item.is_ipv4 else 'IPv6'} ClusterIP"


def _why_no_port(slice_port: SlicePort) -> tuple[str, str]:
    if slice_port.number is None:
        return "E3", "has no number from 1 to 65535"
    return "E4", f"the service has no {slice_port.protocol} port named {slice_port.name!r}"


def _why_duplicate(loser: Candidate, winner: Candidate) -> str:
    """Within a slice as ``_distinct`` decides, else in the order of ``_rank``."""
    if loser.slice_name == winner.slice_name:
        if winner.endpoint.terminating:
            return "the slice lists it twice, and both terminate: the first counts"
        return "the slice lists it again, and the last entry that does not terminate counts"
    also = f"{winner.slice_name} lists it too, and"
    if loser.endpoint.terminating != winner.endpoint.terminating:
        return f"{also} there it does not terminate"
    if loser.endpoint.ready != winner.endpoint.ready:
        return f"{also} there it is ready"
    return f"{also} comes first by name"


def select(
    service: Service, candidates: Candidates, node: str, zone: str, *, local_only: bool
) -> Selection:
    """The endpoints for traffic that a policy of Cluster or Local governs (rule C8).

    Args:
        service: the service.
        candidates: from ``candidates_of``.
        node: this node's name.
        zone: this node's zone, "" if it has none.
        local_only: the policy is Local.
    """
    choose = _local if local_only else _cluster
    by_port = {
        port: tuple(choose(offered, node, zone)[1])
        for port, offered in candidates.items()
        if offered
    }
    sets = {frozenset(c.address for c in chosen) for chosen in by_port.values() if chosen}
    union = frozenset[str]().union(*sets)
    unserved = tuple(port for port in candidates if union and not by_port.get(port))
    return Selection(by_port, tuple(sorted(union)), len(sets) > 1, unserved)


Choice = tuple[str, list[Candidate]]
"""The rule that chose, and what it chose."""


def _cluster(offered: tuple[Candidate, ...], node: str, zone: str) -> Choice:
    """Rules C2, C4, C5 and C10: what terminates without serving is never a last resort."""
    ready = [c for c in offered if c.endpoint.ready]
    if not ready:
        return "C5", _last_resort(offered)
    return _near(ready, node, zone)


def _local(offered: tuple[Candidate, ...], node: str, zone: str) -> Choice:
    """Rule C6: never hints, never remote."""
    here = [c for c in offered if c.endpoint.node == node]
    ready = [c for c in here if c.endpoint.ready]
    return "C6", ready or _last_resort(here)


def _last_resort(offered: Iterable[Candidate]) -> list[Candidate]:
    return [c for c in offered if c.endpoint.serving and c.endpoint.terminating]


def _near(ready: list[Candidate], node: str, zone: str) -> Choice:
    """Rule C2 and C4: by node hints, else by zone hints, else all.

    A node without a zone is in the zone "", as in ``topologyModeFromHints`` of kube-proxy.
    """
    if _all_hinted(ready, "node_hints") and any(node in c.endpoint.node_hints for c in ready):
        return "C2a", [c for c in ready if node in c.endpoint.node_hints]
    if _all_hinted(ready, "zone_hints") and any(zone in c.endpoint.zone_hints for c in ready):
        return "C2b", [c for c in ready if zone in c.endpoint.zone_hints]
    return "C4", ready


def _all_hinted(ready: list[Candidate], kind: str) -> bool:
    return all(getattr(c.endpoint, kind) for c in ready)


def judge(
    offered: tuple[Candidate, ...], node: str, zone: str, *, local_only: bool
) -> tuple[Verdict, ...]:
    """What ``select`` makes of each candidate of one port, in the order of ``offered``, and why."""
    rule, chosen = (_local if local_only else _cluster)(offered, node, zone)
    kept = {(c.address, c.target) for c in chosen}
    useless = _why_hints_do_not_count(chosen, node, zone) if rule == "C4" else ""
    place = zone if rule == "C2b" else node
    return tuple(
        Verdict(c, True, *_why_kept(c, rule, place, useless))
        if (c.address, c.target) in kept
        else Verdict(c, False, *_why_dropped(c, rule, place))
        for c in offered
    )


def _why_kept(candidate: Candidate, rule: str, place: str, useless: str) -> tuple[str, str]:
    here = " on this node" if rule == "C6" else ""
    if not candidate.endpoint.ready:
        return rule, f"last resort: none is ready{here}, and it serves while it terminates"
    if rule in _HINTED:
        return rule, f"ready, with a hint for {_place(rule, place)}"
    if useless:
        return "C2c", f"ready; {useless}"
    return rule, f"ready{here}"


def _why_hints_do_not_count(ready: list[Candidate], node: str, zone: str) -> str:
    """ "" if there are none; else the first thing that rules C2a and C2b miss in each kind."""
    missed = []
    for name, place in (("node", node), ("zone", zone)):
        hints = [c.endpoint.node_hints if name == "node" else c.endpoint.zone_hints for c in ready]
        if not any(hints):
            continue
        if not all(hints):
            missed.append(f"{hints.count(())} of {len(hints)} have no {name} hint")
        elif not place:
            missed.append(f"this node has no {name}, and none has an empty hint")
        else:
            missed.append(f"none has a hint for {name} {place}")
    return " and ".join(missed)


def _why_dropped(candidate: Candidate, rule: str, place: str) -> tuple[str, str]:
    """The first rule that speaks against a candidate."""
    endpoint = candidate.endpoint
    if rule == "C6" and endpoint.node != place:
        return "C6", f"not on this node but on {endpoint.node or 'none that is named'}"
    if endpoint.ready:
        return rule, f"no hint for {_place(rule, place)}"
    if not endpoint.terminating:
        return "E5", "not ready"
    if not endpoint.serving:
        return "C10", "terminates and does not serve"
    return "C6" if rule == "C6" else "C5", "terminates, and others are ready"


_HINTED = {"C2a": "node", "C2b": "zone"}


def _place(rule: str, place: str) -> str:
    """Name the node or zone; a node without a zone is where an empty hint leads."""
    return f"{_HINTED[rule]} {place}" if place else f"nodes without a {_HINTED[rule]}"


def anywhere(offered: Iterable[Candidate]) -> list[Candidate]:
    """The candidates among which hints choose: the ready ones, else the last resort."""
    return [c for c in offered if c.endpoint.ready] or _last_resort(offered)
