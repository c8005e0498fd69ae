"""What ``kubectl apply`` accepts means the same from a file: an API's defaults come first."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from clusters import Json
from fieldcases import HERE, SERVICE, SLICE, THERE
from hypothesis import given
from hypothesis import strategies as st
from processes import NODE, SEED, srv6kv

from srv6kv.kube.defaults import completed
from srv6kv.kube.parse import parse, read
from srv6kv.sources.manifests import ManifestDirectory

LEAST: Json = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"clusterIP": "2096::10", "ports": [{"port": 80}]},
}


def _spec(**spec: Any) -> Json:
    """The spec of the least service, with more, after the defaults."""
    found = completed("Service", {**LEAST, "spec": {**LEAST["spec"], **spec}})["spec"]
    assert isinstance(found, dict)
    return found


def test_the_least_service() -> None:
    """SetDefaults_Service, and what the registry infers from clusterIP."""
    assert _spec() == {
        "type": "ClusterIP",
        "clusterIP": "2096::10",
        "clusterIPs": ["2096::10"],
        "ipFamilies": ["IPv6"],
        "ipFamilyPolicy": "SingleStack",
        "internalTrafficPolicy": "Cluster",
        "sessionAffinity": "None",
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
    }


@pytest.mark.parametrize("unset", [None, ""])
def test_null_and_empty_are_unset(unset: Any) -> None:
    """As Go decodes them."""
    port = {"port": 80, "protocol": unset, "targetPort": unset}
    spec = {"type": unset, "sessionAffinity": unset, "internalTrafficPolicy": unset}

    assert _spec(**spec, ports=[port], clusterIPs=None, ipFamilies=None) == _spec()


@pytest.mark.parametrize("target", ["http", 8080])
def test_a_target_port_that_is_set_stays(target: Any) -> None:
    """By name or by number."""
    ports = [{"port": 80, "protocol": "UDP", "targetPort": target}]

    assert _spec(ports=ports)["ports"] == ports


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, None),
        ({"type": "NodePort"}, "Cluster"),
        ({"type": "LoadBalancer"}, "Cluster"),
        ({"externalIPs": ["fd20::1"]}, "Cluster"),
        ({"type": "LoadBalancer", "externalTrafficPolicy": "Local"}, "Local"),
    ],
)
def test_the_external_policy_is_for_what_is_reached_from_outside(
    spec: Json, expected: str | None
) -> None:
    """ExternallyAccessible decides."""
    assert _spec(**spec).get("externalTrafficPolicy") == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"clusterIP": "2096::1"}, (["2096::1"], ["IPv6"], "SingleStack")),
        ({"clusterIP": "10.96.0.1"}, (["10.96.0.1"], ["IPv4"], "SingleStack")),
        (
            {"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "2096::1"]},
            (["10.96.0.1", "2096::1"], ["IPv4", "IPv6"], "RequireDualStack"),
        ),
        (
            {
                "clusterIP": "10.96.0.1",
                "clusterIPs": ["10.96.0.1", "2096::1"],
                "ipFamilies": ["IPv4"],
                "ipFamilyPolicy": "PreferDualStack",
            },
            (["10.96.0.1", "2096::1"], ["IPv4", "IPv6"], "PreferDualStack"),
        ),
        ({"clusterIP": "None"}, (["None"], None, "SingleStack")),
        ({"clusterIP": "", "clusterIPs": ["2096::1"]}, (["2096::1"], ["IPv6"], "SingleStack")),
    ],
)
def test_families_follow_from_the_cluster_ips(given: Json, expected: tuple[Any, ...]) -> None:
    """normalizeClusterIPs and initIPFamilyFields."""
    found = _spec(**given)

    assert (found["clusterIPs"], found.get("ipFamilies"), found["ipFamilyPolicy"]) == expected
    assert found["clusterIP"] == expected[0][0]


@pytest.mark.parametrize(("kind", "mode"), [("LoadBalancer", "VIP"), ("ClusterIP", None)])
def test_an_ingress_with_an_address_is_a_vip(kind: str, mode: str | None) -> None:
    """Of a service of the type LoadBalancer."""
    status = {"loadBalancer": {"ingress": [{"ip": "fd10::5"}, {"hostname": "x"}]}}
    body = {**LEAST, "spec": {**LEAST["spec"], "type": kind}, "status": status}
    address, name = completed("Service", body)["status"]["loadBalancer"]["ingress"]

    assert (address.get("ipMode"), name) == (mode, {"hostname": "x"})


def test_a_slice_port_has_name_and_protocol() -> None:
    """SetDefaults_EndpointPort: where they are absent or null; "" is a name."""
    body = {**SLICE, "ports": [{"port": 1}, {"name": None, "protocol": None}, {"name": "x"}]}

    assert completed("EndpointSlice", body)["ports"] == [
        {"name": "", "protocol": "TCP", "port": 1},
        {"name": "", "protocol": "TCP"},
        {"name": "x", "protocol": "TCP"},
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"podCIDR": "2001:0:0:1::/64"}, ["2001:0:0:1::/64"]),
        ({"podCIDR": "2001::/64", "podCIDRs": ["2001:0:0:9::/64", "10.0.0.0/24"]}, ["2001::/64"]),
        ({"podCIDR": "2001::/64", "podCIDRs": ["2001::/64", "10.0.0.0/24"]}, None),
        ({"podCIDRs": ["2001::/64"]}, None),
        ({"podCIDR": "x", "podCIDRs": ["2001::/64"]}, None),
        ({}, None),
    ],
)
def test_the_single_pod_cidr_decides(given: Json, expected: list[str] | None) -> None:
    """Convert_v1_NodeSpec_To_core_NodeSpec; one that is none decides nothing."""
    found = completed("Node", {"kind": "Node", "metadata": {"name": "n"}, "spec": given})["spec"]

    assert found == (given if expected is None else {**given, "podCIDRs": expected})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"podIP": HERE}, [{"ip": HERE}]),
        ({"podIP": HERE, "podIPs": [{"ip": THERE}]}, [{"ip": HERE}]),
        ({"podIP": HERE, "podIPs": [{"ip": HERE}, {"ip": "10.1.1.1"}]}, None),
        ({"podIP": "x", "podIPs": [{"ip": HERE}]}, None),
    ],
)
def test_the_single_pod_ip_decides(given: Json, expected: list[Json] | None) -> None:
    """Convert_v1_PodStatus_To_core_PodStatus."""
    body = {"kind": "Pod", "metadata": {"name": "p"}, "status": given}

    assert completed("Pod", body)["status"] == (
        given if expected is None else {**given, "podIPs": expected}
    )


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
PLACES = (
    ("Service", "spec"),
    ("Service", "spec", "ports"),
    ("Service", "spec", "clusterIP"),
    ("Service", "spec", "clusterIPs"),
    ("Service", "spec", "ipFamilies"),
    ("Service", "spec", "type"),
    ("Service", "status"),
    ("Service", "status", "loadBalancer"),
    ("EndpointSlice", "ports"),
    ("Node", "spec"),
    ("Node", "spec", "podCIDRs"),
    ("Pod", "status"),
    ("Pod", "status", "podIPs"),
)


@given(st.sampled_from(PLACES), ODD)
def test_what_is_of_the_wrong_type_is_left_to_the_parser(place: tuple[str, ...], odd: Any) -> None:
    """Nothing is raised, nothing of the input changes, and a second time changes nothing."""
    kind, *path, last = place
    body: Json = copy.deepcopy({"Service": SERVICE, "EndpointSlice": SLICE}.get(kind, {}))
    inner = body
    for step in path:
        inner = inner.setdefault(step, {})
    inner[last] = odd
    before = copy.deepcopy(body)
    found = completed(kind, body)

    assert body == before
    assert completed(kind, found) == found


def test_what_an_api_server_sent_stays_as_it_is() -> None:
    """A complete object is complete."""
    for body in (SERVICE, SLICE):
        found = completed(body["kind"], body)

        assert read(body["kind"], found)[0] == parse(body["kind"], body)


MANIFEST = """\
apiVersion: v1
kind: Service
metadata: {name: db}
spec:
  clusterIPs: ["2096::db"]
  ports: [{port: 5432}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, labels: {kubernetes.io/service-name: db}}
addressType: IPv6
ports: [{port: 15432}]
endpoints: [{addresses: ["2001:0:0:2::7"], nodeName: node2}]
"""


def test_both_sources_of_files_give_the_defaults(tmp_path: Path) -> None:
    """``run --manifests`` scans, ``render`` reads; both pass on what an API server would keep."""
    path = tmp_path / "db.yaml"
    path.write_text(MANIFEST)
    directory = ManifestDirectory(tmp_path)
    changes = [*directory.scan().changes, *directory.scan().changes]
    scanned = {identity: raw.completed() for identity, raw in changes if raw is not None}

    assert scanned["Service", "default", "db"]["spec"] == {
        **_spec(clusterIP="2096::db", clusterIPs=None, ports=[{"port": 5432}])
    }
    assert scanned["EndpointSlice", "default", "db-1"]["ports"] == [
        {"name": "", "protocol": "TCP", "port": 15432}
    ]


@pytest.mark.parametrize("command", ["render", "explain"])
def test_commands_take_what_kubectl_would_apply(tmp_path: Path, command: str) -> None:
    """A service with clusterIPs alone and a slice port with a number alone are steered."""
    path = tmp_path / "db.yaml"
    path.write_text(MANIFEST)
    options: list[str | Path] = [
        "-f",
        SEED / "manifests",
        "-f",
        path,
        "--config",
        SEED / "contiv.conf",
    ]
    if command == "render":
        done = srv6kv("render", *options, "--node", NODE, "-o", "jsonl")
        keys = [json.loads(line)["key"] for line in done.stdout.splitlines()]

        assert done.returncode == 0
        assert "config/vpp/srv6/v2/steering/forK8sService-default-db" in keys
    else:
        done = srv6kv("explain", "db", *options, "--node", NODE)

        assert done.returncode == 0
        assert "forK8sService-default-db" in done.stdout
