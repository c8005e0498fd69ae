"""For every field of the API a change that shows what srv6kv makes of it.

The base is a load-balanced service with one endpoint on node 1 and one on node 2; nothing is to be
said about it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

from clusters import endpoint, endpoint_slice

Json = dict[str, Any]
HERE, THERE, LATER = "2001:0:0:1::5", "2001:0:0:2::7", "2001:0:0:1::6"
SERVICE: Json = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {
        "name": "web",
        "namespace": "default",
        "labels": {"app": "web"},
        "creationTimestamp": "2026-01-02T00:00:00Z",
    },
    "spec": {
        "type": "LoadBalancer",
        "clusterIP": "2096::10",
        "clusterIPs": ["2096::10"],
        "ipFamilies": ["IPv6"],
        "externalIPs": ["fd20::1"],
        "externalTrafficPolicy": "Cluster",
        "internalTrafficPolicy": "Cluster",
        "sessionAffinity": "None",
        "selector": {"app": "web"},
        "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}],
    },
    "status": {"loadBalancer": {"ingress": [{"ip": "fd10::5", "ipMode": "VIP"}]}},
}
SLICE: Json = {
    "apiVersion": "discovery.k8s.io/v1",
    "kind": "EndpointSlice",
    "metadata": {
        "name": "web-1",
        "namespace": "default",
        "labels": {"kubernetes.io/service-name": "web"},
    },
    "addressType": "IPv6",
    "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
    "endpoints": [
        {"addresses": [HERE], "conditions": {}, "nodeName": "node1", "hints": {}},
        {"addresses": [THERE], "conditions": {}, "nodeName": "node2", "hints": {}},
    ],
}


class Case(NamedTuple):
    """A value of a field, in the base objects or in those that ``first`` has changed.

    Attributes:
        value: what the field becomes; None: null.
        first: other fields, by path, in both of the compared clusters.
        more: further objects in both.
    """

    value: object
    first: Mapping[str, object] = {}
    more: tuple[Json, ...] = ()


def _twin(*external: str) -> tuple[Json, Json]:
    """An older service with other endpoints, and with these external addresses."""
    service, item = copy.deepcopy(SERVICE), copy.deepcopy(SLICE)
    service["metadata"] |= {"name": "twin", "creationTimestamp": "2026-01-01T00:00:00Z"}
    service["spec"] |= {"clusterIP": "2096::20", "clusterIPs": ["2096::20"]}
    service["spec"]["externalIPs"] = list(external)
    service["status"] = {}
    item["metadata"] |= {"name": "twin-1", "labels": {"kubernetes.io/service-name": "twin"}}
    item["endpoints"] = [endpoint(LATER, "node1")]
    return service, item


def _other_slice(at: str = "node2") -> Json:
    """A slice that lists the endpoint of node 1 again, elsewhere."""
    body = endpoint_slice("web", [endpoint(HERE, at)], (("http", "TCP", 8080),), name="web-5")
    return {**body, "apiVersion": "discovery.k8s.io/v1"}


def _pods() -> tuple[Json, ...]:
    """Two pods that had one address, the later one in a mesh."""
    return tuple(
        {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {"name": name, "namespace": space, "annotations": annotations},
            "spec": {"nodeName": "node1"},
            "status": {"phase": "Running", "podIP": HERE, "podIPs": [{"ip": HERE}]},
        }
        for name, space, annotations in (
            ("plain", "default", {}),
            ("meshed", "default", {"linkerd.io/proxy-version": "2"}),
            ("plain", "other", {"linkerd.io/proxy-version": "2"}),
        )
    )


DUAL = {
    "Service:spec.clusterIP": "10.96.0.1",
    "Service:spec.clusterIPs": ["10.96.0.1", "2096::10"],
    "Service:spec.ipFamilies": ["IPv4", "IPv6"],
}
HINTED = {
    "EndpointSlice:endpoints": [
        endpoint(HERE, "node1", nodes=["node1"]),
        endpoint(THERE, "node2", nodes=["node2"]),
    ]
}
ZONED = {
    "EndpointSlice:endpoints": [
        endpoint(HERE, "node1", zones=["z1"]),
        endpoint(THERE, "node2", zones=["z2"]),
    ]
}
NAMED = {
    "EndpointSlice:endpoints": [
        {
            **endpoint(HERE, "node1"),
            "targetRef": {"kind": "Pod", "namespace": "default", "name": "plain"},
        }
    ]
}
TERMINATING = {"EndpointSlice:endpoints": [endpoint(HERE, "node1", ready=False, terminating=True)]}
HONOURED: dict[str, dict[str, list[Case]]] = {
    "Service": {
        "apiVersion": [Case("serving.knative.dev/v1")],
        "kind": [Case("Knative")],
        "metadata.name": [Case("other")],
        "metadata.namespace": [Case("other")],
        "metadata.labels": [Case({"service.kubernetes.io/service-proxy-name": "other"})],
        "metadata.creationTimestamp": [Case("2025-01-01T00:00:00Z", more=_twin("fd20::1"))],
        "spec.clusterIP": [Case("2096::11", {"Service:spec.clusterIPs": None}), Case("None")],
        "spec.clusterIPs": [Case(["2096::11"])],
        "spec.externalIPs": [Case(["fd20::2"])],
        "spec.externalTrafficPolicy": [Case("Local")],
        "spec.internalTrafficPolicy": [Case("Local")],
        "spec.ipFamilies": [Case(["IPv4"])],
        "spec.ports[].name": [Case("other")],
        "spec.ports[].port": [Case(81)],
        "spec.ports[].protocol": [Case("UDP")],
        "spec.type": [
            Case("ExternalName"),
            Case(
                "ClusterIP",
                {
                    "Service:spec.externalTrafficPolicy": "Local",
                    "Service:spec.externalIPs": [],
                },
            ),
        ],
        "status.loadBalancer.ingress[].ip": [Case("fd10::6")],
        "status.loadBalancer.ingress[].ipMode": [Case("Proxy")],
    },
    "EndpointSlice": {
        "apiVersion": [Case("example.com/v1")],
        "kind": [Case("Slices")],
        "addressType": [Case("FQDN")],
        "endpoints[].addresses": [Case([LATER])],
        "endpoints[].conditions.ready": [Case(False)],
        "endpoints[].conditions.serving": [Case(False, TERMINATING)],
        "endpoints[].conditions.terminating": [Case(False, TERMINATING)],
        "endpoints[].hints.forNodes[].name": [Case("node2", HINTED)],
        "endpoints[].hints.forZones[].name": [Case("z2", ZONED)],
        "endpoints[].nodeName": [Case("node2")],
        "endpoints[].targetRef.kind": [Case("Other", NAMED, _pods())],
        "endpoints[].targetRef.name": [Case("meshed", NAMED, _pods())],
        "endpoints[].targetRef.namespace": [Case("other", NAMED, _pods())],
        "metadata.name": [Case("web-9", more=(_other_slice(),))],
        "metadata.namespace": [Case("other")],
        "metadata.labels": [
            Case({"kubernetes.io/service-name": "other"}),
            Case({"kubernetes.io/service-name": "web", "service.kubernetes.io/headless": ""}),
        ],
        "ports[].name": [Case("other")],
        "ports[].port": [Case(8081)],
        "ports[].protocol": [Case("UDP")],
    },
}
REPORTED: dict[str, dict[str, dict[str, Case]]] = {
    "Service": {
        "spec.clusterIP": {
            "AddressDenied": Case("fd00::102", {"Service:spec.clusterIPs": None}),
            "ClusterIPOutsideServiceCIDR": Case("fd77::1", {"Service:spec.clusterIPs": None}),
            "ServiceIPConflict": Case("2096::20", {"Service:spec.clusterIPs": None}, _twin()),
        },
        "spec.clusterIPs": {
            "IPv4NotRendered": Case(
                ["2096::10", "10.96.0.1"], {"Service:spec.ipFamilies": ["IPv6", "IPv4"]}
            )
        },
        "spec.externalIPs": {
            "ExternalIPDenied": Case(["2001:db8::1"]),
            "ExternalAddressInvalid": Case(["fd20::1", "here"]),
        },
        "spec.loadBalancerSourceRanges": {"SourceRangesUnsupported": Case(["fd77::/64"])},
        "spec.ports[].nodePort": {"NodePortLeftToKubeProxy": Case(30080)},
        "spec.sessionAffinity": {"SessionAffinityUnsupported": Case("ClientIP")},
        "status.loadBalancer.ingress[].ip": {
            "ExternalIPDenied": Case("fd00::102"),
            "ExternalAddressInvalid": Case("here"),
        },
    },
    "EndpointSlice": {
        "endpoints[].addresses": {"ExternalEndpointUnsupported": Case(["2001:db8::1"])},
        "endpoints[].nodeName": {
            "ExternalEndpointUnsupported": Case(None),
            "NodeUnknown": Case("node9"),
        },
        "ports[].port": {"EndpointPortIgnored": Case(None)},
    },
}
IRRELEVANT: dict[str, dict[str, object]] = {
    "Service": {
        "metadata.annotations": {"service.kubernetes.io/topology-mode": "Auto"},
        "spec.allocateLoadBalancerNodePorts": False,
        "spec.externalName": "example.com",
        "spec.healthCheckNodePort": 31000,
        "spec.ipFamilyPolicy": "PreferDualStack",
        "spec.loadBalancerClass": "example.com/lb",
        "spec.loadBalancerIP": "fd10::9",
        "spec.ports[].appProtocol": "http",
        "spec.ports[].targetPort": 9999,
        "spec.publishNotReadyAddresses": True,
        "spec.selector": {"app": "other"},
        "spec.sessionAffinityConfig.clientIP.timeoutSeconds": 60,
        "spec.trafficDistribution": "PreferClose",
        "status.conditions[].lastTransitionTime": "2026-01-01T00:00:00Z",
        "status.conditions[].message": "text",
        "status.conditions[].observedGeneration": 2,
        "status.conditions[].reason": "Text",
        "status.conditions[].status": "False",
        "status.conditions[].type": "Ready",
        "status.loadBalancer.ingress[].hostname": "lb.example.com",
        "status.loadBalancer.ingress[].ports[].error": "Text",
        "status.loadBalancer.ingress[].ports[].port": 81,
        "status.loadBalancer.ingress[].ports[].protocol": "UDP",
    },
    "EndpointSlice": {
        "metadata.annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "x"},
        "metadata.creationTimestamp": "2020-01-01T00:00:00Z",
        "endpoints[].deprecatedTopology": {"kubernetes.io/hostname": "node2"},
        "endpoints[].hostname": "web-0",
        "endpoints[].targetRef.apiVersion": "v1",
        "endpoints[].targetRef.fieldPath": "spec",
        "endpoints[].targetRef.resourceVersion": "9",
        "endpoints[].targetRef.uid": "9",
        "endpoints[].zone": "z2",
        "ports[].appProtocol": "http",
    },
}
