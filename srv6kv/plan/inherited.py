"""What etcd holds from before this process and what cannot be read may define: it stays.

Rule: pure. A gap holds back only keys that it could define (``gaps``): a service and its slices the
steerings with its name, their policies, and the local pods that these lead to; a node what leads to
a node that is not known; a pod what has one of its addresses. Names in etcd may be ambiguous
(``a-b``/``c`` and ``a``/``b-c`` share one): these are held for either. What this process
has desired itself is never held: it goes with its cause.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Container, Hashable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from operator import or_
from typing import NamedTuple

from srv6kv.cluster.attachment import sandbox_of
from srv6kv.cluster.cluster import Cluster
from srv6kv.cluster.topology import Topology, address_of
from srv6kv.kube.gaps import NODE, POD, SERVICE
from srv6kv.kube.model import Gap, Node, Ref
from srv6kv.ligato import keys
from srv6kv.ligato.chains import JUMPS, ChainName
from srv6kv.ligato.values import CrossConnect, LocalSid, Policy, Route, RuleChain
from srv6kv.net import sids
from srv6kv.net.addresses import Prefix, is_canonical, is_ipv4
from srv6kv.net.targets import Target
from srv6kv.plan.actual import Actual, read
from srv6kv.render.desired import Delta, Desired, Steered
from srv6kv.render.lists import Lists, Path, paths_in
from srv6kv.settings import Settings

_SERVICE_ADDRESS = re.compile(r"-d ([0-9a-f:.]+)/")
_POD_ADDRESS = re.compile(
    r"--to-destination (?:\[([0-9a-f:.]+)\]:\d+|([0-9.]+):\d+|([0-9a-f:.]+))\Z"
)


class _Reached(NamedTuple):
    """The reach of the gaps: addresses of services, and of local endpoints addresses, SIDs and the
    sandboxes that name their rule chains."""

    services: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    sids: frozenset[str] = frozenset()
    sandboxes: frozenset[str] = frozenset()

    def __or__(self, other: _Reached) -> _Reached:
        return _Reached(*map(or_, self, other))


@dataclass(frozen=True, slots=True)
class _Index:
    """The gaps by what they cover, however many there are.

    Attributes:
        is_open: one of them may be anything.
        namespaces: those of which any service may be meant; "": any at all.
        names: what of a steering's name follows from a service.
        beginnings: what it begins with for those of a namespace.
    """

    is_open: bool
    services: frozenset[Ref]
    namespaces: frozenset[str]
    names: frozenset[str]
    beginnings: tuple[str, ...]
    nodes: tuple[Gap, ...]
    pods: tuple[Gap, ...]


def _index_of(gaps: Collection[Gap]) -> _Index:
    of = {kind: [gap for gap in gaps if gap.kind == kind] for kind in (SERVICE, NODE, POD)}
    services = {Ref(gap.namespace, gap.name) for gap in of[SERVICE] if gap.name}
    spaces = {gap.namespace for gap in of[SERVICE] if not gap.name}
    return _Index(
        any(not gap.kind for gap in gaps),
        frozenset(services),
        frozenset(spaces),
        frozenset(f"{ref.namespace}-{ref.name}" for ref in services),
        tuple(f"{space}-" if space else "" for space in sorted(spaces)),
        tuple(of[NODE]),
        tuple(of[POD]),
    )


@dataclass(slots=True)
class Inherited:
    """Decides what stays although nothing that can be read asks for it.

    Attributes:
        cluster: its slices name the pod behind an address.
        waiting: local pods whose attachment the agent may not have reported yet.
        desired: all keys that this process has desired so far.
        kept: the keys that stay now.
    """

    settings: Settings
    node: str
    cluster: Cluster
    actual: Actual
    owns: Callable[[str], bool]
    topology: Topology
    gaps: frozenset[Gap] = frozenset()
    waiting: frozenset[str] = frozenset()
    desired: set[str] = field(default_factory=set)
    kept: Container[str] = ()
    _ips: tuple[str | None, ...] = ()
    _parts: tuple[frozenset[Gap], ...] = ()
    _index: _Index = field(default_factory=lambda: _index_of(()))
    _desired_before: dict[str, set[Hashable]] = field(default_factory=dict)
    _reached: _Reached | None = None
    _reached_before: _Reached = field(default_factory=_Reached)

    @property
    def unread_nodes(self) -> frozenset[str]:
        """The names of the nodes that cannot be read; "" among them: it may be any."""
        names = {gap.name for gap in self._index.nodes}
        return frozenset(names | ({""} if self._index.is_open else set()))

    @property
    def unread_pods(self) -> frozenset[Ref]:
        """The names of the pods that cannot be read."""
        return frozenset(Ref(gap.namespace, gap.name) for gap in self._index.pods)

    def reset(self, actual: Actual) -> None:
        """Begin again with what etcd holds; what the same gaps could define, they still could."""
        self.actual = actual
        self._reached_before, self._reached = self._reached or self._reached_before, None

    def update_topology(self, topology: Topology) -> bool:
        """Replace the nodes that can be read; whether what leads to others may be another's now."""
        ips = tuple(self._ip_of(gap) for gap in self._index.nodes)
        is_news = (topology, ips) != (self.topology, self._ips)
        self.topology, self._ips = topology, ips
        return is_news

    def update_waiting(self, pods: frozenset[str]) -> bool:
        """Replace the pods that wait for the agent; whether that is news."""
        is_news = pods != self.waiting
        if is_news:
            self.waiting, self._reached, self._reached_before = pods, None, _Reached()
        return is_news

    def update_gaps(self, parts: tuple[frozenset[Gap], ...]) -> frozenset[Gap]:
        """Replace what cannot be read; return what of it has come or gone."""
        if parts == self._parts:  # most often the very same sets
            return frozenset()
        self._parts, gaps = parts, frozenset[Gap]().union(*parts)
        changed = gaps ^ self.gaps
        if changed:
            self.gaps, self._index = gaps, _index_of(gaps)
            self._reached, self._reached_before = None, _Reached()
        return changed

    def concerned(self, changed: Collection[Gap], desired: Desired) -> Delta:
        """Find what may stay or go because these gaps have come or gone."""
        index = _index_of(changed)
        steered = desired.steered.items()
        targets = {target for target, entry in steered if _covers(index, entry.service)}
        chains = {key for key in self._desired_before if key.startswith(keys.RULE_CHAIN)}
        if not self.gaps:
            self._desired_before = {}
        return Delta(chains, targets)

    def may_go(self, key: str, leaving: Container[str] = ()) -> bool:
        """Whether a key (short form) that nothing asks for may be deleted.

        Args:
            leaving: steerings that leave their policies.
        """
        if key in self.desired or not (self.gaps or self.waiting):
            return True
        if self._index.is_open:
            return False
        if key.startswith(keys.STEERING):
            return not self._is_steering_held(key)
        if key.startswith(keys.POLICY):
            users = filter(self.owns, self.actual.users.get(key.removeprefix(keys.POLICY), ()))
            staying = (user for user in users if user not in leaving)
            return not any(map(self._is_steering_held, staying))
        if key.startswith(keys.LOCALSID):
            return not self._is_localsid_held(key)
        if key.startswith(keys.ROUTE):
            return not self._is_route_held(key)
        if key.startswith(keys.RULE_CHAIN):
            return not self._is_chain_held(key)
        if key.startswith(keys.ARP):
            return key.rpartition("/")[2] not in self._reach().addresses
        return True

    def completed(self, entry: Steered) -> Steered | None:
        """Add the segment lists that stay to an entry; None: it has none at all."""
        is_covered = _covers(self._index, entry.service)
        there = self._lists_at(entry.target) if is_covered or entry.unsure else None
        kept = {}
        if there and is_covered:
            key, lists = there
            left = self._left(key, lists, entry.lists.paths)
            kept = {path: weight for path, weight in lists.items() if path in left}
        if there and entry.unsure:
            known = {peer.sid for peer in self.topology.peers.values()}
            kept |= {
                path: weight
                for path, weight in there[1].items()
                if path[-1] in entry.unsure and (len(path) == 1 or path[0] not in known)
            }
        if not kept:
            return entry if entry.lists else None
        discard = (sids.discard_sid(self.settings.sid.node),)
        own = {path: weight for path, weight in entry.lists.paths.items() if path != discard}
        return replace(entry, lists=Lists.of(kept | own))

    def _lists_at(self, target: Target) -> tuple[str, dict[Path, int]] | None:
        """Find the policy of a target in etcd and its lists, with their weights."""
        for key in sorted(filter(self.owns, self.actual.steerings.get(target, ()))):
            policy = keys.policy(self.actual.facts[key].bsid)
            found = self._value(policy)
            if isinstance(found, Policy):
                return policy, paths_in(found.segment_lists)
        return None

    def completed_rules(self, builtin: ChainName, rules: tuple[str, ...]) -> tuple[str, ...]:
        """Add the rules that stay to those of a built-in chain, in whichever chain they are."""
        names = (builtin, *builtin.copies) if self.gaps else ()
        there = {rule for name in names for rule in self._rules(name.key)}.difference(JUMPS)
        if there <= set(rules):
            return rules
        left = self._left(builtin.key, there, rules)
        kept = {rule for rule in there if rule in left and self._is_rule_held(rule)}
        return tuple(sorted({*rules, *kept})) if kept else rules

    def _is_rule_held(self, rule: str) -> bool:
        found = _SERVICE_ADDRESS.match(rule)
        return found is not None and found[1] in self._reach().services

    def _left(self, key: str, there: Iterable[Hashable], now: Iterable[Hashable]) -> set[Hashable]:
        """Find what of a value in etcd this process has never desired."""
        if key not in self._desired_before:
            self._desired_before[key] = set(there) if key in self.desired else set()
        self._desired_before[key].update(now)
        return set(there) - self._desired_before[key]

    def _is_steering_held(self, key: str) -> bool:
        if key.startswith(keys.STEERING + keys.TUNNEL_STEERING):
            return self._is_tunnel_held(key)
        plain = key.removeprefix(keys.STEERING + keys.SERVICE_STEERING).partition("_")[0]
        index = self._index
        return index.is_open or plain in index.names or plain.startswith(index.beginnings)

    def _reach(self) -> _Reached:
        """Made when the first key asks for it: it looks at all that etcd holds."""
        if self._reached is None:
            self._reached = self._reached_before | self._reached_now()
        return self._reached

    def _reached_now(self) -> _Reached:
        services, addresses, reached = set(), {*self.waiting, *self._pods()}, set()
        for key, facts in self.actual.facts.items():
            if self.owns(key) and self._is_steering_held(key):
                services |= {facts.target[1]} if facts.target else set()
                reached |= {path[0] for path in self._paths(facts.bsid) if len(path) == 1}
        behind: dict[str, set[str]] = {}
        for key in self.actual.entries:
            name = ChainName.of(key) if self.owns(key) else None
            if name is not None:
                pods = set(self._translations(key))
                behind.setdefault(name.sandbox, set()).update(pod for _, pod in pods)
                addresses |= {pod for one, pod in pods if one in services}
        addresses |= {self.cluster.held[sid] for sid in reached & self.cluster.held.keys()}
        prefix = self.settings.sid.pod
        reached |= {
            sids.sid_of(prefix, one) for one in addresses if is_ipv4(one) or is_canonical(one)
        }
        names = {name for name, pods in behind.items() if pods & addresses}
        hops = [self._hop_of(keys.localsid(sid)) for sid in reached]
        names |= {sandbox_of(hop.outgoing_interface) for hop in hops if hop is not None}
        return _Reached(*map(frozenset, (services, addresses, reached, names)))

    def _pods(self) -> Iterator[str]:
        """The addresses of pods that cannot be read, from hints and slices."""
        for gap in self._index.pods:
            yield from gap.hints
        if self._index.pods:
            for item in self.cluster.endpoints():
                if item.pod and any(gap.covers(POD, *item.pod) for gap in self._index.pods):
                    yield item.address

    def _translations(self, key: str) -> Iterator[tuple[str, str]]:
        """The service address and the pod of each rule of a chain that has both."""
        for rule in self._rules(key):
            service, pod = _SERVICE_ADDRESS.match(rule), _POD_ADDRESS.search(rule)
            if service and pod:
                yield service[1], pod[pod.lastindex or 0]

    def _rules(self, key: str) -> tuple[str, ...]:
        chain = self._value(key)
        return chain.rules if isinstance(chain, RuleChain) else ()

    def _paths(self, bsid: str) -> list[tuple[str, ...]]:
        policy = self._value(keys.policy(bsid))
        return [one.segments for one in policy.segment_lists] if isinstance(policy, Policy) else []

    def _value(self, key: str) -> object:
        return read(key, self.actual.value_of(key))

    def _hop_of(self, localsid: str) -> CrossConnect | None:
        value = self._value(localsid)
        return value.cross_connect if isinstance(value, LocalSid) else None

    def _is_localsid_held(self, key: str) -> bool:
        if key.removeprefix(keys.LOCALSID) in self._reach().sids:
            return True
        hop = self._hop_of(key)
        if hop is None or hop.outgoing_interface == keys.HOST_INTERCONNECT:
            return self._is_own_node_unread
        return hop.next_hop in self._reach().addresses

    def _is_chain_held(self, key: str) -> bool:
        name = ChainName.of(key)
        is_reached = name is not None and name.sandbox in self._reach().sandboxes
        return is_reached or any(map(self._is_rule_held, self._rules(key)))

    @property
    def _is_own_node_unread(self) -> bool:
        return any(gap.covers(NODE, "", self.node) for gap in self._index.nodes)

    def _is_route_held(self, key: str) -> bool:
        route = self._value(key)
        if not isinstance(route, Route):
            return False
        if route.type == "INTER_VRF":
            address, _, length = route.dst_network.partition("/")
            if length == "128":
                return address in self._reach().sids
            return self._is_own_node_unread
        return not route.type and self._is_unread_node(lambda ip: ip == route.next_hop_addr)

    def _is_tunnel_held(self, key: str) -> bool:
        facts = self.actual.facts.get(key)
        ends = {path[-1] for path in self._paths(facts.bsid)} if facts is not None else set()
        prefixes = (self.settings.sid.tunnel_pod, self.settings.sid.tunnel_host)
        return self._is_unread_node(
            lambda ip: any(sids.sid_of(prefix, ip) in ends for prefix in prefixes)
        )

    def _is_unread_node(self, is_there: Callable[[str], bool]) -> bool:
        """Whether something leads to a node that cannot be read: to its address if that can be
        read, else to none that is known."""
        ips = [self._ip_of(gap) for gap in self._index.nodes]
        if any(ip is not None and is_there(ip) for ip in ips):
            return True
        known = (peer.ip for peer in self.topology.peers.values() if peer.ip is not None)
        return None in ips and not any(map(is_there, known))

    def _ip_of(self, gap: Gap) -> str | None:
        """The address of a node that cannot be read, by what can."""
        cidrs = tuple(text for text in gap.hints if "/" in text and _is_prefix(text))
        node_ip = next((text for text in gap.hints if is_canonical(text)), "")
        record = self.cluster.records.by_name().get(gap.name)
        return address_of(Node(gap.name, cidrs, node_ip=node_ip), record, self.settings)


def _covers(index: _Index, ref: Ref) -> bool:
    """Whether what cannot be read may be a part of a service."""
    is_any = index.is_open or "" in index.namespaces
    return is_any or ref.namespace in index.namespaces or ref in index.services


def _is_prefix(text: str) -> bool:
    with suppress(ValueError):
        return bool(Prefix.parse_any(text))
    return False
