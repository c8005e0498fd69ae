"""The way from this node to the endpoints of one service that one traffic policy selects.

Rule: it is kept part by part (``offers``), so a change costs the part that changed. A new topology,
or another rule of selection for a port, renders all of it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass, field

from srv6kv.cluster.topology import HostEndpoint, PodEndpoint, Topology
from srv6kv.kube.model import Endpoint, ServicePort
from srv6kv.net import sids
from srv6kv.net.addresses import is_ipv4
from srv6kv.notes import Reason
from srv6kv.render.lists import Lists, Path, size_of
from srv6kv.render.offers import Offers, Part
from srv6kv.render.selection import chosen_by, rule_of
from srv6kv.render.service import IsUp, Reach, path_to
from srv6kv.settings import Settings

Rules = Mapping[ServicePort, str]


@dataclass(slots=True)
class _Stretch:
    """The contribution of one part to the way.

    Attributes:
        paths: to remote endpoints, with the number of endpoints.
        local: endpoints of this node, whose state is asked for each time.
        hosts: the nodes whose hosts are among the remote endpoints.
        unsure: the last SIDs of those that are left out because their node cannot be read.
        chosen: the addresses that each port has; empty sets are left out.
    """

    part: Part
    paths: Counter[Path] = field(default_factory=Counter)
    local: list[Endpoint] = field(default_factory=list)
    problems: dict[str, Reason] = field(default_factory=dict)
    hosts: Counter[str] = field(default_factory=Counter)
    unsure: Counter[str] = field(default_factory=Counter)
    chosen: dict[ServicePort, frozenset[str]] = field(default_factory=dict)

    def has_other_ends(self, served: frozenset[ServicePort]) -> bool:
        """Whether these ports do not have the same endpoints here."""
        return len({self.chosen.get(port, frozenset()) for port in served}) > 1


class Way:
    """Keeps the way to the endpoints of one service, family and traffic policy."""

    def __init__(self, settings: Settings, *, local_only: bool) -> None:
        self.found = 0
        self._settings = settings
        self._local_only = local_only
        self._topology: Topology | None = None
        self._rules: Rules = {}
        self._clear()

    def _clear(self) -> None:
        self._stretches: dict[str, _Stretch] = {}
        self._paths: Counter[Path] = Counter()
        self._size = 0
        self._problems: dict[Reason, dict[str, None]] = {}
        self._hosts: Counter[str] = Counter()
        self._unsure: Counter[str] = Counter()
        self._served: Counter[ServicePort] = Counter()
        self._lists: Lists | None = None
        self._ups: list[Path] = []

    def update(self, offers: Offers, topology: Topology) -> None:
        """Apply what the slices offer now."""
        rules = {
            port: rule_of(facts, local_only=self._local_only)
            for port, facts in offers.facts.items()
            if facts.offered
        }
        if topology is not self._topology or rules != self._rules:
            self._topology, self._rules = topology, rules
            self._clear()
        for name, one in list(self._stretches.items()):
            if offers.parts.get(name) is not one.part:
                self._count(self._stretches.pop(name), -1)
        for name, part in offers.parts.items():
            if name not in self._stretches:
                stretch = self._stretch(part, topology, offers.zone)
                self._stretches[name] = stretch
                self._count(stretch, 1)

    def _stretch(self, part: Part, topology: Topology, zone: str) -> _Stretch:
        stretch = _Stretch(part)
        endpoints: dict[str, Endpoint] = {}
        for port, rule in self._rules.items():
            chosen = chosen_by(rule, part.offered.get(port, ()), topology.own_name, zone)
            endpoints |= {candidate.address: candidate.endpoint for candidate in chosen}
            if chosen:
                stretch.chosen[port] = frozenset(candidate.address for candidate in chosen)
        self.found += len(endpoints)
        for address, endpoint in endpoints.items():
            if is_local(endpoint, topology, self._settings):
                stretch.local.append(endpoint)
                continue
            found = path_to(endpoint, topology, self._settings, lambda _: False)
            if isinstance(found, Reason):
                stretch.problems[address] = found
                if topology.is_unread(endpoint.node):
                    stretch.unsure[last_sid(endpoint, self._settings)] += 1
                continue
            stretch.paths[found.path] += 1
            if found.host is not None:
                stretch.hosts[found.host] += 1
        return stretch

    def _count(self, stretch: _Stretch, sign: int) -> None:
        """Add or take away what a part adds to the way."""
        for path, number in stretch.paths.items():
            before = self._paths[path]
            self._paths[path] += sign * number
            if not self._paths[path]:
                del self._paths[path]
                self._size -= size_of(path)
            elif not before:
                self._size += size_of(path)
            self._lists = None
        for address, reason in stretch.problems.items():
            if sign > 0:
                self._problems.setdefault(reason, {})[address] = None
            else:
                del self._problems[reason][address]
        for mine, theirs in ((self._hosts, stretch.hosts), (self._unsure, stretch.unsure)):
            for one, number in theirs.items():
                mine[one] += sign * number
        for port in stretch.chosen:
            self._served[port] += sign

    def reach(self, ports: tuple[ServicePort, ...], is_up: IsUp, unread: Container[str]) -> Reach:
        """The way as it is now.

        Args:
            unread: local pods that cannot be read.
        """
        assert self._topology is not None
        problems = {reason: list(found) for reason, found in self._problems.items() if found}
        hosts, unsure = set(+self._hosts), set(+self._unsure)
        ups: list[Path] = []
        for endpoint in (one for stretch in self._stretches.values() for one in stretch.local):
            found = path_to(endpoint, self._topology, self._settings, is_up)
            if isinstance(found, Reason):
                problems.setdefault(found, []).append(endpoint.address)
                if endpoint.address in unread:
                    unsure.add(last_sid(endpoint, self._settings))
                continue
            ups.append(found.path)
            if found.host is not None:
                hosts.add(found.host)
        served = frozenset(port for port, number in self._served.items() if number)
        return Reach(
            self._lists_with(ups),
            problems,
            frozenset(hosts),
            any(one.has_other_ends(served) for one in self._stretches.values()),
            tuple(port for port in ports if served and port not in served),
            frozenset(unsure),
        )

    def _lists_with(self, ups: list[Path]) -> Lists:
        """All lists; the same as before if nothing has changed."""
        ups.sort()
        if self._lists is None or ups != self._ups:
            paths, size = dict(self._paths), self._size
            for path in ups:
                if path not in paths:
                    size += size_of(path)
                paths[path] = paths.get(path, 0) + 1
            ends = tuple(sorted({path[0] for path in ups if len(path) == 1}))
            self._lists, self._ups = Lists(paths, size, ends), ups
        return self._lists


def is_local(endpoint: Endpoint, topology: Topology, settings: Settings) -> bool:
    """Whether an endpoint is on this node."""
    match topology.locate(endpoint, settings.pod_subnet):
        case HostEndpoint(peer):
            return peer.name == topology.own_name
        case PodEndpoint(name, _):
            return name == topology.own_name
        case _:
            return False


def last_sid(endpoint: Endpoint, settings: Settings) -> str:
    """Where the way to an endpoint ends, whatever its node is: at a pod, else at a host."""
    if endpoint.address in settings.pod_subnet:
        return sids.sid_of(settings.sid.pod, endpoint.address)
    return sids.host_sid(settings.sid.host, ipv4=is_ipv4(endpoint.address))
