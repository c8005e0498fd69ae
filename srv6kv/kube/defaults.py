"""What an API server fills in, for objects that never pass one: those in files.

Rule: pure, and never for what an API server sent. Each function names Kubernetes' own; only what
srv6kv reads, or shows, is filled in. What is of the wrong type stays as it is: ``kube.parse`` skips
it with a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from srv6kv.net.addresses import Prefix, canonical_of_any, is_ipv4

Json = Mapping[str, Any]


def completed(kind: str, body: Json) -> dict[str, Any]:
    """The object as an API server would keep it, if its kind has defaults here."""
    complete = _COMPLETE.get(kind)
    return complete(body) if complete is not None else dict(body)


def _with(body: Json, field: str, complete: Callable[[Json], Json]) -> dict[str, Any]:
    """Complete a field that holds an object."""
    value = body.get(field)
    return {**body, field: complete(value)} if isinstance(value, Mapping) else dict(body)


def _with_each(body: Json, field: str, complete: Callable[[Json], Json]) -> dict[str, Any]:
    """Complete each object of a field that holds a list."""
    value = body.get(field)
    if not isinstance(value, list):
        return dict(body)
    done = [complete(item) if isinstance(item, Mapping) else item for item in value]
    return {**body, field: done}


def _filled(body: Json, **values: Any) -> dict[str, Any]:
    """Give fields that are unset (absent, null or "") a value."""
    return {**body, **{name: v for name, v in values.items() if body.get(name) in (None, "")}}


def _service(body: Json) -> dict[str, Any]:
    """SetDefaults_Service (pkg/apis/core/v1/defaults.go), then what its registry fills in."""
    spec = body.get("spec")
    if not isinstance(spec, Mapping):
        return dict(body)
    kind = _filled(spec, type="ClusterIP")["type"]
    done = _with(body, "spec", _service_spec)
    if kind != "LoadBalancer":
        return done
    return _with(done, "status", lambda s: _with(s, "loadBalancer", _load_balancer))


def _service_spec(spec: Json) -> dict[str, Any]:
    done = _filled(spec, type="ClusterIP", sessionAffinity="None")
    done = _with_each(done, "ports", _service_port)
    kind = done["type"]
    if kind in ("NodePort", "LoadBalancer") or (kind == "ClusterIP" and done.get("externalIPs")):
        done = _filled(done, externalTrafficPolicy="Cluster")
    if kind == "ExternalName":
        return done
    return _with_families(_with_cluster_ips(_filled(done, internalTrafficPolicy="Cluster")))


def _service_port(port: Json) -> dict[str, Any]:
    done = _filled(port, protocol="TCP")
    if done.get("targetPort") in (None, "", 0) and "port" in port:
        done["targetPort"] = port["port"]
    return done


def _load_balancer(balancer: Json) -> dict[str, Any]:
    def ingress(item: Json) -> Json:
        return _filled(item, ipMode="VIP") if item.get("ip") else item

    return _with_each(balancer, "ingress", ingress)


def _with_cluster_ips(spec: Json) -> dict[str, Any]:
    """normalizeClusterIPs (pkg/registry/core/service/storage/storage.go): clusterIPs from
    clusterIP; and clusterIP from clusterIPs, which an API server refuses, as it is clear."""
    singular, plural = spec.get("clusterIP"), spec.get("clusterIPs")
    if isinstance(singular, str) and singular and not plural:
        return {**spec, "clusterIPs": [singular]}
    if singular in (None, "") and isinstance(plural, list) and plural:
        return {**spec, "clusterIP": plural[0]}
    return dict(spec)


def _with_families(spec: Json) -> dict[str, Any]:
    """initIPFamilyFields (pkg/registry/core/service/storage/alloc.go): ipFamilies from clusterIPs,
    where each place has none yet, and the policy from how many there are."""
    families, listed = spec.get("ipFamilies") or [], spec.get("clusterIPs") or []
    if not isinstance(families, list) or not isinstance(listed, list):
        return dict(spec)
    found = [family for text in listed[len(families) :] if (family := _family_of(text))]
    done = {**spec, "ipFamilies": [*families, *found]} if found else dict(spec)
    is_dual = len(done.get("ipFamilies") or []) > 1
    return _filled(done, ipFamilyPolicy="RequireDualStack" if is_dual else "SingleStack")


def _family_of(text: object) -> str:
    """The family of an address; "" if it is none."""
    try:
        address = canonical_of_any(text if isinstance(text, str) else "")
    except ValueError:
        return ""
    return "IPv4" if is_ipv4(address) else "IPv6"


def _endpoint_slice(body: Json) -> dict[str, Any]:
    """SetDefaults_EndpointPort (pkg/apis/discovery/v1/defaults.go)."""

    def port(item: Json) -> Json:
        unset = {"name": "", "protocol": "TCP"}
        return {**item, **{name: v for name, v in unset.items() if item.get(name) is None}}

    return _with_each(body, "ports", port)


def _node(body: Json) -> dict[str, Any]:
    """Convert_v1_NodeSpec_To_core_NodeSpec (pkg/apis/core/v1/conversion.go): podCIDRs from podCIDR,
    which decides where they differ."""

    def spec(found: Json) -> Json:
        plural, cidr = found.get("podCIDRs") or [], found.get("podCIDR")
        if not isinstance(plural, list) or not _is_prefix(cidr) or plural[:1] == [cidr]:
            return found
        return {**found, "podCIDRs": [cidr]}

    return _with(body, "spec", spec)


def _pod(body: Json) -> dict[str, Any]:
    """Convert_v1_PodStatus_To_core_PodStatus (pkg/apis/core/v1/conversion.go): the same for podIPs
    and podIP."""

    def status(found: Json) -> Json:
        plural, ip = found.get("podIPs") or [], found.get("podIP")
        if not isinstance(plural, list) or not _family_of(ip) or plural[:1] == [{"ip": ip}]:
            return found
        return {**found, "podIPs": [{"ip": ip}]}

    return _with(body, "status", status)


def _is_prefix(text: object) -> bool:
    try:
        Prefix.parse_any(text if isinstance(text, str) else "")
    except ValueError:
        return False
    return True


_COMPLETE: dict[str, Callable[[Json], dict[str, Any]]] = {
    "Service": _service,
    "EndpointSlice": _endpoint_slice,
    "Node": _node,
    "Pod": _pod,
}
