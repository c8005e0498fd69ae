"""The local endpoints of all services together: which of them packets can reach, and how.

A pod has one localsid and one route, however many services list it, and one pair of rule chains
for each sandbox. SIDs are unique on a node: of two endpoints that want one, the localsid in etcd
decides, else the host comes before pods and the lower address before the higher.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain

from srv6kv.cluster.attachment import Attachment, Unattached
from srv6kv.cluster.cluster import Cluster
from srv6kv.cluster.index import Claims, Index
from srv6kv.cluster.topology import Topology, host_end_of
from srv6kv.kube.model import Ref
from srv6kv.ligato import keys
from srv6kv.ligato.validity import fault_of
from srv6kv.ligato.values import AgentValue, Namespace, RuleChain
from srv6kv.net import sids
from srv6kv.net.addresses import to_int
from srv6kv.notes import Kind, Note, Reason, Subject
from srv6kv.render import endpoint
from srv6kv.render.endpoint import Translation
from srv6kv.render.fitting import Excess, left_out
from srv6kv.render.parts import Parts
from srv6kv.render.service import Host, LocalEndpoint, Receivers
from srv6kv.settings import Settings
from srv6kv.txn import limits

_KEY_BYTES = 1 << 12
"""More than a chain's key has beside its short form."""
_OTHER_FAMILY = "vppHostSubnetCIDR is of the other family; no localsid for these endpoints"
_HOST_ATTACHMENT = Attachment(keys.HOST_INTERCONNECT, Namespace())


class LocalEndpoints:
    """Local pods and the host, while some service lists them.

    Attributes:
        waiting: the endpoints whose Pod is not known with their address, and its name.
        assumed: the endpoints whose attachment the agent may still report, and whose localsid is in
            etcd: it stays there, so packets reach them.
        most_bytes: of one transaction, and so of a rule chain.
    """

    def __init__(self, parts: Parts, topology: Topology, settings: Settings) -> None:
        self._parts = parts
        self._settings = settings
        self._cluster = Cluster()
        self._topology = topology
        self._receivers: dict[Ref, Receivers] = {}
        self._answering: dict[LocalEndpoint, dict[Ref, tuple[Translation, ...]]] = {}
        self._attachments: dict[LocalEndpoint, Attachment | Note] = {}
        self._sids = Claims[LocalEndpoint]()
        self._sandboxes = Claims[LocalEndpoint]()
        self._up: dict[LocalEndpoint, Attachment] = {}
        self.waiting: dict[str, Ref] = {}
        self.assumed: set[str] = set()
        self.unread: set[str] = set()
        self.unattached: set[str] = set()
        self.most_bytes = limits.PLAN_BYTES
        self._behind = Index[str, str]()
        self._left_out: dict[str, dict[Ref, Excess]] = {}

    def is_up(self, item: LocalEndpoint, ref: Ref | None = None) -> bool:
        """Whether packets reach a local endpoint, and those of a service have an answer there."""
        if item in self._up:
            return ref is None or ref not in self._left_out.get(self._up[item].sandbox, ())
        return item in self.assumed

    def listed(self, addresses: Iterable[str]) -> set[LocalEndpoint]:
        """Those of the addresses that a service lists."""
        return self._answering.keys() & addresses

    def all_listed(self) -> set[LocalEndpoint]:
        """Every local endpoint."""
        return set(self._answering)

    def replace(self, ref: Ref, receivers: Receivers) -> set[LocalEndpoint]:
        """Replace a service's local endpoints; return those added, removed or changed."""
        old, new = self._receivers.pop(ref, {}), receivers
        if new:
            self._receivers[ref] = new
        changed = {item for item in old.keys() | new.keys() if old.get(item) != new.get(item)}
        for item in changed:
            listed = self._answering.setdefault(item, {})
            listed.pop(ref, None)
            if item in new:
                listed[ref] = new[item]
        return changed

    def render(self, changed: set[LocalEndpoint], cluster: Cluster, topology: Topology) -> set[Ref]:
        """Render the objects of changed endpoints; return the services whose endpoints have become
        reachable or unreachable."""
        self._cluster, self._topology = cluster, topology
        affected = changed.union(*map(self._claim, changed))
        refs: set[Ref] = set()
        sandboxes: set[str] = set()
        for item in sorted(affected, key=_order):
            before, was = self._up.get(item), (self.is_up(item), item in self.unread)
            after = self._render(item)
            if not isinstance(item, Host):
                self._mark_unread(item)
                if before is not None:
                    self._behind.discard(before.sandbox, item)
                    sandboxes.add(before.sandbox)
                if after is not None:
                    self._behind.add(after.sandbox, item)
                    sandboxes.add(after.sandbox)
            if was != (self.is_up(item), item in self.unread):
                refs |= self._answering.get(item, {}).keys()
        for sandbox in sorted(sandboxes):
            refs |= self._make_chains(sandbox)
        return refs

    def _claim(self, item: LocalEndpoint) -> set[LocalEndpoint]:
        """Claim the SID and the sandbox that an endpoint needs; return the other endpoints that
        claim or claimed the same."""
        self._attachments.pop(item, None)
        self.unattached -= {item}
        sids_claimed, sandboxes = list[str](), list[str]()
        if self._answering.get(item):
            found = self._attachments[item] = self._attachment_of(item)
            if isinstance(found, Attachment):
                sids_claimed.append(self._sid_of(item))
                sandboxes += [] if isinstance(item, Host) else [found.sandbox]
            elif found.reason is Reason.POD_ATTACHMENT_UNKNOWN and not isinstance(item, Host):
                self.unattached.add(item)
        else:
            self._answering.pop(item, None)
        return self._sids.claim(item, *sids_claimed) | self._sandboxes.claim(item, *sandboxes)

    def _sid_of(self, item: LocalEndpoint) -> str:
        prefixes = self._settings.sid
        if isinstance(item, Host):
            return sids.host_sid(prefixes.host, ipv4=item.family.is_ipv4)
        return sids.sid_of(prefixes.pod, item)

    def _render(self, item: LocalEndpoint) -> Attachment | None:
        """Render localsid and route of an endpoint, or remove them; return its attachment if
        packets reach it."""
        self._up.pop(item, None)
        part = ("endpoint", item)
        found = self._attachments.get(item)
        if isinstance(found, Attachment):
            found = self._collision(item, found) or found
        if not isinstance(item, Host):
            self.waiting.pop(item, None)
            self.assumed.discard(item)
        if not isinstance(found, Attachment):
            self._parts.remark(part, *([found] if found else []))
            self._parts.replace(part, ())
            self._parts.share(part, ())
            is_unknown = found is not None and found.reason is Reason.POD_ATTACHMENT_UNKNOWN
            if is_unknown and not isinstance(item, Host) and self._is_assumed(item):
                self.assumed.add(item)
            return None
        self._parts.replace(part, self._objects(item, found))
        reason = None
        if not isinstance(item, Host):
            self._parts.share(part, endpoint.neighbour(item, found))
            reason = self._why_left_alone(item)
        self._parts.remark(part, *([reason] if reason else []))
        if reason:
            return None
        self._up[item] = found
        return found

    def _mark_unread(self, item: str) -> None:
        self.unread.discard(item)
        unread = self._cluster.unread_pods
        is_down = item not in self._up and item in self._answering
        if unread and is_down and not unread.isdisjoint(self._named(item)):
            self.unread.add(item)

    def _named(self, address: str) -> Iterator[Ref]:
        """The pods that slices name for an address."""
        slices = chain.from_iterable(map(self._cluster.slices_of, self._answering[address]))
        items = chain.from_iterable(item.endpoints for item in slices)
        return (item.pod for item in items if item.address == address and item.pod)

    def _is_assumed(self, address: str) -> bool:
        is_there = self._cluster.held.get(self._sid_of(address)) == address
        return is_there and not self._cluster.reported.is_complete

    def _why_left_alone(self, address: str) -> Note | None:
        """Why a pod answers for no service: its rule chains are a mesh's, or may be.

        It has its localsid all the same: other nodes may send to it, and a refusal by the mesh's
        proxy is better than packets that get lost (docs/limits.md).
        """
        cluster, subject = self._cluster, Subject(Kind.ENDPOINT, address)
        named = partial(self._named, address)
        pod = cluster.pods.intercepted(address, self._topology.own_name, named)
        if pod is None and cluster.knows_pods and address not in cluster.pods:
            late = (ref for ref in named() if address not in cluster.absent.get(ref, ()))
            unknown = min(late, default=None)
            if unknown is not None:
                self.waiting[address] = unknown
                text = (
                    f"Pod {unknown} is not known yet with this address; no rule chains until it is"
                )
                return Note(subject, Reason.POD_UNKNOWN, text)
            pod = cluster.pods.intercepted_by_name(named())
        if pod is None:
            return None
        text = f"Pod {pod.ref}: metadata.annotations[{pod.mesh}]: a mesh intercepts its traffic and"
        text += " owns its rule chains; it answers for no service"
        return Note(subject, Reason.POD_CHAINS_OWNED_BY_MESH, text)

    def _objects(self, item: LocalEndpoint, attachment: Attachment) -> list[AgentValue]:
        if not isinstance(item, Host):
            return list(endpoint.pod_objects(item, self._sid_of(item), attachment, self._settings))
        own = self._topology.own
        assert own is not None
        assert own.id is not None
        return list(endpoint.host_objects(own.id, self._settings))

    def _attachment_of(self, item: LocalEndpoint) -> Attachment | Note:
        """Find how packets get to an endpoint once decapsulated, or why they do not."""
        subject = self._subject(item)
        if isinstance(item, Host):
            if self._settings.host_subnet.is_ipv4 != item.family.is_ipv4:
                return Note(subject, Reason.HOST_FAMILY_UNSUPPORTED, _OTHER_FAMILY)
            own = self._topology.own
            try:
                if own is None or own.id is None:
                    raise ValueError("the node's id is not known")
                host_end_of(own.id, self._settings)
            except ValueError as error:
                text = f"spec.podCIDR: {error}; no localsid for its host"
                return Note(subject, Reason.HOST_ATTACHMENT_UNKNOWN, text)
            return _HOST_ATTACHMENT
        found = self._cluster.attachment_of(item, self._topology.own_name)
        if isinstance(found, Unattached):
            text = f"{found.missing}; no localsid until it is known"
            return Note(subject, Reason.POD_ATTACHMENT_UNKNOWN, text)
        values: list[AgentValue] = self._objects(item, found)
        values += [*endpoint.neighbour(item, found), *endpoint.rule_chains(found, {})]
        fault = next(filter(None, map(fault_of, values)), None)
        return Note(subject, Reason.INVALID_VALUE, f"{fault}; no localsid") if fault else found

    def _collision(self, item: LocalEndpoint, attachment: Attachment) -> Note | None:
        """Say who else has an endpoint's SID or rule chains; None: they are its own."""
        sid = self._sid_of(item)
        owner = self._topology.taken.get(sid)
        if owner is None and (first := self._first(self._sids.of(sid))) != item:
            owner = "the host of this node" if isinstance(first, Host) else f"Endpoint {first}"
        if owner is not None:
            text = f"SID {sid} is taken by {owner}; no localsid"
            return Note(self._subject(item), Reason.SID_COLLISION, text)
        if isinstance(item, Host):
            return None
        mine = attachment.interface
        other = self._attachments[self._first(self._sandboxes.of(attachment.sandbox))]
        if isinstance(other, Attachment) and other.interface != mine:
            text = f"interface {mine} would share its rule chains with {other.interface}"
            return Note(self._subject(item), Reason.SANDBOX_COLLISION, f"{text}; no localsid")
        return None

    def _first(self, claimants: set[LocalEndpoint]) -> LocalEndpoint:
        """Choose the endpoint whose localsid is in etcd; else the host, else the lowest address."""
        if len(claimants) == 1:
            return next(iter(claimants))

        def order(item: LocalEndpoint) -> tuple[bool, int]:
            actual = self._cluster.held.get(self._sid_of(item))
            if not isinstance(item, Host):
                return (actual != item, to_int(item))
            own = self._topology.own
            end = host_end_of(own.id, self._settings) if own and own.id is not None else None
            return (actual != end, -1)

        return min(claimants, key=order)

    def _subject(self, item: LocalEndpoint) -> Subject:
        if isinstance(item, Host):
            return Subject(Kind.NODE, self._topology.own_name)
        return Subject(Kind.ENDPOINT, item)

    def _make_chains(self, sandbox: str) -> set[Ref]:
        """Make the rule chains of a sandbox; the services whose reach has changed by that."""
        before = self._left_out.pop(sandbox, {})
        answering = {pod: self._answering[pod] for pod in sorted(self._behind.get(sandbox, ()))}
        excess: dict[Ref, Excess] = {}
        chains: Iterable[RuleChain] = ()
        if answering:
            attachment = self._up[next(iter(answering))]
            excess = left_out(attachment, answering, self.most_bytes - _KEY_BYTES)
            items = {
                pod: [item for ref, items in listed.items() if ref not in excess for item in items]
                for pod, listed in answering.items()
            }
            chains = endpoint.rule_chains(attachment, items)
        if excess:
            self._left_out[sandbox] = excess
        self._parts.replace(("sandbox", sandbox), chains)
        notes = (_does_not_fit(ref, answering, found) for ref, found in excess.items())
        self._parts.remark(("sandbox", sandbox), *sorted(notes))
        return before.keys() ^ excess.keys()


def _does_not_fit(ref: Ref, answering: Mapping[str, Container[Ref]], excess: Excess) -> Note:
    pods = ", ".join(pod for pod, listed in answering.items() if ref in listed)
    text = (
        f"spec.ports: its translations take {excess.size} bytes of {excess.key}, which has room for"
        f" {excess.room}: {pods} does not answer for it and is in none of its policies on this"
        " node; other nodes still send to it"
    )
    return Note(Subject(Kind.SERVICE, ref), Reason.INVALID_VALUE, text)


def _order(item: LocalEndpoint) -> tuple[int, bool, str]:
    """Hosts come before pods, IPv6 before IPv4."""
    return (0, item.family.is_ipv4, "") if isinstance(item, Host) else (1, False, item)
