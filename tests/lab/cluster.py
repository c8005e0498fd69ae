"""The lab's Kubernetes objects: the sample of ``examples/seed``, and services of every kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lab.topology import NODES, PODS, Node, Pod, pod

Json = dict[str, Any]
SEED = Path(__file__).parents[2] / "examples" / "seed"
NAMESPACE = "lab"
BALANCER = "2abc::b0"
"""Of this prefix are the load balancer's addresses; external ones are `2abc::e0` and above."""


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a service and where its endpoints serve it."""

    number: int
    target: int
    protocol: str = "TCP"

    @property
    def name(self) -> str:
        """Its name."""
        return f"{self.protocol.lower()}-{self.number}"


HTTP = Port(80, 8080)
PORTS = (HTTP, Port(81, 9000), Port(5353, 5353, "UDP"))


@dataclass(frozen=True, slots=True)
class Service:
    """A service with its endpoints.

    Attributes:
        name: in the namespace of the lab.
        addresses: its ClusterIPs.
        endpoints: names of pods; those with ``-`` behind them are terminating.
        spec: further fields.
        balancer: its addresses at the load balancer.
    """

    name: str
    addresses: tuple[str, ...]
    endpoints: tuple[str, ...]
    ports: tuple[Port, ...] = PORTS
    spec: Mapping[str, Any] = field(default_factory=dict)
    balancer: tuple[str, ...] = ()

    def objects(self) -> list[Json]:
        """The service and a slice for each family."""
        families = [_family(address) for address in self.addresses]
        service: Json = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": self.name, "namespace": NAMESPACE},
            "spec": {
                "type": "LoadBalancer" if self.balancer else "ClusterIP",
                "clusterIP": self.addresses[0],
                "clusterIPs": list(self.addresses),
                "ipFamilies": families,
                "ports": [
                    {"name": port.name, "protocol": port.protocol, "port": port.number}
                    for port in self.ports
                ],
                **self.spec,
            },
        }
        if self.balancer:
            ingress = [{"ip": address} for address in self.balancer]
            service["status"] = {"loadBalancer": {"ingress": ingress}}
        return [service, *(self._slice(family) for family in families)]

    def _slice(self, family: str) -> Json:
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{self.name}-{family.lower()}",
                "namespace": NAMESPACE,
                "labels": {"kubernetes.io/service-name": self.name},
            },
            "addressType": family,
            "ports": [
                {"name": port.name, "protocol": port.protocol, "port": port.target}
                for port in self.ports
            ],
            "endpoints": [_endpoint(name, family) for name in self.endpoints],
        }


def _family(address: str) -> str:
    return "IPv6" if ":" in address else "IPv4"


def _endpoint(name: str, family: str) -> Json:
    is_leaving = name.endswith("-")
    found = pod(name.removesuffix("-"))
    return {
        "addresses": [found.addresses[family == "IPv4"]],
        "conditions": {"ready": not is_leaving, "serving": True, "terminating": is_leaving},
        "nodeName": Node(found.node).name,
        "targetRef": {"kind": "Pod", "namespace": found.namespace, "name": found.name},
    }


_SPREAD = ("web-1a", "web-1b", "web-2a", "web-2b")
SERVICES = (
    Service("spread", ("2096::51",), _SPREAD),
    Service("hairpin", ("2096::52",), ("client-1",)),
    Service("hairpin-2", ("2096::53",), ("client-2", "web-1a")),
    Service(
        "inside-local",
        ("2096::54",),
        ("web-1a", "web-2a"),
        spec={"internalTrafficPolicy": "Local"},
    ),
    Service("balanced", ("2096::55",), ("web-1a", "web-2a"), balancer=("2abc::b0",)),
    Service(
        "balanced-local",
        ("2096::56",),
        ("web-1b", "web-2b"),
        balancer=("2abc::b1",),
        spec={"externalTrafficPolicy": "Local"},
    ),
    Service(
        "balanced-one",
        ("2096::57",),
        ("web-1c",),
        balancer=("2abc::b2",),
        spec={"externalTrafficPolicy": "Local"},
    ),
    Service("external", ("2096::58",), ("web-1c", "web-2c"), spec={"externalIPs": ["2abc::e0"]}),
    Service("empty", ("2096::59",), (), balancer=("2abc::b3",)),
    Service("four", ("10.96.0.51",), _SPREAD),
    Service(
        "both",
        ("2096::5a", "10.96.0.52"),
        ("web-1a", "web-2a"),
        spec={"ipFamilyPolicy": "RequireDualStack"},
    ),
    Service("balanced-four", ("10.96.0.53",), ("web-1a", "web-2b"), balancer=("203.0.113.10",)),
)


def service(name: str) -> Service:
    """The lab's service with that name."""
    return next(one for one in SERVICES if one.name == name)


def settings() -> str:
    """contiv.conf: the sample's, with IPv4 and external addresses."""
    text = (SEED / "contiv.conf").read_text()
    cidr = "serviceCIDR: 2096::/110"
    assert cidr in text
    text = text.replace(cidr, f"{cidr},10.96.0.0/16")
    return f"""{text}mtuSize: 1420
srv6kv:
  ipv4: true
  kubeProxy: masqueradeAll
  externalIPs:
    allowedCIDRs: ["2abc::/64"]
"""


def manifests() -> dict[str, list[Json]]:
    """What the cluster has at first, by file."""
    found = {"nodes": [_node(Node(number)) for number in NODES], "pods": [*map(_pod, PODS)]}
    for path in sorted((SEED / "manifests").glob("*.yaml")):
        if path.stem not in found:
            found[path.stem] = list(yaml.safe_load_all(path.read_text()))
    for one in SERVICES:
        found[one.name] = one.objects()
    return found


def _node(node: Node) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name},
        "spec": {"podCIDR": node.pod_cidrs[0], "podCIDRs": list(node.pod_cidrs)},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": node.host_address},
                {"type": "Hostname", "address": node.name},
            ]
        },
    }


def _pod(one: Pod) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": one.name, "namespace": one.namespace},
        "spec": {"nodeName": Node(one.node).name, "containers": [{"name": "c", "image": "none"}]},
        "status": {
            "phase": "Running",
            "podIP": one.addresses[0],
            "podIPs": [{"ip": address} for address in one.addresses],
        },
    }


@dataclass(frozen=True, slots=True)
class Front:
    """One address and port of a service, and the endpoints behind it, as a Kubernetes client sees
    them: without policies of traffic."""

    service: str
    address: str
    port: int
    protocol: str
    endpoints: tuple[tuple[str, int], ...]


def fronts(objects: Sequence[Json]) -> Iterator[Front]:
    """Every address and port of every service."""
    slices = [one for one in objects if one["kind"] == "EndpointSlice"]
    for one in objects:
        if one["kind"] != "Service":
            continue
        name, spec = one["metadata"]["name"], one["spec"]
        balancer = (one.get("status") or {}).get("loadBalancer") or {}
        addresses = [
            *spec["clusterIPs"],
            *spec.get("externalIPs", ()),
            *(ingress["ip"] for ingress in balancer.get("ingress") or ()),
        ]
        for address in addresses:
            for port in spec["ports"]:
                found = tuple(_behind(slices, one, port, _family(address)))
                yield Front(name, address, port["port"], port["protocol"], found)


def _behind(
    slices: Iterable[Json], service: Json, port: Json, family: str
) -> Iterator[tuple[str, int]]:
    for one in slices:
        metadata = one["metadata"]
        is_its = (
            metadata["namespace"] == service["metadata"]["namespace"]
            and metadata["labels"]["kubernetes.io/service-name"] == service["metadata"]["name"]
            and one["addressType"] == family
        )
        targets = [item["port"] for item in one["ports"] if item["name"] == port["name"]]
        for endpoint in one["endpoints"] if is_its and targets else ():
            if endpoint["conditions"]["ready"]:
                yield endpoint["addresses"][0], targets[0]
