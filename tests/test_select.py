"""Which endpoints serve a service: rules E1 to E8 and C1 to C10 of spec/services.md section 3."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from clusters import Json, Ports, endpoint, endpoint_slice, service
from kubeproxy import offers, selected

from srv6kv.kube.model import EndpointSlice, Service
from srv6kv.kube.parse import parse
from srv6kv.select import Candidate, Candidates, candidates_of, select

ONE, TWO, THREE = "2001::1:1", "2001::1:2", "2001::1:3"


def _service(ports: Ports = (("http", "TCP", 80),), policy: str | None = None) -> Service:
    found = parse("Service", service("web", "2096::10", ports, internalTrafficPolicy=policy))
    assert isinstance(found, Service)
    return found


def _slices(*bodies: Json) -> list[EndpointSlice]:
    found = [parse("EndpointSlice", body) for body in bodies]
    return [item for item in found if isinstance(item, EndpointSlice)]


def _slice(*endpoints: Json, ports: Ports = (("http", "TCP", 80),), name: str = "s") -> Json:
    return endpoint_slice("web", endpoints, ports, name=name)


def _candidates(*bodies: Json, ports: Ports = (("http", "TCP", 80),)) -> Candidates:
    return candidates_of(_service(ports), _slices(*bodies))


def _only(found: Candidates) -> list[Candidate]:
    [listed] = found.values()
    return list(listed)


def _chosen(*endpoints: Json, zone: str = "z1", policy: str | None = None) -> tuple[str, ...]:
    of = _service(policy=policy)
    listed = candidates_of(of, _slices(_slice(*endpoints)))
    return select(of, listed, "n1", zone, local_only=of.is_internal_local).addresses


@pytest.mark.parametrize(
    ("labels", "is_listed"),
    [
        ({}, True),
        ({"kubernetes.io/service-name": ""}, False),
        ({"service.kubernetes.io/headless": ""}, False),
        ({"service.kubernetes.io/service-proxy-name": "x"}, False),
    ],
)
def test_e1_a_slice_belongs_by_its_label(labels: dict[str, str], is_listed: bool) -> None:
    """A slice without owner, of a headless service or of another proxy belongs to nobody."""
    body = endpoint_slice("web", [endpoint(ONE)], labels=labels)
    [found] = _slices(body)

    assert (found.service is not None) == is_listed


def test_e2_only_ipv6_slices_and_first_addresses_count() -> None:
    """Slices of other families are ignored, as are endpoints without an address."""
    two_addresses = {**endpoint(ONE), "addresses": [ONE, TWO]}
    none = {**endpoint(ONE), "addresses": []}
    four = {**_slice(endpoint("10.1.1.5")), "addressType": "IPv4"}
    name = {**_slice(endpoint("example.org")), "addressType": "FQDN"}

    assert [item.address for item in _only(_candidates(_slice(two_addresses, none)))] == [ONE]
    assert [item.service for item in _slices(four, name)] == [None, None]


@pytest.mark.parametrize("port", [(None, "TCP", 80), ("http", "TCP", None), ("http", "TCP", 0)])
def test_e3_a_port_without_name_or_number_is_ignored(port: tuple[str, str, int]) -> None:
    """A slice port without name or number offers nothing."""
    assert _only(_candidates(_slice(endpoint(ONE), ports=[port]))) == []


def test_e4_ports_match_by_name_and_protocol() -> None:
    """A slice port serves the service port of its name and protocol, whatever the numbers."""
    ports = [("dns", "TCP", 53), ("dns", "UDP", 53), ("other", "TCP", 54)]
    found = _candidates(
        _slice(endpoint(ONE), ports=[("dns", "UDP", 5353), ("strange", "TCP", 1)]), ports=ports
    )
    offered = {port: [item.target for item in listed] for port, listed in found.items()}

    assert offered == {
        ("dns", "TCP", 53): [],
        ("dns", "UDP", 53): [5353],
        ("other", "TCP", 54): [],
    }


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, (True, True, False)),
        ({"ready": False}, (False, True, False)),
        ({"serving": False}, (True, False, False)),
        ({"terminating": True}, (True, True, True)),
        ({"ready": True, "serving": True, "terminating": False}, (True, True, False)),
    ],
)
def test_e5_absent_conditions(
    conditions: dict[str, Any], expected: tuple[bool, bool, bool]
) -> None:
    """Ready and serving are true unless they are false, terminating is false unless true."""
    [[found]] = [item.endpoints for item in _slices(_slice(endpoint(ONE, **conditions)))]

    assert (found.ready, found.serving, found.terminating) == expected


def test_e6_local_is_what_names_this_node() -> None:
    """With the policy Local only endpoints with our node's name are used."""
    listed = (endpoint(ONE, "n1"), endpoint(TWO, "n2"), endpoint(THREE))

    assert _chosen(*listed, policy="Local") == (ONE,)
    assert _chosen(*listed) == (ONE, TWO, THREE)


def test_e7_slices_are_merged_by_address_and_port() -> None:
    """An endpoint in two slices is one; with another target port it is another."""
    found = _candidates(
        _slice(endpoint(ONE), endpoint(TWO), name="a"),
        _slice(endpoint(ONE), name="b"),
        _slice(endpoint(ONE), ports=[("http", "TCP", 8080)], name="c"),
    )

    assert [(item.address, item.target) for item in _only(found)] == [
        (ONE, 80),
        (ONE, 8080),
        (TWO, 80),
    ]


@pytest.mark.parametrize("is_reversed", [True, False])
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"terminating": True}, {"ready": False}, "b"),
        ({"ready": False}, {"ready": True}, "b"),
        ({"ready": False}, {"terminating": True}, "a"),
        ({}, {}, "a"),
    ],
)
def test_e8_of_duplicates_the_living_then_the_ready_then_the_first_slice_counts(
    first: dict[str, Any], second: dict[str, Any], expected: str, is_reversed: bool
) -> None:
    """Not terminating comes first, then ready, then the lowest slice name, in any order."""
    bodies = [
        _slice(endpoint(ONE, **first), name="a"),
        _slice(endpoint(ONE, **second), name="b"),
    ]
    [found] = _only(_candidates(*(reversed(bodies) if is_reversed else bodies)))

    assert found.slice_name == expected


def test_c2_and_c4_node_hints_come_first() -> None:
    """When all ready endpoints have node hints and one names us, only those that do are used."""
    ours, others = endpoint(ONE, nodes=["n1"]), endpoint(TWO, nodes=["n2"])

    assert _chosen(ours, others) == (ONE,)
    assert _chosen(others) == (TWO,)
    assert _chosen(ours, others, endpoint(THREE)) == (ONE, TWO, THREE)


def test_c2_and_c4_zone_hints_come_second() -> None:
    """Zone hints count likewise, for a node that has a zone and without usable node hints."""
    ours, others = endpoint(ONE, zones=["z1"]), endpoint(TWO, zones=["z2", "z3"])
    both = endpoint(THREE, zones=["z2"], nodes=["n1"])

    assert _chosen(ours, others) == (ONE,)
    assert _chosen(ours, others, zone="") == (ONE, TWO)
    assert _chosen(ours, others, zone="z4") == (ONE, TWO)
    assert _chosen(ours, both) == (ONE,)


def test_c2_only_ready_endpoints_decide_about_hints() -> None:
    """An endpoint that is not ready neither spoils nor provides hints."""
    ours, others = endpoint(ONE, zones=["z1"]), endpoint(TWO, zones=["z2"])
    plain = endpoint(THREE, ready=False)

    assert _chosen(ours, others, plain) == (ONE,)
    assert _chosen({**ours, "conditions": {"ready": False}}, others) == (TWO,)


def test_c5_without_ready_endpoints_the_serving_that_terminate_are_used() -> None:
    """What terminates but still serves is the last resort, wherever it is and whatever it hints."""
    leaving = endpoint(ONE, ready=False, serving=True, terminating=True, zones=["z2"])
    starting = endpoint(TWO, ready=False)

    assert _chosen(leaving, starting) == (ONE,)
    assert _chosen(leaving, endpoint(TWO)) == (TWO,)


def test_c6_local_traffic_never_leaves_and_ignores_hints() -> None:
    """Local endpoints are used whatever they hint; without any there is none."""
    local = endpoint(ONE, "n1", zones=["z2"], nodes=["n2"])
    leaving = endpoint(TWO, "n1", ready=False, serving=True, terminating=True)
    remote = endpoint(THREE, "n2")

    assert _chosen(local, leaving, remote, policy="Local") == (ONE,)
    assert _chosen(leaving, remote, policy="Local") == (TWO,)
    assert _chosen(remote, policy="Local") == ()


def test_c8_internal_traffic_follows_its_own_policy() -> None:
    """externalTrafficPolicy does not touch the ClusterIP (defect D9)."""
    body = service("web", "2096::10", externalTrafficPolicy="Local", type="LoadBalancer")
    found = parse("Service", body)
    assert isinstance(found, Service)

    assert (found.is_internal_local, found.is_external_local) == (False, True)


def test_c9_without_endpoints_nothing_is_selected() -> None:
    """A service whose endpoints are all not ready has none, and none is an answer."""
    assert _chosen(endpoint(ONE, ready=False), endpoint(TWO, ready=False, serving=False)) == ()


def test_c10_what_terminates_and_does_not_serve_is_never_used() -> None:
    """Not even as the last one."""
    assert _chosen(endpoint(ONE, ready=False, serving=False, terminating=True)) == ()


def test_ports_with_different_endpoints_are_reported() -> None:
    """The union of the ports' endpoints is selected, and the selection says that they differ."""
    ports = [("http", "TCP", 80), ("https", "TCP", 443), ("none", "TCP", 1)]
    of = _service(ports)
    listed = candidates_of(
        of,
        _slices(
            _slice(endpoint(ONE), ports=ports[:2], name="a"),
            _slice(endpoint(TWO), ports=ports[:1], name="b"),
        ),
    )
    found = select(of, listed, "n1", "", local_only=False)

    assert found.addresses == (ONE, TWO)
    assert found.ports_differ


CONDITIONS: tuple[dict[str, Any], ...] = (
    {},
    {"ready": False},
    {"ready": False, "serving": True, "terminating": True},
    {"ready": False, "serving": False, "terminating": True},
)
HINTS: tuple[dict[str, Any], ...] = (
    {},
    {"zones": ["z1"]},
    {"zones": ["z2"]},
    {"nodes": ["n1"]},
    {"nodes": ["n2"], "zones": ["z1"]},
)
PLACES = [(c, n, h) for c, n, h in product(CONDITIONS, ("n1", "n2"), HINTS)]


@pytest.mark.parametrize("zone", ["", "z1"])
@pytest.mark.parametrize("policy", [None, "Local"])
def test_every_pair_of_endpoints_is_selected_as_by_kube_proxy(
    policy: str | None, zone: str
) -> None:
    """All pairs of conditions, nodes and hints agree with the slow way to select."""
    body = service("web", "2096::10", internalTrafficPolicy=policy)
    for one, two in product(PLACES, PLACES):
        listed = [
            endpoint(address, node, **conditions, **hints)
            for address, (conditions, node, hints) in zip((ONE, TWO), (one, two), strict=True)
        ]
        [offered] = offers([_slice(*listed)], body).values()
        expected = selected(offered, "n1", zone, is_local=policy == "Local")

        assert set(_chosen(*listed, zone=zone, policy=policy)) == expected
