"""Kubernetes objects as srv6kv uses them: small frozen values, addresses in canonical text.

They hold only what a rule reads. What is malformed was refused or left out in
``parse``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec


class Ref(NamedTuple):
    """Namespace and name of an object."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


Identity = tuple[str, str, str]
"""Kind, namespace ("" for nodes) and name."""

Body = Mapping[str, Any] | msgspec.Raw
"""An object as it came: plain values of YAML, or raw JSON."""


@dataclass(frozen=True, slots=True, order=True)
class Gap:
    """Something that could never be read since the start, as far as it is identified; "": it may be
    any.

    Attributes:
        kind: "Service" for services and their slices, "Node" or "Pod".
        hints: what can be read of it: pod CIDRs and addresses.
    """

    kind: str = ""
    namespace: str = ""
    name: str = ""
    hints: tuple[str, ...] = ()

    def covers(self, kind: str, namespace: str, name: str) -> bool:
        """Whether it may be this, or a part of it."""
        return (
            self.kind in ("", kind)
            and self.namespace in ("", namespace)
            and self.name in ("", name)
        )


class ServicePort(NamedTuple):
    """A port of a service; its identity is name and protocol (kube-proxy rule S7)."""

    name: str
    protocol: str
    number: int


@dataclass(frozen=True, slots=True)
class Service:
    """A service.

    Attributes:
        created: creation timestamp as Kubernetes writes it, "" if unset; sorts by time.
        cluster_ip: its IPv6 ClusterIP; None when the service has none to render (rules S2, S3).
        balancer_ips: load-balancer addresses of both families with ``ipMode`` VIP (rule S4).
        external_ips: external addresses of both families (rule S4).
        bad_addresses: what stands among them and is no address: not used.
        source_ranges: who may use the load balancer, canonical; none: everyone.
        proxy_name: the foreign proxy that implements the service, which has nothing for us then;
            None: the service is ours (rule S1).
        is_internal_local: internalTrafficPolicy is Local (rule S6).
        is_external_local: externalTrafficPolicy is Local, and there may be such traffic (rule S6).
        has_affinity: sessionAffinity is ClientIP.
    """

    ref: Ref
    created: str
    cluster_ip: str | None
    ports: tuple[ServicePort, ...]
    cluster_ipv4: str | None = None
    balancer_ips: tuple[str, ...] = ()
    external_ips: tuple[str, ...] = ()
    bad_addresses: tuple[str, ...] = ()
    source_ranges: tuple[str, ...] = ()
    proxy_name: str | None = None
    is_internal_local: bool = False
    is_external_local: bool = False
    has_node_ports: bool = False
    has_affinity: bool = False

    @property
    def families(self) -> frozenset[bool]:
        """Rule S3: the families of which it has a ClusterIP, as whether it is IPv4."""
        own = {False: self.cluster_ip, True: self.cluster_ipv4}
        return frozenset(ipv4 for ipv4, address in own.items() if address is not None)


class SlicePort(NamedTuple):
    """A port of a slice; ``number`` is the target port in the pod. None: not usable (rule E3)."""

    name: str
    protocol: str
    number: int | None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint of a slice, with its first usable address (rule E2), conditions (rule E5)."""

    address: str
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    node: str | None = None
    pod: Ref | None = None
    zone_hints: tuple[str, ...] = ()
    node_hints: tuple[str, ...] = ()


class Ignored(NamedTuple):
    """Why a slice is not looked into, and the service that its label names."""

    service: Ref | None
    rule: str
    why: str


@dataclass(frozen=True, slots=True)
class EndpointSlice:
    """A slice with the endpoints of one family (rules E1, E2); without a service when it belongs to
    none that we render. ``triggered`` is when its last change was, as its annotation says; "" if
    unset."""

    ref: Ref
    service: Ref | None
    ports: tuple[SlicePort, ...]
    endpoints: tuple[Endpoint, ...]
    ignored: Ignored | None = None
    is_ipv4: bool = False
    triggered: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Node:
    """A node, its pod CIDRs and addresses of both families.

    Attributes:
        node_ip: annotation ``srv6kv.io/node-ip``, "" if unset.
        zone: label ``topology.kubernetes.io/zone``, "" if unset.
        is_leaving: it is being deleted, by its owner or by the cluster autoscaler.
    """

    name: str
    pod_cidrs: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    node_ip: str = ""
    zone: str = ""
    is_leaving: bool = False


@dataclass(frozen=True, slots=True)
class PodAttachment:
    """What a pod's annotations say about its attachment (``kube.podannotations``): the logical name
    of its VPP interface, the hardware address of its Linux end in lower case and the path of its
    network namespace, each "" if they do not say; or what is wrong with them."""

    interface: str = ""
    mac: str = ""
    netns: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod with a network namespace of its own, as far as that goes.

    Attributes:
        node: where it runs, "" while it is not scheduled.
        addresses: none when it is on the host's network or has ended.
        mesh: the annotation by which a mesh intercepts its traffic, "" if none does.
    """

    ref: Ref
    node: str = ""
    addresses: tuple[str, ...] = ()
    mesh: str = ""
    attachment: PodAttachment | None = None


KubeObject = Service | EndpointSlice | Node | Pod
