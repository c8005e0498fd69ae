"""The fields of Kubernetes objects that are read, as the API writes them.

Rule: null means absent; unknown fields are skipped, so newer servers do no harm. What a value means
is decided in ``parse``. An element of a list is None where it is null, or nothing that can be used
(``tolerant``).
"""

from __future__ import annotations

import msgspec


class Wire(msgspec.Struct, gc=False, rename="camel"):
    """A part of an object; names are lowerCamel in the API."""


class Metadata(Wire):
    """ObjectMeta."""

    name: str
    namespace: str | None = None
    creation_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    deletion_timestamp: str | None = None


class ServicePort(Wire):
    """A port of ``spec.ports``."""

    port: int
    name: str | None = None
    protocol: str | None = None
    node_port: int | None = None


class ServiceSpec(Wire):
    """The spec of a Service."""

    type: str | None = None
    cluster_ip: str | None = msgspec.field(default=None, name="clusterIP")
    cluster_ips: list[str | None] | None = msgspec.field(default=None, name="clusterIPs")
    ip_families: list[str | None] | None = None
    ports: list[ServicePort | None] | None = None
    external_ips: list[str | None] | None = msgspec.field(default=None, name="externalIPs")
    internal_traffic_policy: str | None = None
    external_traffic_policy: str | None = None
    session_affinity: str | None = None
    load_balancer_source_ranges: list[str | None] | None = None


class Ingress(Wire):
    """An entry of ``status.loadBalancer.ingress``."""

    ip: str | None = None
    ip_mode: str | None = None


class LoadBalancer(Wire):
    """``status.loadBalancer``."""

    ingress: list[Ingress | None] | None = None


class ServiceStatus(Wire):
    """The status of a Service."""

    load_balancer: LoadBalancer | None = None


class Service(Wire):
    """A v1 Service."""

    metadata: Metadata
    spec: ServiceSpec
    status: ServiceStatus | None = None


class Conditions(Wire):
    """The conditions of an endpoint; an absent one is unknown."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Hint(Wire):
    """A zone or node for which an endpoint is meant; an absent name is the empty one."""

    name: str | None = None


class Hints(Wire):
    """The topology hints of an endpoint."""

    for_zones: list[Hint | None] | None = None
    for_nodes: list[Hint | None] | None = None


class TargetRef(Wire):
    """The object behind an endpoint."""

    kind: str | None = None
    namespace: str | None = None
    name: str | None = None


class Endpoint(Wire):
    """An endpoint of a slice."""

    addresses: list[str | None] | None = None
    conditions: Conditions | None = None
    node_name: str | None = None
    target_ref: TargetRef | None = None
    hints: Hints | None = None


class SlicePort(Wire):
    """A port of a slice."""

    name: str | None = None
    protocol: str | None = None
    port: int | None = None


class EndpointSlice(Wire):
    """A discovery.k8s.io/v1 EndpointSlice."""

    metadata: Metadata
    address_type: str
    endpoints: list[Endpoint | None] | None = None
    ports: list[SlicePort | None] | None = None


class NodeAddress(Wire):
    """An entry of ``status.addresses``."""

    address: str
    type: str | None = None


class Taint(Wire):
    """A taint of a Node."""

    key: str | None = None


class NodeSpec(Wire):
    """The spec of a Node."""

    pod_cidr: str | None = msgspec.field(default=None, name="podCIDR")
    pod_cidrs: list[str | None] | None = msgspec.field(default=None, name="podCIDRs")
    taints: list[Taint | None] | None = None


class NodeStatus(Wire):
    """The status of a Node."""

    addresses: list[NodeAddress | None] | None = None


class Node(Wire):
    """A v1 Node."""

    metadata: Metadata
    spec: NodeSpec | None = None
    status: NodeStatus | None = None


class PodSpec(Wire):
    """The spec of a Pod."""

    node_name: str | None = None
    host_network: bool | None = None


class PodIP(Wire):
    """An entry of ``status.podIPs``."""

    ip: str


class PodStatus(Wire):
    """The status of a Pod."""

    phase: str | None = None
    pod_ip: str | None = msgspec.field(default=None, name="podIP")
    pod_ips: list[PodIP | None] | None = msgspec.field(default=None, name="podIPs")


class Pod(Wire):
    """A v1 Pod."""

    metadata: Metadata
    spec: PodSpec | None = None
    status: PodStatus | None = None
