"""The cluster as known now, and what has changed since it was last rendered.

One thread owns it. It holds values and indexes only; every rule is elsewhere.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from srv6kv.agent.attachments import Reported
from srv6kv.cluster.attachment import Attachment, AttachmentKeys, Unattached, claims_of
from srv6kv.cluster.noderecords import Records
from srv6kv.cluster.pods import Pods
from srv6kv.kube.model import (
    Endpoint,
    EndpointSlice,
    KubeObject,
    Node,
    Pod,
    PodAttachment,
    Ref,
    Service,
)
from srv6kv.kube.podannotations import PodAnnotations


@dataclass(slots=True)
class Dirt:
    """What has changed: services (or their slices), nodes, addresses of pods (their attachment or
    their Pod), and keys that the agent has begun or ceased to report."""

    services: set[Ref] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)
    reported: set[str] = field(default_factory=set)
    nodes: bool = False
    lost_node: bool = False


@dataclass(slots=True)
class Cluster:
    """Kubernetes objects and the attachments of the own node's pods.

    Attributes:
        knows_pods: every pod of the own node is among ``pods``, or soon will be.
        absent: pods that are not there with the addresses for which slices name them, nor soon
            will be; they may be there without.
        reported: what the agent reports of attachments that etcd does not have.
        pod_annotations: what annotations of pods may name; None: they do not count.
        held: which next hop each localsid in etcd has; it decides who is the newcomer when two
            local endpoints want one SID.
    """

    services: dict[Ref, Service] = field(default_factory=dict)
    slices: dict[Ref, dict[str, EndpointSlice]] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    pods: Pods = field(default_factory=Pods)
    knows_pods: bool = False
    absent: dict[Ref, set[str]] = field(default_factory=dict)
    records: Records = field(default_factory=Records)
    attachments: AttachmentKeys = field(default_factory=AttachmentKeys)
    reported: Reported = field(default_factory=Reported)
    pod_annotations: PodAnnotations | None = None
    unread_nodes: frozenset[str] = frozenset()
    unread_pods: frozenset[Ref] = frozenset()
    held: dict[str, str] = field(default_factory=dict)
    dirt: Dirt = field(default_factory=Dirt)
    _service_of_slice: dict[Ref, Ref] = field(default_factory=dict)

    def put(self, value: KubeObject) -> None:
        """Add or replace an object."""
        match value:
            case Service():
                if self.services.get(value.ref) != value:
                    self.services[value.ref] = value
                    self.dirt.services.add(value.ref)
            case EndpointSlice():
                self._put_slice(value)
            case Node():
                if self.nodes.get(value.name) != value:
                    self.nodes[value.name] = value
                    self.dirt.nodes = True
            case Pod():
                absent = self.absent.get(value.ref, set())
                self.dirt.addresses |= self.pods.put(value) | absent
                absent -= set(value.addresses)

    def remove(self, kind: str, namespace: str, name: str) -> None:
        """Forget an object; an unknown one is no error."""
        ref = Ref(namespace, name)
        match kind:
            case "Service":
                if self.services.pop(ref, None) is not None:
                    self.dirt.services.add(ref)
            case "EndpointSlice":
                self._remove_slice(ref)
            case "Node":
                if self.nodes.pop(name, None) is not None:
                    self.dirt.nodes = self.dirt.lost_node = True
            case "Pod":
                self.dirt.addresses |= self.pods.remove(ref)

    def add_absent_pods(self, pods: Mapping[str, Ref]) -> None:
        """Mark pods as absent that a source of all pods does not know.

        Args:
            pods: by the address for which a slice names them; those that exist by now do not
                count.
        """
        for address, ref in pods.items():
            if address not in self.pods:
                self.absent.setdefault(ref, set()).add(address)
                self.dirt.addresses.add(address)

    def apply_agent_key(
        self, key: str, value: bytes | None, revision: int, *, is_gone: bool = False
    ) -> None:
        """Apply one agent key of etcd, or that etcd does not have it any more."""
        if is_gone:
            value, revision = self.reported.get(key)
        else:
            self.reported.hide(key)
        self._apply(key, value, revision)

    def _apply(self, key: str, value: bytes | None, revision: int) -> None:
        """Apply a key, and mark the pods whose annotations name the same as changed."""
        before = self.attachments.claims_by(key)
        self.dirt.addresses |= self.attachments.apply(key, value, revision)
        claims = before | self.attachments.claims_by(key)
        if claims and self.pods.annotated:
            self.dirt.addresses |= self.pods.addresses_concerned(claims)

    def replace_reported(self, values: Mapping[str, bytes], held: Container[str]) -> bool:
        """Replace all that the agent reports; return whether anything has changed."""
        changed = self.reported.replace(values, held)
        for key in changed:
            self._apply(key, *self.reported.get(key))
        self.dirt.reported |= changed
        return bool(changed)

    def set_unread_nodes(self, names: frozenset[str]) -> None:
        """Replace the names of nodes that cannot be read."""
        self.dirt.nodes |= names != self.unread_nodes
        self.unread_nodes = names

    def set_unread_pods(self, refs: frozenset[Ref]) -> None:
        """Replace the names of pods that cannot be read."""
        changed = refs ^ self.unread_pods
        self.unread_pods = refs
        if changed:
            self.dirt.addresses |= {end.address for end in self.endpoints() if end.pod in changed}

    def apply_node_record(self, key: str, value: bytes | None) -> None:
        """Apply one of Contiv's records of nodes; None: it is gone."""
        before = self.records.by_name()
        self.records.apply(key, value)
        self.dirt.nodes |= self.records.by_name() != before

    def replace_node_records(self, values: Mapping[str, bytes]) -> None:
        """Replace all of Contiv's records."""
        before = self.records.by_name()
        self.records.replace(values)
        self.dirt.nodes |= self.records.by_name() != before

    def attachment_of(self, address: str, node: str) -> Attachment | Unattached:
        """Return how the pod of a node with this address is attached to VPP."""
        if self.pod_annotations is None:
            return self.attachments.of(address)
        said = self.pods.annotated_attachments(address, node)
        return self.attachments.of(address, {self._checked(item, address, node) for item in said})

    def _checked(self, said: PodAttachment, address: str, node: str) -> PodAttachment:
        """What annotations say, or why they do not count: the settings forbid it, or what they name
        is another pod's by the agent's keys, or named by another pod's annotations as well."""
        own = [pod for pod in self.pods.at(address, node) if pod.attachment == said]
        fault = self._refusal(said, own)
        for claim in claims_of(said) if not fault else ():
            if self.attachments.holders(claim):
                continue  # ours by the agent's keys, whatever others say
            rivals = (
                pod
                for pod in self.pods.claiming(claim, node)
                if address not in pod.addresses and pod.addresses and pod.attachment is not None
                if not self._refusal(pod.attachment, [pod])
            )
            if (rival := next(rivals, None)) is not None:
                fault = f"{claim} is named by the annotations of Pod {rival.ref} too"
                break
        return PodAttachment(fault=fault) if fault else said

    def _refusal(self, said: PodAttachment, own: Iterable[Pod]) -> str:
        """Why annotations do not count, whatever those of other pods say."""
        if self.pod_annotations is None:
            return ""
        if fault := self.pod_annotations.refusal(said):
            return fault
        addresses = {address for pod in own for address in pod.addresses}
        for claim in claims_of(said):
            if others := self.attachments.holders(claim) - addresses:
                return f"{claim} is that of {min(others)} by the agent's keys"
        return ""

    def set_localsid(self, sid: str, next_hop: str | None) -> None:
        """Record the next hop of a localsid in etcd; None: it has none, or does not exist."""
        before = self.held.pop(sid, None)
        if next_hop is not None:
            self.held[sid] = next_hop
        self._mark_unconfirmed(before, next_hop)

    def forget_localsids(self) -> None:
        """Forget which localsids etcd has."""
        self._mark_unconfirmed(*self.held.values())
        self.held = {}

    def _mark_unconfirmed(self, *addresses: str | None) -> None:
        """Mark addresses whose localsid in etcd counts until the agent has reported everything."""
        if not self.reported.is_complete:
            self.dirt.addresses.update(filter(None, addresses))

    def replace_attachments(self, found: AttachmentKeys, held: Container[str] = ()) -> None:
        """Replace all attachments by these and by what the agent reports besides."""
        self.reported.yield_to(held)
        for key, value, revision in self.reported.items():
            if key not in held:
                found.apply(key, value, revision)
        self.dirt.addresses |= self.attachments.addresses() | found.addresses()
        for pod in self.pods.annotated.values():
            self.dirt.addresses.update(pod.addresses)
        self.attachments = found

    def _put_slice(self, value: EndpointSlice) -> None:
        known = self._service_of_slice.get(value.ref)
        if known is not None and known != value.service:
            self._remove_slice(value.ref)
        if value.service is None:
            return
        table = self.slices.setdefault(value.service, {})
        if table.get(value.ref.name) != value:
            self._mark_ambiguous(value, table.get(value.ref.name))
            table[value.ref.name] = value
            self._service_of_slice[value.ref] = value.service
            self.dirt.services.add(value.service)

    def _remove_slice(self, ref: Ref) -> None:
        service = self._service_of_slice.pop(ref, None)
        if service is not None:
            self._mark_ambiguous(self.slices[service].pop(ref.name))
            if not self.slices[service]:
                del self.slices[service]
            self.dirt.services.add(service)

    def _mark_ambiguous(self, *changed: EndpointSlice | None) -> None:
        """Mark addresses that several pods have: the slices decide which of them counts."""
        if self.pods.ambiguous:
            listed = {item.address for found in changed if found for item in found.endpoints}
            self.dirt.addresses |= self.pods.ambiguous & listed

    def endpoints(self) -> Iterator[Endpoint]:
        """Yield the endpoints of all slices."""
        for table in self.slices.values():
            for item in table.values():
                yield from item.endpoints

    def would_change(self, value: EndpointSlice) -> bool:
        """Return whether putting this slice would change anything."""
        if value.service is None:
            return value.ref in self._service_of_slice
        return self.slices.get(value.service, {}).get(value.ref.name) != value

    def slices_of(self, service: Ref) -> tuple[EndpointSlice, ...]:
        """The slices of a service in name order."""
        table = self.slices.get(service, {})
        return tuple(table[name] for name in sorted(table))
