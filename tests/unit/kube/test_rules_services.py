"""Which services are served, and at which addresses: rules S1 to S8."""

from __future__ import annotations

import json
from typing import Any

import pytest
from choosing import ONE, chosen, offered_by, only, parsed_service, parsed_slices, web_slice
from clusters import Json, endpoint, endpoint_slice, node, pod_keys, service, settings
from sidecar import Sidecar, operations

from srv6kv.kube.model import ServicePort

PROXY_NAME = "service.kubernetes.io/service-proxy-name"
HEADLESS = "service.kubernetes.io/headless"
POD = "2001:0:0:1::5"
POLICY = "config/vpp/srv6/v2/policy/5555::10"
STEERING = "config/vpp/srv6/v2/steering/forK8sService-default-web"


def _sidecar() -> Sidecar:
    """A node on which default/web is served by one local pod."""
    sidecar = Sidecar(settings("seed"), "node1").put(node(1), node(2)).wire(pod_keys(POD))
    return sidecar.put(service("web", "2096::10"), _slice()).settle()


def _slice(**labels: str) -> Json:
    return endpoint_slice("web", [endpoint(POD, "node1")], labels=labels)


def _spec(**spec: Any) -> Json:
    return {"kind": "Service", "metadata": {"name": "web"}, "spec": spec}


def _is_steered(sidecar: Sidecar) -> bool:
    return STEERING in sidecar.owned()


# S1 -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["other", "srv6kv", ""])
def test_s1_a_service_with_the_label_of_a_proxy_has_nothing_to_render(value: str) -> None:
    """The label counts, whatever its value; the service is not looked into."""
    body = service("web", "nonsense", externalIPs=["2001:db8::9"], labels={PROXY_NAME: value})
    found = parsed_service(body)

    assert found.proxy_name == value
    assert (found.cluster_ip, found.external_ips, found.ports) == (None, (), ())
    assert parsed_service(service("web", "2096::10")).proxy_name is None


@pytest.mark.parametrize("value", ["other", ""])
def test_s1_labelling_a_service_is_deleting_it_and_back(value: str) -> None:
    """With the label the keys go as when the service goes; without it they come back."""
    sidecar, other = _sidecar(), _sidecar()
    before = sidecar.owned()

    sidecar.put(service("web", "2096::10", labels={PROXY_NAME: value}))
    labelled = sidecar.plan_change()
    other.remove(service("web", "2096::10"))
    assert operations(labelled) == operations(other.plan_change()) != []
    assert not _is_steered(sidecar.commit(labelled))

    sidecar.put(service("web", "2096::10", labels={"other": value}))
    assert sidecar.commit(sidecar.plan_change()).owned() == before


@pytest.mark.parametrize("value", ["other", ""])
def test_s1_labelling_a_slice_is_deleting_it_and_back(value: str) -> None:
    """Slices of a headless service count as gone, and come back."""
    sidecar, other = _sidecar(), _sidecar()
    before = sidecar.owned()

    sidecar.put(_slice(**{HEADLESS: value}))
    labelled = sidecar.plan_change()
    other.remove(_slice())
    assert operations(labelled) == operations(other.plan_change()) != []
    assert not _is_steered(sidecar.commit(labelled))

    sidecar.put(_slice())
    assert sidecar.commit(sidecar.plan_change()).owned() == before


@pytest.mark.parametrize("value", ["other", ""])
def test_s1_a_slice_with_the_name_of_a_proxy_counts(value: str) -> None:
    """Only a service is another proxy's; of slices ``headless`` alone hides one."""
    sidecar = _sidecar()
    sidecar.put(_slice(**{PROXY_NAME: value}))

    assert sidecar.plan_change().transactions == ()


def test_s1_a_labelled_slice_says_so() -> None:
    """The slice keeps the service that it names and the label by which it is not used."""
    [found] = parsed_slices(_slice(**{HEADLESS: ""}))

    assert found.service is None
    assert found.ignored is not None
    assert (found.ignored.service, found.ignored.rule) == (("default", "web"), "S1")
    assert HEADLESS in found.ignored.why


# S2, S3 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"clusterIP": ""},
        {"clusterIP": None},
        {"clusterIP": "", "clusterIPs": ["2096::1"], "ipFamilies": ["IPv6"]},
        {"clusterIPs": ["2096::1"], "ipFamilies": ["IPv6"]},
        {"clusterIP": "None"},
        {"clusterIP": "None", "clusterIPs": ["None"], "ipFamilies": ["IPv6"]},
        {"clusterIP": "None", "clusterIPs": ["2096::1"], "ipFamilies": ["IPv6"]},
        {"clusterIP": "2096::1", "type": "ExternalName"},
        {"clusterIP": "2096::1", "clusterIPs": ["2096::1"], "type": "ExternalName"},
    ],
)
def test_s2_headless_and_external_name_services_are_skipped(spec: Json) -> None:
    """clusterIP decides, whatever clusterIPs says; none of their addresses is used."""
    status = {"loadBalancer": {"ingress": [{"ip": "2001:db8::1"}]}}
    found = parsed_service({**_spec(externalIPs=["2001:db8::9"], **spec), "status": status})

    assert (found.cluster_ip, found.balancer_ips, found.external_ips) == (None, (), ())


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"clusterIP": "2096::1"}, "2096::1"),
        ({"clusterIP": "10.0.0.1"}, None),
        ({"clusterIP": "2096::1", "clusterIPs": ["2096::2"]}, "2096::1"),
        ({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "2096::2"]}, None),
        ({"clusterIP": "2096::1", "clusterIPs": ["2096::1"], "ipFamilies": []}, "2096::1"),
    ],
)
def test_s3_without_families_the_cluster_ip_counts(spec: Json, expected: str | None) -> None:
    """An empty ipFamilies leaves clusterIP alone, if it is one of IPv6."""
    assert parsed_service(_spec(**spec)).cluster_ip == expected


@pytest.mark.parametrize(
    ("families", "addresses", "expected"),
    [
        (["IPv6"], ["2096::1"], "2096::1"),
        (["IPv4", "IPv6"], ["10.0.0.1", "2096::1"], "2096::1"),
        (["IPv6", "IPv4"], ["2096::1", "10.0.0.1"], "2096::1"),
        (["IPv6", "IPv6"], ["2096::1", "2096::2"], "2096::1"),
        (["IPv4"], ["10.0.0.1"], None),
        (["IPv4"], ["10.0.0.1", "2096::1"], None),
        (["IPv4", "IPv6"], ["10.0.0.1"], None),
        (["IPv6"], None, "2096::1"),
        (["IPv4", "IPv6"], None, None),
    ],
)
def test_s3_with_families_the_first_ipv6_one_counts(
    families: list[str], addresses: list[str] | None, expected: str | None
) -> None:
    """Position decides; a missing clusterIPs is clusterIP alone, and none is no error."""
    first = (addresses or [expected or "10.0.0.1"])[0]
    found = parsed_service(_spec(clusterIP=first, clusterIPs=addresses, ipFamilies=families))

    assert found.cluster_ip == expected


def test_s3_a_family_must_be_what_its_address_is() -> None:
    """An IPv4 address where only IPv6 is named is no ClusterIP of either family."""
    spec = {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv6"]}
    found = parsed_service(_spec(**spec))

    assert (found.cluster_ip, found.cluster_ipv4) == (None, None)


# S4 -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ClusterIP", "NodePort", "LoadBalancer"])
def test_s4_external_and_balancer_addresses(kind: str) -> None:
    """Addresses count for every type; names and proxies do not, bad texts are told."""
    ingress = [
        {"ip": "2001:DB8::1"},
        {"ip": "2001:db8::2", "ipMode": "VIP"},
        {"ip": "2001:db8::3", "ipMode": "Proxy"},
        {"ip": "2001:db8::4", "hostname": "example.org"},
        {"ip": "2001:db8:0::1"},
        {"hostname": "example.org"},
        {"ip": ""},
        {"ip": "x"},
        {"ip": "192.0.2.1"},
    ]
    found = parsed_service(
        service(
            "web",
            "2096::10",
            type=kind,
            externalIPs=["2001:DB8::9", "2001:db8::9", "nonsense", "::ffff:10.0.0.1"],
            status={"loadBalancer": {"ingress": ingress}},
        )
    )

    assert found.balancer_ips == ("192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db8::4")
    assert found.external_ips == ("2001:db8::9",)
    assert found.bad_addresses == ("::ffff:10.0.0.1", "nonsense", "x")


@pytest.mark.parametrize("status", [None, {}, {"loadBalancer": None}, {"loadBalancer": {}}])
def test_s4_a_service_may_have_none(status: Json | None) -> None:
    """Every level of the status may be absent."""
    found = parsed_service(service("web", "2096::10", status=status, externalIPs=None))

    assert (found.balancer_ips, found.external_ips) == ((), ())


def test_s4_addresses_of_ipv4_are_not_steered() -> None:
    """The service's IPv6 addresses are; the note names the others."""
    ingress = [{"ip": "192.0.2.1"}, {"ip": "2001:db8::1"}]
    sidecar = _sidecar()
    sidecar.put(service("web", "2096::10", status={"loadBalancer": {"ingress": ingress}}))
    desired = sidecar.desired()

    assert {address for _, address in desired.steered} == {"2096::10", "2001:db8::1"}
    assert [note.text for note in desired.all_notes() if "192.0.2.1" in note.text] != []


# S5, S6 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, False),
        ({"type": "LoadBalancer"}, False),
        ({"externalIPs": ["2001:db8::9"]}, True),
        ({"status": {"loadBalancer": {"ingress": [{"ip": "2001:db8::1"}]}}}, True),
        (
            {"status": {"loadBalancer": {"ingress": [{"ip": "2001:db8::1", "ipMode": "Proxy"}]}}},
            False,
        ),
    ],
)
def test_s5_an_address_of_its_own_makes_a_service_accessible(fields: Json, expected: bool) -> None:
    """A balancer's or an external address does, the type alone does not."""
    found = parsed_service(service("web", "2096::10", **fields))

    assert bool(found.balancer_ips or found.external_ips) == expected


@pytest.mark.parametrize(("number", "expected"), [(None, False), (0, False), (30000, True)])
def test_s5_a_node_port_makes_a_service_accessible(number: int | None, expected: bool) -> None:
    """One port with a node port is enough."""
    body = service("web", "2096::10", [("a", "TCP", 1), ("b", "TCP", 2)])
    body["spec"]["ports"][1]["nodePort"] = number

    assert parsed_service(body).has_node_ports == expected


@pytest.mark.parametrize("policy", [None, "", "Cluster", "Local"])
@pytest.mark.parametrize(
    ("fields", "may_be_local"),
    [
        ({}, False),
        ({"type": None}, False),
        ({"type": "NodePort"}, True),
        ({"type": "LoadBalancer"}, True),
        ({"externalIPs": ["2001:db8::9"]}, True),
        ({"externalIPs": ["192.0.2.1"]}, True),
        ({"status": {"loadBalancer": {"ingress": [{"ip": "2001:db8::1"}]}}}, False),
    ],
)
def test_s6_external_traffic_is_local_by_policy_and_kind(
    fields: Json, may_be_local: bool, policy: str | None
) -> None:
    """The policy counts for NodePort, LoadBalancer and external IPs, never for the ClusterIP."""
    found = parsed_service(service("web", "2096::10", externalTrafficPolicy=policy, **fields))

    assert found.is_external_local == (may_be_local and policy == "Local")
    assert not found.is_internal_local


@pytest.mark.parametrize("policy", [None, "", "Cluster", "Local"])
def test_s6_internal_traffic_is_local_by_policy_alone(policy: str | None) -> None:
    """Absent means Cluster."""
    found = parsed_service(service("web", "2096::10", internalTrafficPolicy=policy))

    assert found.is_internal_local == (policy == "Local")
    assert not found.is_external_local


# S7, S8 -------------------------------------------------------------------------------------------


def test_s7_a_port_is_its_name_and_protocol() -> None:
    """One name in two protocols is two ports; a port without a name has the name ""."""
    ports = [("dns", "UDP", 53), ("dns", "TCP", 53), (None, "TCP", 80)]
    found = parsed_service(service("web", "2096::10", ports))

    assert found.ports == (
        ServicePort("", "TCP", 80),
        ServicePort("dns", "TCP", 53),
        ServicePort("dns", "UDP", 53),
    )


def test_s7_the_unnamed_port_is_served_by_slices_that_name_none() -> None:
    """A slice names the port of a service with one unnamed port "", or does not name it."""
    unnamed = [("", "TCP", 80)]
    served = offered_by(web_slice(endpoint(ONE), ports=[("", "TCP", 8080)]), ports=unnamed)
    null = offered_by(web_slice(endpoint(ONE), ports=[(None, "TCP", 8080)]), ports=unnamed)

    assert [item.target for item in only(served)] == [8080]
    assert [item.target for item in only(null)] == [8080]


SPELLINGS = ("2001:db8::a", "2001:DB8:0:0::A", "2001:0db8:0000:0000:0000:0000:0000:000a")


def test_s8_every_spelling_of_an_address_is_the_same() -> None:
    """Addresses are 128 bits; ClusterIPs, external addresses and endpoints have one text each."""
    ingress = [{"ip": text} for text in SPELLINGS]
    status = {"loadBalancer": {"ingress": ingress}}
    for text in SPELLINGS:
        found = parsed_service(service("web", text, externalIPs=[*SPELLINGS], status=status))
        addresses = {found.cluster_ip, *found.external_ips, *found.balancer_ips}
        assert addresses == {SPELLINGS[0]}

    offered = only(offered_by(web_slice(*(endpoint(text) for text in SPELLINGS))))
    assert [item.address for item in offered] == [SPELLINGS[0]]
    assert chosen(*(endpoint(text) for text in SPELLINGS)) == (SPELLINGS[0],)


def test_s8_a_spelling_changes_nothing_in_etcd() -> None:
    """When only the spelling of addresses changes, there is nothing to write."""
    sidecar = _sidecar()
    before = json.loads(sidecar.owned()[POLICY])
    sidecar.put(service("web", "2096:0:0::0010"))
    sidecar.put(endpoint_slice("web", [endpoint("2001:0:0:1:0:0:0:5", "node1")]))

    assert sidecar.plan_change().transactions == ()
    assert before["bsid"] == "5555::10"
