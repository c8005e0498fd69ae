"""Which endpoints serve a service: kube-proxy's rules E and C (docs/rules).

Pure functions over plain values. A *candidate* is one (address, target port) that a slice lists
for one port of the service; selection keeps or drops candidates by named rules. ``candidates_of``
and ``select`` decide; ``unused`` and ``judge`` report, by the same code, which rule decided what.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

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
class Verdict:
    """Whether a candidate is selected, by which rule, and why in words."""

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
    """

    slice_name: str
    place: str
    rule: str
    why: str

    def __str__(self) -> str:
        place = f" {self.place}" if self.place else ""
        return f"EndpointSlice {self.slice_name}{place}: {self.rule}: {self.why}"


def candidates_of(service: Service, slices: Iterable[EndpointSlice]) -> Candidates:
    """Return the candidates of each port of a service, unique (rules E3, E4, E7, E8)."""
    none: Candidates = dict.fromkeys(service.ports, ())
    return merged((none, *(_offered_by(item, service) for item in slices)))


def _offered_by(item: EndpointSlice, service: Service) -> Candidates:
    """Return the candidates that one slice lists for each port of a service."""
    found: dict[ServicePort, tuple[Candidate, ...]] = {}
    endpoints = _distinct(item)
    for _, slice_port, port in _slice_ports(service, item):
        if port is not None and (number := slice_port.number) is not None:
            listed = (Candidate(endpoint, number, item.ref.name) for endpoint in endpoints)
            found[port] = (*found.get(port, ()), *listed)
    return found


def merged(parts: Iterable[Candidates]) -> Candidates:
    """The candidates of several slices together, duplicates resolved (rule E8)."""
    offered: dict[ServicePort, dict[tuple[str, int], Candidate]] = {}
    for part in parts:
        for port, listed in part.items():
            table = offered.setdefault(port, {})
            for candidate in listed:
                key = (candidate.address, candidate.target)
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
    """Find what of the slices ``candidates_of`` leaves out, and why (rules S1, E1 to E4, E7, E8).

    Args:
        slices: any slices, with those that ``parse`` ignored; those of other services do not count.
    """
    ours, found = [], []
    for item in slices:
        if item.service == service.ref and (text := _why_no_family(service, item, ipv4)):
            found.append(Unused(item.ref.name, "", "E2", text))
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
                why = ("E4", f"the service has no {protocol} port named {name!r}")
                if number is None:
                    why = ("E3", "has no number from 1 to 65535")
                found.append(Unused(item.ref.name, f"ports[{index}]", *why))
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


# traffic policy | what the slices list for a port            | what is selected             | rule
# Cluster        | all ready ones have node hints, one of      | ready, with a hint for this  | C2a
#                | them for this node                          | node                         |
# Cluster        | else: all ready ones have zone hints, one   | ready, with a hint for this  | C2b
#                | of them for this node's zone                | zone                         |
# Cluster        | else: some are ready                        | all that are ready           | C4
# Cluster        | none is ready                               | what serves while it         | C5
#                |                                             | terminates                   |
# Local          | some on this node are ready                 | these; hints do not count    | C6
# Local          | none on this node is ready                  | what serves there while it   | C6
#                |                                             | terminates                   |
# either         | not ready and not terminating               | never                        | E5
# either         | terminating and not serving                 | never                        | C10
def select(
    candidates: Candidates, node: str, zone: str, *, local_only: bool
) -> dict[ServicePort, list[Candidate]]:
    """Select the endpoints of each port under a traffic policy of Cluster or Local (rule C8)."""
    return {
        port: _choose(offered, node, zone, local_only=local_only)[1]
        for port, offered in candidates.items()
        if offered
    }


class Facts(NamedTuple):
    """How many candidates of one port are what rules C2 to C6 ask about, seen from one node; facts
    about disjoint parts add up."""

    offered: int = 0
    ready: int = 0
    ready_here: int = 0
    with_node: int = 0
    for_node: int = 0
    with_zone: int = 0
    for_zone: int = 0


def facts_of(offered: Iterable[Candidate], node: str, zone: str) -> Facts:
    """Count the facts about these candidates."""
    ends = [candidate.endpoint for candidate in offered]
    ready = [end for end in ends if end.ready]
    return Facts(
        len(ends),
        len(ready),
        sum(end.node == node for end in ready),
        sum(bool(end.node_hints) for end in ready),
        sum(node in end.node_hints for end in ready),
        sum(bool(end.zone_hints) for end in ready),
        sum(zone in end.zone_hints for end in ready),
    )


def rule_of(facts: Facts, *, local_only: bool) -> str:
    """Choose the rule that decides, by facts about all candidates of a port (C2, C4, C5, C6).

    A node without a zone is in the zone "", as in ``topologyModeFromHints`` of kube-proxy.
    """
    if local_only:
        return "C6" if facts.ready_here else "C6 without ready ones"
    if not facts.ready:
        return "C5"
    if facts.with_node == facts.ready and facts.for_node:
        return "C2a"
    return "C2b" if facts.with_zone == facts.ready and facts.for_zone else "C4"


def chosen_by(rule: str, offered: Iterable[Candidate], node: str, zone: str) -> list[Candidate]:
    """Select candidates by a rule, each by its own conditions only.

    What terminates without serving is never a last resort (C10).
    """
    return [candidate for candidate in offered if _SELECTS[rule](candidate.endpoint, node, zone)]


def _is_last_resort(end: Endpoint) -> bool:
    return end.serving and end.terminating


_SELECTS: dict[str, Callable[[Endpoint, str, str], bool]] = {
    "C2a": lambda end, node, _: end.ready and node in end.node_hints,
    "C2b": lambda end, _, zone: end.ready and zone in end.zone_hints,
    "C4": lambda end, _, __: end.ready,
    "C5": lambda end, _, __: _is_last_resort(end),
    "C6": lambda end, node, _: end.node == node and end.ready,
    "C6 without ready ones": lambda end, node, _: end.node == node and _is_last_resort(end),
}


def _choose(
    offered: tuple[Candidate, ...], node: str, zone: str, *, local_only: bool
) -> tuple[str, list[Candidate]]:
    """The rule that decides, and the candidates that it selects."""
    rule = rule_of(facts_of(offered, node, zone), local_only=local_only)
    return rule, chosen_by(rule, offered, node, zone)


def judge(
    offered: tuple[Candidate, ...], node: str, zone: str, *, local_only: bool
) -> tuple[Verdict, ...]:
    """Return what ``select`` decides about each candidate of one port, in order, and why."""
    rule, chosen = _choose(offered, node, zone, local_only=local_only)
    rule = rule.partition(" ")[0]
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
    """ "" if there are none; else the first thing that rules C2a and C2b lack in each kind."""
    lacking = []
    for name, place in (("node", node), ("zone", zone)):
        hints = [c.endpoint.node_hints if name == "node" else c.endpoint.zone_hints for c in ready]
        if not any(hints):
            continue
        if not all(hints):
            lacking.append(f"{hints.count(())} of {len(hints)} have no {name} hint")
        elif not place:
            lacking.append(f"this node has no {name}, and none has an empty hint")
        else:
            lacking.append(f"none has a hint for {name} {place}")
    return " and ".join(lacking)


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


def anywhere(offered: Collection[Candidate]) -> list[Candidate]:
    """Return the candidates among which hints choose: the ready ones, else the last resort."""
    return chosen_by("C4", offered, "", "") or chosen_by("C5", offered, "", "")
