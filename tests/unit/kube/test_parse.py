"""Kubernetes objects into values, or one error that names the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from clusters import Json, endpoint, endpoint_slice, node, service

from srv6kv.kube.model import (
    Endpoint,
    EndpointSlice,
    Ignored,
    Node,
    Ref,
    Service,
    ServicePort,
    SlicePort,
)
from srv6kv.kube.parse import ParseError, parse, read


def _parse(body: Mapping[str, Any]) -> object:
    return parse(body["kind"], body)


def test_a_service() -> None:
    """A service is its reference, address, ports and policies; ports are sorted."""
    body = service(
        "web",
        "2096:0::0010",
        [("https", "TCP", 443), ("dns", "UDP", 53)],
        created="2026-01-01T00:00:00Z",
        sessionAffinity="ClientIP",
        internalTrafficPolicy="Local",
    )

    assert _parse(body) == Service(
        ref=Ref("default", "web"),
        created="2026-01-01T00:00:00Z",
        cluster_ip="2096::10",
        ports=(ServicePort("dns", "UDP", 53), ServicePort("https", "TCP", 443)),
        is_internal_local=True,
        has_affinity=True,
    )


def test_the_least_service() -> None:
    """Null and absent are the same; a port is TCP and unnamed, a namespace default."""
    body = {
        "kind": "Service",
        "metadata": {"name": "web", "namespace": None, "labels": None},
        "spec": {"clusterIP": "2096::10", "ports": [{"port": 80, "name": None, "protocol": None}]},
        "status": None,
    }

    assert _parse(body) == Service(
        Ref("default", "web"), "", "2096::10", (ServicePort("", "TCP", 80),)
    )


def test_a_slice() -> None:
    """A slice is its service, ports and endpoints with conditions and hints."""
    body = endpoint_slice(
        "web",
        [endpoint("2001:0:0:1:0::5", "n1", ready=False, zones=["b", "a"], nodes=["n1"])],
        [("http", "TCP", 8080), (None, "UDP", None)],
    )
    body["endpoints"][0]["targetRef"] = {"kind": "Pod", "namespace": "default", "name": "web-0"}

    assert _parse(body) == EndpointSlice(
        ref=Ref("default", "web-1"),
        service=Ref("default", "web"),
        ports=(SlicePort("http", "TCP", 8080), SlicePort("", "UDP", None)),
        endpoints=(
            Endpoint(
                address="2001:0:0:1::5",
                ready=False,
                node="n1",
                pod=Ref("default", "web-0"),
                zone_hints=("a", "b"),
                node_hints=("n1",),
            ),
        ),
    )


@pytest.mark.parametrize("hint", [{"name": ""}, {"name": None}, {}])
def test_a_hint_without_a_name(hint: dict[str, str | None]) -> None:
    """It is the empty name, as for the API server, which leads to nodes without a zone."""
    body = endpoint_slice("web", [endpoint("2001:0:0:1::5", "n1")], [("http", "TCP", 8080)])
    body["endpoints"][0]["hints"] = {"forZones": [hint]}
    found = _parse(body)

    assert isinstance(found, EndpointSlice)
    assert found.endpoints[0].zone_hints == ("",)


def test_the_least_slice() -> None:
    """Endpoints and ports may be null, and a slice may belong to nobody."""
    metadata = {"name": "web-1", "labels": None}
    body = {
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": "IPv6",
        "ports": None,
        "endpoints": None,
    }

    reason = Ignored(None, "E1", "metadata.labels: kubernetes.io/service-name names no service")
    assert _parse(body) == EndpointSlice(Ref("default", "web-1"), None, (), (), reason)


def test_a_node() -> None:
    """A node is its pod CIDRs and addresses, its zone and what is annotated."""
    body = node(1, zone="z1", annotations={"srv6kv.io/node-ip": "FE10:F00D::1"})
    body["spec"] = {"podCIDR": "10.1.1.0/24", "podCIDRs": ["10.1.1.0/24", "2001:0:0:1::7/64"]}
    body["status"]["addresses"] += [
        {"type": "InternalIP", "address": "192.168.1.1"},
        {"type": "Hostname", "address": "fd00::0:1"},
        {"type": "ExternalDNS", "address": "a:b"},
    ]

    assert _parse(body) == Node(
        name="node1",
        pod_cidrs=("10.1.1.0/24", "2001:0:0:1::/64"),
        addresses=("192.168.1.1", "fd00::1", "fd00::101"),
        node_ip="fe10:f00d::1",
        zone="z1",
    )


def test_the_least_node() -> None:
    """A node may have a name only."""
    assert _parse({"kind": "Node", "metadata": {"name": "n"}, "spec": None}) == Node("n")


def _changed(body: Json, path: tuple[str | int, ...], value: object) -> Json:
    *way, last = path
    place: Any = body
    for step in way:
        place = place[step]
    place[last] = value
    return body


def _slice() -> Json:
    return endpoint_slice("web", [endpoint("2001:0:0:1::5", "n1")])


MALFORMED: dict[str, tuple[Json, str]] = {
    "metadata.name": (service("Web", "2096::1"), "not a Kubernetes name"),
    "metadata.namespace": (service("web", "2096::1", namespace="a.b"), "not a Kubernetes name"),
    "metadata": ({"kind": "Service", "spec": {}}, "is missing"),
    "spec": ({"kind": "Service", "metadata": {"name": "web"}}, "is missing"),
    "spec.ports": (_changed(service("web", "2096::1"), ("spec", "ports"), "80"), "not a list"),
    "endpoints": (_changed(_slice(), ("endpoints",), "x"), "not a list"),
    "addressType": (_changed(_slice(), ("addressType",), 6), "not text"),
    "status": (_changed(node(1), ("status",), []), "not an object"),
}


@pytest.mark.parametrize(("field", "case"), MALFORMED.items(), ids=MALFORMED.keys())
def test_what_is_malformed_names_its_field(field: str, case: tuple[Json, str]) -> None:
    """One error, ``field: what is wrong``."""
    body, reason = case
    with pytest.raises(ParseError) as caught:
        _parse(body)
    text = str(caught.value)

    assert text.startswith(f"{field}: ")
    assert reason in text
    assert "\n" not in text


@pytest.mark.parametrize("body", [[], None, "x", 1, {"metadata": []}, {"metadata": {"name": 1}}])
@pytest.mark.parametrize("kind", ["Service", "EndpointSlice", "Node"])
def test_what_is_no_object_is_a_parse_error(kind: str, body: Any) -> None:
    """Whatever JSON comes, the error is the same kind."""
    with pytest.raises(ParseError):
        parse(kind, body)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("type", "Loadbalancer"),
        ("sessionAffinity", "clientip"),
        ("internalTrafficPolicy", "local"),
        ("externalTrafficPolicy", "x"),
        ("ipFamilies", ["ipv6"]),
    ],
)
def test_a_misspelt_word_is_the_default_with_a_warning(field: str, value: Any) -> None:
    """Words that the API does not know change nothing, and are not ignored in silence."""
    found, skipped = read("Service", service("web", "2096::10", **{field: value}))

    assert found == _parse(service("web", "2096::10"))
    assert str(skipped).startswith(f"spec.{field}")
    assert "is not one of" in str(skipped)


def test_a_misspelt_ip_mode_leaves_the_address_out() -> None:
    """The address is told as not usable; the others are."""
    ingress = [{"ip": "fd10::5", "ipMode": "vip"}, {"ip": "fd10::6", "ipMode": "VIP"}]
    found = _parse(service("web", "2096::10", status={"loadBalancer": {"ingress": ingress}}))
    assert isinstance(found, Service)

    assert found.balancer_ips == ("fd10::6",)
    assert found.bad_addresses == ("fd10::5 of ipMode vip",)


def test_a_slice_of_others_is_not_looked_into() -> None:
    """A malformed endpoint in a slice that is not ours does no harm."""
    body = endpoint_slice("web", [endpoint("nonsense")])
    body["addressType"] = "FQDN"

    reason = Ignored(Ref("default", "web"), "E2", "addressType: FQDN is not a family of addresses")
    assert _parse(body) == EndpointSlice(Ref("default", "web-1"), None, (), (), reason)
