"""Small Kubernetes objects, as an API server takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from objectstore import Json


def service(name: str, address: str = "", labels: Mapping[str, str] | None = None) -> Json:
    """A service of the namespace default; without an address a headless one."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default", "labels": dict(labels or {})},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": address or "None",
            "clusterIPs": [address or "None"],
            "ipFamilies": ["IPv6"],
            "ipFamilyPolicy": "SingleStack",
            "ports": [{"name": "http", "protocol": "TCP", "port": 80}],
        },
    }


def slice_of(
    name: str,
    endpoints: Sequence[str],
    on: str = "node1",
    labels: Mapping[str, str] | None = None,
) -> Json:
    """A slice of a service with ready endpoints on one node."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-1",
            "namespace": "default",
            "labels": {**(labels or {}), "kubernetes.io/service-name": name},
        },
        "addressType": "IPv6",
        "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
        "endpoints": [
            {"addresses": [one], "conditions": {"ready": True}, "nodeName": on} for one in endpoints
        ],
    }


def node(name: str) -> Json:
    """A node."""
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {}}


def pod(name: str, on: str) -> Json:
    """A pod of the namespace default on a node."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"nodeName": on, "containers": [{"name": "c", "image": "example.org/none"}]},
    }
