"""Which endpoints a service has: rules E1 to E11."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest
from choosing import (
    ONE,
    TWO,
    chosen,
    offered_by,
    only,
    parsed_slices,
    web,
    web_slice,
)
from clusters import Json, endpoint, endpoint_slice, node, pod_keys, service, settings
from kubeproxy import offers
from sidecar import Sidecar

from srv6kv.kube.model import Ref
from srv6kv.kube.parse import read
from srv6kv.render.selection import Unused, unused

POD, OTHER = "2001:0:0:1::5", "2001:0:0:2::7"
POLICY = "config/vpp/srv6/v2/policy/5555::10"
SERVICE_NAME = "kubernetes.io/service-name"


def _sidecar(*slices: Json) -> Sidecar:
    """Node 1 of two, with default/web and these slices of it."""
    sidecar = Sidecar(settings("seed"), "node1").put(node(1), node(2)).wire(pod_keys(POD))
    return sidecar.put(service("web", "2096::10"), *slices)


def _paths(sidecar: Sidecar) -> list[list[str]]:
    """The segments of the service's policy."""
    policy = json.loads(sidecar.owned().get(POLICY, b'{"segment_lists": []}'))
    return [item["segments"] for item in policy["segment_lists"]]


def _unused(*bodies: Json) -> list[Unused]:
    return list(unused(web(), parsed_slices(*bodies)))


# E1, E2 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [{}, {SERVICE_NAME: ""}, {SERVICE_NAME: "db"}])
def test_e1_a_slice_belongs_to_the_service_that_its_label_names(labels: dict[str, str]) -> None:
    """Neither the slice's name nor its owner reference counts, and no label means nobody."""
    body = endpoint_slice("web", [endpoint(ONE)])
    body["metadata"]["ownerReferences"] = [{"kind": "Service", "name": "web"}]
    body["metadata"]["labels"] = labels
    [found] = parsed_slices(body)

    assert found.service == (Ref("default", "db") if labels.get(SERVICE_NAME) else None)
    assert (found.ignored is None) == (found.service is not None)
    assert _unused(body) == []


def test_e1_a_slice_belongs_to_a_service_of_its_namespace() -> None:
    """A service of the same name in another namespace does not get its endpoints."""
    strange = endpoint_slice("web", [endpoint(POD, "node1")], namespace="other")
    ours = endpoint_slice("web", [endpoint(OTHER, "node2")])

    assert _paths(_sidecar(strange).settle()) == []
    assert len(_paths(_sidecar(strange, ours).settle())) == 1


def test_e1_a_slice_may_change_its_service() -> None:
    """The endpoints leave the one and come to the other."""
    body = endpoint_slice("web", [endpoint(POD, "node1")])
    sidecar = _sidecar(body).settle()
    assert _paths(sidecar) != []

    sidecar.put(service("db", "2096::11"))
    body["metadata"]["labels"] = {SERVICE_NAME: "db"}
    sidecar.put(body)
    sidecar.commit(sidecar.plan_change())
    assert _paths(sidecar) == []
    assert "config/vpp/srv6/v2/policy/5555::11" in sidecar.owned()


def test_e2_slices_of_names_are_ignored() -> None:
    """They are not even looked into, and they say why."""
    port = [("http", "ICMP", 80)]
    body = {**web_slice(endpoint("example.org"), ports=port), "addressType": "FQDN"}
    [found] = parsed_slices(body)
    [reason] = _unused(body)

    assert (found.service, found.endpoints) == (None, ())
    assert str(reason) == "EndpointSlice s: E2: addressType: FQDN is not a family of addresses"


def test_e2_slices_of_ipv4_offer_nothing_to_ipv6_addresses() -> None:
    """Each family by itself; without IPv4 they are told as left out."""
    body = {**web_slice(endpoint("10.1.1.5")), "addressType": "IPv4"}
    [reason] = _unused(body)
    sidecar = Sidecar(settings("seed"), "node1").put(service("web", "2096::10"), body)

    assert sidecar.desired().steered == {}
    assert str(reason) == "EndpointSlice s: E2: addressType: IPv4 counts only with srv6kv.ipv4"


@pytest.mark.parametrize(("family", "address"), [("IPv4", ONE), ("IPv6", "10.1.1.5")])
def test_e2_an_address_of_the_other_family_is_skipped(family: str, address: str) -> None:
    """The endpoint is left out with a warning; the others of the slice count."""
    good = ONE if family == "IPv6" else "10.1.1.6"
    body = {**web_slice(endpoint(address), endpoint(good)), "addressType": family}
    [found] = parsed_slices(body)
    _, skipped = read("EndpointSlice", body)

    assert [item.address for item in found.endpoints] == [good]
    assert str(skipped) == f"endpoints[0].addresses[0]: {address!r} is not an {family} address"


def test_e2_the_first_usable_address_counts() -> None:
    """Further addresses are not used; an endpoint without one does not exist."""
    two_addresses = {**endpoint(ONE), "addresses": [ONE, TWO]}
    bad_first = {**endpoint(TWO), "addresses": ["fe80::1%eth0", None, TWO]}
    none = {**endpoint(ONE), "addresses": []}
    body = web_slice(none, two_addresses, bad_first)

    assert [item.address for item in only(offered_by(body))] == [ONE, TWO]


# E3, E4 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("port", "why"),
    [
        (("http", "TCP", None), "has no number from 1 to 65535"),
        (("http", "TCP", 0), "has no number from 1 to 65535"),
        (("http", "TCP", -1), "has no number from 1 to 65535"),
        (("http", "TCP", 70000), "has no number from 1 to 65535"),
    ],
)
def test_e3_a_port_without_a_number_is_ignored(port: Any, why: str) -> None:
    """It offers nothing; another port of the same slice does."""
    both = web_slice(endpoint(ONE), ports=[port, ("http", "TCP", 8080)])

    assert [item.target for item in only(offered_by(both))] == [8080]
    assert only(offered_by(web_slice(endpoint(ONE), ports=[port]))) == []
    assert _unused(both) == [Unused("s", "ports[0]", "E3", why)]


def test_e3_such_a_port_is_remarked() -> None:
    """The note names the slice and the port."""
    sidecar = _sidecar(endpoint_slice("web", [endpoint(POD, "node1")], [("http", "TCP", 70000)]))
    [note] = [n for n in sidecar.desired().all_notes() if n.reason == "EndpointPortIgnored"]

    assert "web-1: ports[0]" in note.text


def test_e4_ports_match_by_name_and_protocol() -> None:
    """A slice port serves the service port of its name and protocol, whatever the numbers."""
    ports = [("dns", "TCP", 53), ("dns", "UDP", 53), ("other", "TCP", 54)]
    listed = [("dns", "UDP", 5353), ("strange", "TCP", 53), ("other", "SCTP", 54)]
    body = web_slice(endpoint(ONE), ports=listed)
    offered = {
        port: [item.target for item in found]
        for port, found in offered_by(body, ports=ports).items()
    }

    assert offered == {
        ("dns", "TCP", 53): [],
        ("dns", "UDP", 53): [5353],
        ("other", "TCP", 54): [],
    }
    assert [(item.place, item.rule) for item in unused(web(ports), parsed_slices(body))] == [
        ("ports[1]", "E4"),
        ("ports[2]", "E4"),
    ]


# E5, E6 -------------------------------------------------------------------------------------------

UNKNOWN: tuple[bool | None, ...] = (None, True, False)


@pytest.mark.parametrize(("ready", "serving", "terminating"), [*product(UNKNOWN, UNKNOWN, UNKNOWN)])
def test_e5_absent_conditions(
    ready: bool | None, serving: bool | None, terminating: bool | None
) -> None:
    """Ready and serving hold unless they are false, terminating only if it is true."""
    body = web_slice(endpoint(ONE, ready=ready, serving=serving, terminating=terminating))
    [[found]] = [item.endpoints for item in parsed_slices(body)]

    assert found.ready == (ready in (None, True))
    assert found.serving == (serving in (None, True))
    assert found.terminating == (terminating is True)


def test_e5_conditions_may_be_absent_altogether() -> None:
    """Such an endpoint is ready."""
    body = web_slice({"addresses": [ONE], "conditions": None}, {"addresses": [TWO]})

    assert [item.endpoint.ready for item in only(offered_by(body))] == [True, True]


@pytest.mark.parametrize("node_name", [None, "", "n2", "N1", "n1.example.org"])
def test_e6_local_is_what_names_this_node(node_name: str | None) -> None:
    """With the policy Local only endpoints with our node's exact name are used."""
    listed = (endpoint(ONE, "n1"), endpoint(TWO, node_name))

    assert chosen(*listed, local_only=True) == (ONE,)
    assert chosen(*listed) == (ONE, TWO)


# E7, E8 -------------------------------------------------------------------------------------------


def test_e7_slices_are_merged_by_address_and_port() -> None:
    """An endpoint in two slices is one; with another target port it is another."""
    found = offered_by(
        web_slice(endpoint(ONE), endpoint(TWO), name="a"),
        web_slice(endpoint(ONE), name="b"),
        web_slice(endpoint(ONE), ports=[("http", "TCP", 8080)], name="c"),
    )

    assert [(item.address, item.target) for item in only(found)] == [
        (ONE, 80),
        (ONE, 8080),
        (TWO, 80),
    ]


def test_e7_the_ports_of_a_service_are_merged_apart() -> None:
    """The same pod with the same target port for two ports of the service serves both."""
    ports = [("a", "TCP", 1), ("b", "TCP", 2)]
    found = offered_by(
        web_slice(endpoint(ONE), ports=[("a", "TCP", 80)], name="a"),
        web_slice(endpoint(ONE, ready=False), ports=[("b", "TCP", 80)], name="b"),
        ports=ports,
    )

    assert [[item.endpoint.ready for item in listed] for listed in found.values()] == [
        [True],
        [False],
    ]


STATES: list[dict[str, Any]] = [
    {"ready": ready, "serving": serving, "terminating": terminating}
    for ready, serving, terminating in product(UNKNOWN, UNKNOWN, UNKNOWN)
]


def test_e8_of_duplicates_the_living_then_the_ready_then_the_first_slice_counts() -> None:
    """All pairs of conditions, in both orders of slices and of their names, are as kube-proxy's."""
    cells = 0
    for first, second in product(STATES, STATES):
        bodies = [
            web_slice(endpoint(ONE, "n1", **first), name="a"),
            web_slice(endpoint(ONE, "n2", **second), name="b"),
        ]
        [[expected]] = offers(bodies, service("web", "2096::10")).values()
        for ordered in (bodies, bodies[::-1]):
            [found] = only(offered_by(*ordered))
            assert found.slice_name == expected.slice_name
            cells += 1

    assert cells == 2 * 27 * 27


def test_e8_an_endpoint_twice_in_a_slice_counts_once() -> None:
    """Of two that differ in nothing that counts the last is used, as kube-proxy does."""
    [found] = only(offered_by(web_slice(endpoint(ONE, "n1"), endpoint(ONE, "n2"))))

    assert found.endpoint.node == "n2"


def test_e8_within_a_slice_the_last_that_does_not_terminate_counts() -> None:
    """Ready or not, in all triples of conditions; if all terminate, the first."""
    for states in product(STATES, repeat=3):
        listed = [endpoint(ONE, f"n{index}", **state) for index, state in enumerate(states)]
        body = web_slice(*listed)
        [[expected]] = offers([body], service("web", "2096::10")).values()
        [found] = only(offered_by(body))

        assert found.endpoint.node == expected.node, states


def test_e8_slices_are_ranked_by_what_each_of_them_says() -> None:
    """An entry that its own slice overrides does not decide between slices."""
    first = web_slice(endpoint(ONE, "n1", ready=False), name="a")
    second = web_slice(endpoint(ONE, "n2"), endpoint(ONE, "n3", ready=False), name="b")
    for bodies in ([first, second], [second, first]):
        [found] = only(offered_by(*bodies))

        assert (found.slice_name, found.endpoint.node) == ("a", "n1")


# E9 to E11 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_reversed", [True, False])
def test_e9_an_endpoint_that_moves_between_slices_does_not_disappear(is_reversed: bool) -> None:
    """Both events in one batch write nothing, whichever comes first."""
    here = [endpoint(POD, "node1")]
    sidecar = _sidecar(
        endpoint_slice("web", here, name="a"), endpoint_slice("web", [], name="b")
    ).settle()
    moves = [endpoint_slice("web", [], name="a"), endpoint_slice("web", here, name="b")]
    sidecar.put(*(moves[::-1] if is_reversed else moves))

    assert _paths(sidecar) != []
    assert sidecar.plan_change().transactions == ()


def test_e9_a_slice_replaces_what_it_said_before() -> None:
    """A slice is kept under its name and taken as a whole; without it nothing of it is left."""
    sidecar = _sidecar(endpoint_slice("web", [endpoint(POD, "node1")])).settle()
    one = _paths(sidecar)
    sidecar.put(endpoint_slice("web", [endpoint(OTHER, "node2")]))
    sidecar.commit(sidecar.plan_change())
    other = _paths(sidecar)
    sidecar.remove(endpoint_slice("web", []))
    sidecar.commit(sidecar.plan_change())

    assert [len(one), len(other), len(_paths(sidecar))] == [1, 1, 0]
    assert one != other


def test_e10_published_endpoints_need_no_rule() -> None:
    """A slice that says ready is believed, also of what terminates and does not serve."""
    published = endpoint(ONE, ready=True, serving=False, terminating=True)

    assert chosen(published) == (ONE,)
    assert chosen(published, endpoint(TWO)) == (ONE, TWO)


def test_e10_the_field_of_the_service_is_not_read() -> None:
    """publishNotReadyAddresses makes nothing ready that its slice calls not ready."""
    of = service("web", "2096::10", publishNotReadyAddresses=True)
    sidecar = _sidecar(endpoint_slice("web", [endpoint(POD, "node1", ready=False)])).put(of)

    assert _paths(sidecar.settle()) == []


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (None, None),
        ({"kind": "Pod", "namespace": "default", "name": "web-0"}, Ref("default", "web-0")),
        ({"kind": "VirtualMachine", "namespace": "default", "name": "web-0"}, None),
        ({"kind": "Pod", "namespace": "default"}, None),
    ],
)
def test_e11_a_pod_is_what_target_ref_names(target: Json | None, expected: Ref | None) -> None:
    """Only a reference of kind Pod is one."""
    [[found]] = [
        i.endpoints for i in parsed_slices(web_slice({**endpoint(ONE), "targetRef": target}))
    ]

    assert found.pod == expected


@pytest.mark.parametrize(
    ("body", "segments"),
    [
        (endpoint(POD, "node1"), ["6666:0:0:1::5"]),
        (endpoint(OTHER, "node2"), ["7766:f00d::2", "6666:0:0:2::7"]),
        (endpoint("fd00::101"), ["6655::1"]),
        (endpoint("fd00::102"), ["7766:f00d::2", "6655::1"]),
        (endpoint("fe10:f00d::2", "node2"), ["7766:f00d::2", "6655::1"]),
    ],
)
def test_e11_an_endpoint_is_where_its_node_name_says_else_where_its_address_is(
    body: Json, segments: list[str]
) -> None:
    """A pod without targetRef is known by its address, a host without nodeName by a Node's."""
    sidecar = _sidecar(endpoint_slice("web", [body])).settle()

    assert _paths(sidecar) == [segments]


@pytest.mark.parametrize(
    "body", [endpoint("2003::1"), endpoint("2003::1", "node1"), endpoint(POD), endpoint(OTHER)]
)
def test_e11_an_endpoint_beyond_the_cluster_is_not_used(body: Json) -> None:
    """Neither a node's nor a pod of a known node: left out, with a note, also when ready."""
    sidecar = _sidecar(endpoint_slice("web", [body]))
    reasons = [note.reason for note in sidecar.desired().all_notes()]

    assert _paths(sidecar.settle()) == []
    assert "ExternalEndpointUnsupported" in reasons
