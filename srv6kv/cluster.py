"""The cluster as known now, and what has changed since it was last rendered.

One thread owns it. It holds values and indexes only; every rule is elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from srv6kv.agent.wiring import Wiring
from srv6kv.kube.model import EndpointSlice, KubeObject, Node, Ref, Service


@dataclass(slots=True)
class Dirt:
    """What has changed: services (or their slices), nodes, and addresses of pods by wiring."""

    services: set[Ref] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)
    nodes: bool = False
    lost_node: bool = False

    def __bool__(self) -> bool:
        return bool(self.services or self.addresses or self.nodes)


@dataclass(slots=True)
class Cluster:
    """Kubernetes objects and the wiring of the own node's pods.

    Attributes:
        slices: the slices of each service, by slice name.
        held: which next hop each localsid in etcd has; it decides who is the newcomer when two
            local endpoints want one SID.
    """

    services: dict[Ref, Service] = field(default_factory=dict)
    slices: dict[Ref, dict[str, EndpointSlice]] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    wiring: Wiring = field(default_factory=Wiring)
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

    def wire(self, key: str, value: bytes | None, revision: int) -> None:
        """Take in one agent key."""
        self.dirt.addresses |= self.wiring.apply(key, value, revision)

    def rewire(self, wiring: Wiring) -> None:
        """Replace all that is known of the wiring."""
        self.dirt.addresses |= self.wiring.addresses() | wiring.addresses()
        self.wiring = wiring

    def _put_slice(self, value: EndpointSlice) -> None:
        known = self._service_of_slice.get(value.ref)
        if known is not None and known != value.service:
            self._remove_slice(value.ref)
        if value.service is None:
            return
        table = self.slices.setdefault(value.service, {})
        if table.get(value.ref.name) != value:
            table[value.ref.name] = value
            self._service_of_slice[value.ref] = value.service
            self.dirt.services.add(value.service)

    def _remove_slice(self, ref: Ref) -> None:
        service = self._service_of_slice.pop(ref, None)
        if service is not None:
            del self.slices[service][ref.name]
            if not self.slices[service]:
                del self.slices[service]
            self.dirt.services.add(service)

    def slices_of(self, service: Ref) -> tuple[EndpointSlice, ...]:
        """The slices of a service in name order."""
        table = self.slices.get(service, {})
        return tuple(table[name] for name in sorted(table))
