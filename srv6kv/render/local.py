"""The local endpoints of all services together: which of them packets can reach, and by what.

A pod has one localsid and one route, however many services list it, and one pair of rule chains
for each sandbox. SIDs are unique on a node: of two endpoints that want one, the localsid in etcd
decides, else the host comes before pods and the lower address before the higher.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain

from srv6kv.cluster.attachment import Unwired, Wired
from srv6kv.cluster.cluster import Cluster
from srv6kv.cluster.topology import Topology, host_end_of
from srv6kv.kube.model import Pod, Ref
from srv6kv.ligato import keys
from srv6kv.ligato.validity import fault_of
from srv6kv.ligato.values import AgentValue, Namespace, RuleChain
from srv6kv.net import sids
from srv6kv.net.addresses import to_int
from srv6kv.notes import Kind, Note, Reason, Subject
from srv6kv.render import endpoint
from srv6kv.render.claims import Claims
from srv6kv.render.endpoint import Translation
from srv6kv.render.fitting import Excess, left_out
from srv6kv.render.parts import Parts
from srv6kv.render.service import HOST_IPV4, HOSTS, Receivers
from srv6kv.settings import Settings
from srv6kv.txn import limits

_KEY_BYTES = 1 << 12
"""More than a chain's key has beside its short form."""
_OTHER_FAMILY = "vppHostSubnetCIDR is of the other family; no localsid for these endpoints"
_HOST_WIRING = Wired(keys.HOST_INTERCONNECT, Namespace())


class LocalEndpoints:
    """Local pods, by address, and the host, by ``HOSTS``, while some service lists them.

    Attributes:
        waiting: the endpoints whose Pod is not known with their address, and its name.
        unread: the endpoints that packets do not reach and whose Pod cannot be read.
        believed: the endpoints whose wiring the agent may still tell, and whose localsid is in
            etcd: it stays there, so packets reach them.
        most_bytes: of one transaction, and so of a rule chain.
    """

    def __init__(self, parts: Parts, settings: Settings) -> None:
        self._parts = parts
        self._settings = settings
        self._receivers: dict[Ref, Receivers] = {}
        self._answering: dict[str, dict[Ref, tuple[Translation, ...]]] = {}
        self._wiring: dict[str, Wired | Note] = {}
        self._unwired: set[str] = set()
        self._sids = Claims[str]()
        self._sandboxes = Claims[str]()
        self._up: dict[str, Wired] = {}
        self.waiting: dict[str, Ref] = {}
        self.believed: set[str] = set()
        self.unread: set[str] = set()
        self.most_bytes = limits.PLAN_BYTES
        self._behind: dict[str, set[str]] = {}
        self._left_out: dict[str, dict[Ref, Excess]] = {}

    def is_up(self, address: str, ref: Ref | None = None) -> bool:
        """Whether packets reach a local endpoint, and those of a service have an answer there."""
        if address in self._up:
            return ref is None or ref not in self._left_out.get(self._up[address].sandbox, ())
        return address in self.believed

    def listed(self, addresses: Iterable[str]) -> set[str]:
        """Those of the addresses that a service lists."""
        return self._answering.keys() & addresses

    def unwired(self) -> frozenset[str]:
        """The local endpoints whose wiring is not known."""
        return frozenset(self._unwired)

    def all_listed(self) -> set[str]:
        """Every local endpoint."""
        return set(self._answering)

    def list_for(self, ref: Ref, new: Receivers) -> set[str]:
        """Let these be the local endpoints of a service; those that came, went or changed."""
        old = self._receivers.pop(ref, Receivers())
        if new.pods:
            self._receivers[ref] = new
        touched = {
            address
            for address in old.pods.keys() | new.pods.keys()
            if old.pods.get(address) != new.pods.get(address)
        }
        for address in touched:
            listed = self._answering.setdefault(address, {})
            listed.pop(ref, None)
            if address in new.pods:
                listed[ref] = new.pods[address]
        return touched

    def settle(self, touched: set[str], cluster: Cluster, topology: Topology) -> set[Ref]:
        """Make the objects of touched endpoints; the services whose reach has changed."""
        affected = set(touched)
        for address in touched:
            affected |= self._claim(address, cluster, topology)
        refs: set[Ref] = set()
        sandboxes: set[str] = set()
        for address in sorted(affected):
            before, was = self._up.get(address), (self.is_up(address), address in self.unread)
            after = self._raise(address, cluster, topology)
            self._mark_unread(address, cluster)
            if was != (self.is_up(address), address in self.unread):
                refs |= self._answering.get(address, {}).keys()
            sandboxes |= self._move(address, before, after)
        for sandbox in sorted(sandboxes):
            refs |= self._make_chains(sandbox)
        return refs

    def _claim(self, address: str, cluster: Cluster, topology: Topology) -> set[str]:
        """Note what an endpoint wants if packets could reach it; the others concerned by that."""
        self._wiring.pop(address, None)
        self._unwired.discard(address)
        sid = sandbox = None
        if self._answering.get(address):
            wired = self._wiring_of(address, cluster, topology)
            self._wiring[address] = wired
            if isinstance(wired, Note) and wired.reason is Reason.POD_ATTACHMENT_UNKNOWN:
                self._unwired.add(address)
            if isinstance(wired, Wired):
                sid = self._sid_of(address)
                sandbox = wired.sandbox if address not in HOSTS else None
        else:
            self._answering.pop(address, None)
        others = self._sids.claim(address, *([sid] if sid is not None else []))
        return others | self._sandboxes.claim(address, *([sandbox] if sandbox is not None else []))

    def _sid_of(self, address: str) -> str:
        prefixes = self._settings.sid
        if address in HOSTS:
            return sids.host_sid(prefixes.host, ipv4=address == HOST_IPV4)
        return sids.sid_of(prefixes.pod, address)

    def _raise(self, address: str, cluster: Cluster, topology: Topology) -> Wired | None:
        """Make or remove localsid and route of an endpoint; its wiring if packets reach it."""
        self._up.pop(address, None)
        self.waiting.pop(address, None)
        self.believed.discard(address)
        part = ("endpoint", address)
        found = self._wiring.get(address)
        if isinstance(found, Wired):
            found = self._collision(address, found, cluster, topology) or found
        if not isinstance(found, Wired):
            self._parts.remark(part, *([found] if found else []))
            self._parts.replace(part, ())
            self._parts.share(part, ())
            if (
                found
                and found.reason is Reason.POD_ATTACHMENT_UNKNOWN
                and self._is_believed(address, cluster)
            ):
                self.believed.add(address)
            return None
        self._parts.replace(part, self._objects(address, found, topology))
        self._parts.share(part, endpoint.neighbour(address, found))
        reason = self._why_left_alone(address, cluster, topology)
        self._parts.remark(part, *([reason] if reason else []))
        if reason:
            return None
        self._up[address] = found
        return found

    def _mark_unread(self, address: str, cluster: Cluster) -> None:
        self.unread.discard(address)
        is_down = address not in self._up and address in self._answering
        if cluster.unread_pods and is_down:
            self.unread |= {
                address for ref in self._named(address, cluster) if ref in cluster.unread_pods
            }

    def _named(self, address: str, cluster: Cluster) -> Iterator[Ref]:
        """The pods that slices name for an address."""
        slices = chain.from_iterable(map(cluster.slices_of, self._answering[address]))
        items = chain.from_iterable(item.endpoints for item in slices)
        return (item.pod for item in items if item.address == address and item.pod)

    def _is_believed(self, address: str, cluster: Cluster) -> bool:
        is_held = cluster.held.get(self._sid_of(address)) == address
        return is_held and not cluster.told.is_complete

    def _why_left_alone(self, address: str, cluster: Cluster, topology: Topology) -> Note | None:
        """Why a pod answers for no service: its rule chains are a mesh's, or may be.

        It has its localsid all the same: other nodes may send to it, and a refusal by the mesh's
        proxy is better than packets that get lost (docs/limits.md).
        """
        named = partial(self._named, address, cluster)
        pod = cluster.pods.intercepted(address, topology.own_name, named)
        if pod is not None:
            return _left_alone(address, pod)
        if cluster.knows_pods and address not in cluster.pods:
            late = (ref for ref in named() if address not in cluster.absent.get(ref, ()))
            unknown = min(late, default=None)
            if unknown is not None:
                self.waiting[address] = unknown
                return _waits_for(address, unknown)
            pod = cluster.pods.intercepted_by_name(named())
            return _left_alone(address, pod) if pod is not None else None
        return None

    def _objects(self, address: str, wired: Wired, topology: Topology) -> list[AgentValue]:
        own = topology.own
        if address not in HOSTS:
            sid = self._sid_of(address)
            return list(endpoint.pod_objects(address, sid, wired, self._settings))
        assert own is not None
        assert own.id is not None
        return list(endpoint.host_objects(own.id, self._settings))

    def _wiring_of(self, address: str, cluster: Cluster, topology: Topology) -> Wired | Note:
        """How packets get to an endpoint once decapsulated, or why they do not."""
        subject = _subject(address, topology)
        if address in HOSTS:
            if self._settings.host_subnet.is_ipv4 != (address == HOST_IPV4):
                return Note(subject, Reason.HOST_FAMILY_UNSUPPORTED, _OTHER_FAMILY)
            problem = self._host_problem(topology)
            return (
                Note(subject, Reason.HOST_ATTACHMENT_UNKNOWN, problem) if problem else _HOST_WIRING
            )
        wired = cluster.wiring_of(address, topology.own_name)
        if isinstance(wired, Unwired):
            text = f"{wired.missing}; no localsid until it is known"
            return Note(subject, Reason.POD_ATTACHMENT_UNKNOWN, text)
        values: list[AgentValue] = self._objects(address, wired, topology)
        values += [*endpoint.neighbour(address, wired), *endpoint.rule_chains(wired, {})]
        fault = next(filter(None, map(fault_of, values)), None)
        return Note(subject, Reason.INVALID_VALUE, f"{fault}; no localsid") if fault else wired

    def _host_problem(self, topology: Topology) -> str | None:
        own = topology.own
        if own is None or own.id is None:
            return "spec.podCIDR: the node's id is not known; no localsid for its host"
        try:
            host_end_of(own.id, self._settings)
        except ValueError as error:
            return f"spec.podCIDR: {error}; no localsid for its host"
        return None

    def _collision(
        self, address: str, wired: Wired, cluster: Cluster, topology: Topology
    ) -> Note | None:
        """What keeps an endpoint from its SID or its rule chains: somebody else has them."""
        subject, sid = _subject(address, topology), self._sid_of(address)
        owner = self._owner_of(sid, address, cluster, topology)
        if owner is not None:
            return Note(
                subject, Reason.SID_COLLISION, f"SID {sid} is taken by {owner}; no localsid"
            )
        if address in HOSTS:
            return None
        first = self._first(self._sandboxes.of(wired.sandbox), cluster, topology)
        other = self._wiring[first]
        if isinstance(other, Wired) and other.interface != wired.interface:
            text = f"interface {wired.interface} would share its rule chains with {other.interface}"
            return Note(subject, Reason.SANDBOX_COLLISION, f"{text}; no localsid")
        return None

    def _owner_of(self, sid: str, address: str, cluster: Cluster, topology: Topology) -> str | None:
        """Who else has this SID."""
        if sid in topology.taken:
            return topology.taken[sid]
        first = self._first(self._sids.of(sid), cluster, topology)
        if first == address:
            return None
        return f"Endpoint {first}" if first not in HOSTS else "the host of this node"

    def _first(self, wanting: set[str], cluster: Cluster, topology: Topology) -> str:
        """Of several endpoints the one whose localsid is in etcd; else host, lower address."""
        if len(wanting) == 1:
            return next(iter(wanting))

        def order(address: str) -> tuple[bool, int]:
            held = cluster.held.get(self._sid_of(address))
            if address not in HOSTS:
                return (held != address, to_int(address))
            own = topology.own
            end = host_end_of(own.id, self._settings) if own and own.id is not None else None
            return (held != end, -1)

        return min(wanting, key=order)

    def _move(self, address: str, before: Wired | None, after: Wired | None) -> set[str]:
        """Keep track of who is behind which sandbox; the sandboxes concerned."""
        sandboxes = set()
        if address not in HOSTS and before is not None:
            self._behind[before.sandbox].discard(address)
            sandboxes.add(before.sandbox)
        if address not in HOSTS and after is not None:
            self._behind.setdefault(after.sandbox, set()).add(address)
            sandboxes.add(after.sandbox)
        return sandboxes

    def _make_chains(self, sandbox: str) -> set[Ref]:
        """Make the rule chains of a sandbox; the services whose reach has changed by that."""
        before = self._left_out.pop(sandbox, {})
        pods = sorted(self._behind[sandbox])
        if not pods:
            del self._behind[sandbox]
        answering = {pod: self._answering[pod] for pod in pods}
        excess = (
            left_out(self._up[pods[0]], answering, self.most_bytes - _KEY_BYTES) if pods else {}
        )
        if excess:
            self._left_out[sandbox] = excess
        self._parts.replace(("sandbox", sandbox), self._chains(answering, excess))
        notes = (_does_not_fit(ref, answering, found) for ref, found in excess.items())
        self._parts.remark(("sandbox", sandbox), *sorted(notes))
        return before.keys() ^ excess.keys()

    def _chains(
        self, answering: Mapping[str, Mapping[Ref, tuple[Translation, ...]]], excess: Container[Ref]
    ) -> Iterable[RuleChain]:
        if not answering:
            return ()
        items = {
            pod: [item for ref, items in listed.items() if ref not in excess for item in items]
            for pod, listed in answering.items()
        }
        return endpoint.rule_chains(self._up[next(iter(answering))], items)


def _does_not_fit(ref: Ref, answering: Mapping[str, Container[Ref]], excess: Excess) -> Note:
    pods = ", ".join(pod for pod, listed in answering.items() if ref in listed)
    text = (
        f"spec.ports: its translations take {excess.size} bytes of {excess.key}, which has room for"
        f" {excess.room}: {pods} does not answer for it and is in none of its policies on this"
        " node; other nodes still send to it"
    )
    return Note(Subject(Kind.SERVICE, ref), Reason.INVALID_VALUE, text)


def _left_alone(address: str, pod: Pod) -> Note:
    text = (
        f"Pod {pod.ref}: metadata.annotations[{pod.mesh}]: a mesh intercepts its traffic and owns"
        " its rule chains; it answers for no service"
    )
    return Note(Subject(Kind.ENDPOINT, address), Reason.POD_CHAINS_OWNED_BY_MESH, text)


def _waits_for(address: str, pod: Ref) -> Note:
    text = f"Pod {pod} is not known yet with this address; no rule chains until it is"
    return Note(Subject(Kind.ENDPOINT, address), Reason.POD_UNKNOWN, text)


def _subject(address: str, topology: Topology) -> Subject:
    is_host = address in HOSTS
    return Subject(Kind.NODE, topology.own_name) if is_host else Subject(Kind.ENDPOINT, address)
