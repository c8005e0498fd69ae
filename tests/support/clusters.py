"""Clusters for the tests: settings, Kubernetes objects and a node's agent keys.

Address plan: node ``i`` has the pod CIDR ``2001:0:0:i::/64``, the address ``fe10:f00d::i`` on the
interconnect, ``fd00::10i`` for management and the Linux end ``2002::i:2``; pod ``h`` of it is
``2001:0:0:i::h``. Services live in ``2096::/110`` and ``fd96::/110``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network
from typing import Any

from srv6kv import settings as settings_module
from srv6kv.settings import Settings

Json = dict[str, Any]
Identity = tuple[str, str, str]

GHOST = "ghost"
"""A node's name of which no Node object exists."""

NETWORKS: Json = {
    "podSubnetCIDR": "2001::/48",
    "podSubnetOneNodePrefixLen": 64,
    "vppHostSubnetCIDR": "2002::/64",
    "vppHostSubnetOneNodePrefixLen": 112,
    "nodeInterconnectCIDR": "fe10:f00d::/90",
    "serviceCIDR": "2096::/110,fd96::/110",
}
FOUR_NODES: Json = {
    **NETWORKS,
    "podSubnetCIDR": "2001::/62",
    "vppHostSubnetCIDR": "2002::/110",
}
"""Node 4 is the one whose pods are in part 0 of the subnet (defect D15)."""
SEED: Json = {"useNoOverlay": True, "useSRv6Interconnect": True, "ipamConfig": NETWORKS}
TODAY: Json = {
    "nodeToNodeTransport": "srv6",
    "useSRv6ForServices": True,
    "ipamConfig": NETWORKS,
}


OLD_SIDS: Json = {
    "servicePolicyBSIDSubnetCIDR": "5555::/16",
    "servicePodLocalSIDSubnetCIDR": "6666::/16",
    "serviceHostLocalSIDSubnetCIDR": "6655::/16",
    "serviceNodeLocalSIDSubnetCIDR": "7766::/16",
    "nodeToNodePodLocalSIDSubnetCIDR": "7777::/16",
    "nodeToNodeHostLocalSIDSubnetCIDR": "7799::/16",
    "nodeToNodePodPolicySIDSubnetCIDR": "8888::/16",
    "nodeToNodeHostPolicySIDSubnetCIDR": "9999::/16",
}
"""What the names of Contiv 3.1 stand for."""


def _sids(bsid: str, pod: str, host: str, node: str) -> Json:
    return {
        "servicePolicyBSIDSubnetCIDR": bsid,
        "servicePodLocalSIDSubnetCIDR": pod,
        "serviceHostLocalSIDSubnetCIDR": host,
        "serviceNodeLocalSIDSubnetCIDR": node,
    }


CONFS: dict[str, Json] = {
    "seed": SEED,
    "today": TODAY,
    "four-nodes": {**TODAY, "ipamConfig": FOUR_NODES},
    "vrfs": {**TODAY, "nodeToNodeTransport": "vxlan", "mainVRFID": 3, "podVRFID": 7},
    "length-40": {
        **TODAY,
        "nodeToNodeTransport": "nooverlay",
        "ipamConfig": {
            **NETWORKS,
            "srv6": _sids("fc00:b::/40", "fc00:6d::/40", "fc00:5e::/40", "fc00:de::/40"),
        },
    },
    "length-64": {
        **SEED,
        "ipamConfig": {
            **NETWORKS,
            "srv6": _sids("fc00:b::/64", "fc00:6d::/64", "fc00:5e::/64", "fc00:de::/64"),
        },
    },
    "length-96": {
        **TODAY,
        "nodeToNodeTransport": "vxlan",
        "ipamConfig": {
            **NETWORKS,
            "srv6": _sids("fc00:b::/96", "fc00:6d::/96", "fc00:6d::/96", "fc00:de::/96"),
        },
    },
    "segments": {**TODAY, "srv6kv": {"nodePlumbing": "segments"}},
    "none": {**SEED, "srv6kv": {"nodePlumbing": "none", "kubeProxy": "masqueradeAll"}},
    "gateway": {**TODAY, "ipamConfig": {**NETWORKS, "defaultGateway": "fe10:f00d::2"}},
}


def settings_of(conf: Mapping[str, Any]) -> Settings:
    """The settings that a contiv.conf gives."""
    return _loaded(json.dumps(conf))


@lru_cache
def _loaded(text: str) -> Settings:
    return settings_module.load(text, "contiv.conf")[0]


def settings(name: str) -> Settings:
    """The settings of one of ``CONFS``."""
    return settings_of(CONFS[name])


def sid(prefix: str, address: str) -> str:
    """The SID formula, written down once more."""
    network = IPv6Network(prefix)
    low = int(IPv6Address(address)) & int(network.hostmask)
    return str(IPv6Address(int(network.network_address) | low))


# Kubernetes objects -----------------------------------------------------------------------------


def node(
    number: int,
    *,
    name: str = "",
    zone: str = "",
    part: int | None = None,
    addresses: Iterable[str] | None = None,
    **metadata: Any,
) -> Json:
    """Node ``number`` of the address plan; ``part`` is its part of the pod subnet."""
    cidr = str(pod_cidr(number if part is None else part))
    name = name or f"node{number}"
    listed = [f"fd00::10{number}"] if addresses is None else addresses
    return {
        "kind": "Node",
        "metadata": {
            "name": name,
            **({"labels": {"topology.kubernetes.io/zone": zone}} if zone else {}),
            **metadata,
        },
        "spec": {"podCIDR": cidr, "podCIDRs": [cidr]},
        "status": {
            "addresses": [
                *({"type": "InternalIP", "address": address} for address in listed),
                {"type": "Hostname", "address": name},
            ]
        },
    }


def pod_cidr(part: int) -> IPv6Network:
    """The pod CIDR of a node."""
    return IPv6Network((int(IPv6Address("2001::")) + (part << 64), 64))


def pod_address(part: int, host: int) -> str:
    """The address of a pod."""
    return str(pod_cidr(part)[host])


Ports = Iterable[tuple[str | None, str, int | None]]
"""Name, protocol and number."""

HTTP = (("http", "TCP", 80),)


def service(
    name: str,
    address: str | None,
    ports: Ports = HTTP,
    *,
    namespace: str = "default",
    created: str | None = None,
    labels: Mapping[str, str] | None = None,
    status: Json | None = None,
    **spec: Any,
) -> Json:
    """A service with one IPv6 ClusterIP, or headless."""
    return {
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "creationTimestamp": created,
            "labels": dict(labels or {}),
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": address or "None",
            "clusterIPs": [address or "None"],
            "ipFamilies": ["IPv6"],
            "ports": [_port(port) for port in ports],
            **spec,
        },
        **({"status": status} if status else {}),
    }


def _port(port: tuple[str | None, str, int | None]) -> Json:
    name, protocol, number = port
    return {"name": name, "protocol": protocol, "port": number}


def endpoint(
    address: str,
    node_name: str | None = None,
    *,
    ready: bool | None = None,
    serving: bool | None = None,
    terminating: bool | None = None,
    zones: Iterable[str] = (),
    nodes: Iterable[str] = (),
) -> Json:
    """One endpoint of a slice."""
    return {
        "addresses": [address],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "nodeName": node_name,
        "hints": {
            "forZones": [{"name": zone} for zone in zones],
            "forNodes": [{"name": name} for name in nodes],
        },
    }


def endpoint_slice(
    owner: str,
    endpoints: Iterable[Json],
    ports: Ports = HTTP,
    *,
    name: str = "",
    namespace: str = "default",
    labels: Mapping[str, str] | None = None,
) -> Json:
    """A slice of a service."""
    return {
        "kind": "EndpointSlice",
        "metadata": {
            "name": name or f"{owner}-1",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": owner, **(labels or {})},
        },
        "addressType": "IPv6",
        "ports": [_port(port) for port in ports],
        "endpoints": list(endpoints),
    }


def identity(body: Mapping[str, Any]) -> Identity:
    """Kind, namespace ("" for nodes) and name."""
    metadata = body["metadata"]
    return body["kind"], metadata.get("namespace", ""), metadata["name"]


# The keys that an agent has from its CNI --------------------------------------------------------


def pod_keys(
    address: str,
    sandbox: str = "",
    *,
    interface: str = "",
    vrf: int = 1,
    static: bool = True,
) -> dict[str, Json]:
    """How the CNI wires a pod: TAP, neighbour, route and the Linux end in its namespace."""
    sandbox = sandbox or sandbox_of(address)
    tap = interface or f"vpp-tap-{sandbox}"
    return {
        f"config/vpp/v2/interfaces/{tap}": {"name": tap, "type": "TAP", "vrf": vrf},
        f"config/vpp/v2/arp/{tap}/{address}": {
            "interface": tap,
            "ip_address": address,
            "phys_address": "02:fe:00:00:00:01",
            **({"static": True} if static else {}),
        },
        f"config/vpp/v2/route/if/{tap}/vrf/{vrf}/dst/{address}/128/gw/{address}": {
            "vrf_id": vrf,
            "dst_network": f"{address}/128",
            "next_hop_addr": address,
            "outgoing_interface": tap,
        },
        f"config/linux/interfaces/v2/interface/linux-tap-{sandbox}": {
            "name": f"linux-tap-{sandbox}",
            "type": "TAP_TO_VPP",
            "namespace": {"type": "FD", "reference": f"/run/netns/{sandbox}"},
            "ip_addresses": [f"{address}/128"],
            "tap": {"vpp_tap_if_name": tap},
        },
    }


def sandbox_of(address: str) -> str:
    """The sandbox of a pod that never had another one."""
    return f"c{int(IPv6Address(address)):x}"


def base_keys(number: int, node_ip: str, *, main: int = 0, part: int | None = None) -> Json:
    """What the CNI gives a node's agent before any pod: uplink and host interconnect."""
    hosts = IPv6Network((int(IPv6Address("2002::")) + (_or(part, number) << 16), 112))
    return {
        "config/vpp/v2/interfaces/uplink": {
            "name": "uplink",
            "type": "DPDK",
            "enabled": True,
            "vrf": main,
            "ip_addresses": [f"{node_ip}/90"],
        },
        "config/vpp/v2/interfaces/tap-vpp2": {
            "name": "tap-vpp2",
            "type": "TAP",
            "enabled": True,
            "vrf": main,
            "ip_addresses": [f"{hosts[1]}/112"],
        },
        "config/linux/interfaces/v2/interface/tap-vpp1": {
            "name": "tap-vpp1",
            "type": "TAP_TO_VPP",
            "ip_addresses": [f"{hosts[2]}/112"],
            "tap": {"vpp_tap_if_name": "tap-vpp2"},
        },
    }


def _or(part: int | None, number: int) -> int:
    return number if part is None else part


def vrf_keys(main: int = 0, pod: int = 1) -> dict[str, Json]:
    """The VRF tables and the default of the pods, for nodes where srv6kv does not make them."""
    tables = {
        f"config/vpp/v2/vrf-table/id/{vrf}/protocol/IPV6": {
            **({"id": vrf} if vrf else {}),
            "protocol": "IPV6",
            "label": label,
        }
        for vrf, label in ((main, "mainVRF-IPv6"), (pod, "podVRF-IPv6"))
    }
    return {
        **tables,
        f"config/vpp/v2/route/vrf/{pod}/dst/::/0/gw/::": {
            "type": "INTER_VRF",
            "vrf_id": pod,
            **({"via_vrf_id": main} if main else {}),
            "dst_network": "::/0",
            "next_hop_addr": "::",
        },
    }


def segment_keys(
    prefix: str, own_ip: str | None, others: Iterable[str], main: int = 0
) -> dict[str, Json]:
    """End localsid and routes to the other nodes' SIDs, where srv6kv does not make them."""
    found: dict[str, Json] = {}
    if own_ip is not None:
        own = sid(prefix, own_ip)
        vrf = {"installation_vrf_id": main} if main else {}
        found[f"config/vpp/srv6/v2/localsid/{own}"] = {"sid": own, "base_end_function": {}, **vrf}
    for address in others:
        found[f"config/vpp/v2/route/vrf/{main}/dst/{sid(prefix, address)}/128/gw/{address}"] = {
            "dst_network": f"{sid(prefix, address)}/128",
            "next_hop_addr": address,
            **({"vrf_id": main} if main else {}),
        }
    return found
