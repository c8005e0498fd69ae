"""Whether a node has what srv6kv needs, and whether each gap is named (docs/cni-contract.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from clusters import (
    TODAY,
    Json,
    base_keys,
    endpoint,
    endpoint_slice,
    node,
    pod_keys,
    service,
    settings_of,
    vrf_keys,
)

from srv6kv import doctor
from srv6kv.doctor import agent
from srv6kv.doctor.findings import ERROR, NOT_CHECKED, OK, WARNING
from srv6kv.doctor.live import Live
from srv6kv.etcd.values import KeyValue
from srv6kv.sync.reconciler import Reconciler
from srv6kv.txn.transaction import FullKey

POD = "2001:0:0:1::5"
ARP = f"config/vpp/v2/arp/vpp-tap-c/{POD}"
LINUX = "config/linux/interfaces/v2/interface/linux-tap-c"
ROUTE = f"config/vpp/v2/route/if/vpp-tap-c/vrf/1/dst/{POD}/128/gw/{POD}"
UPLINK = "config/vpp/v2/interfaces/uplink"
HOST = "config/vpp/v2/interfaces/tap-vpp2"
GOOD = {**base_keys(1, "fe10:f00d::1"), **pod_keys(POD, "c")}
CONF: Json = {**TODAY, "mtuSize": 1420}


def findings(
    values: Mapping[str, Any],
    *more: Json,
    conf: Json = CONF,
    name: str = "node1",
    answered: Live | None = None,
) -> list[tuple[str, str, str]]:
    """Check, verdict and finding for node 1 with a service that a pod backs."""
    reconciler = Reconciler(settings_of(conf), name, "n")
    slices = endpoint_slice("web", [endpoint(POD, "node1")])
    for body in (node(1), service("web", "2096::1"), slices, *more):
        metadata = body["metadata"]
        identity = (body["kind"], metadata.get("namespace", ""), metadata["name"])
        reconciler.intake.apply(identity, body)
    entries = {
        key: value if isinstance(value, bytes) else json.dumps(value).encode()
        for key, value in values.items()
    }
    reconciler.reset(
        KeyValue(FullKey(reconciler.prefix + key), value, number)
        for number, (key, value) in enumerate(entries.items(), start=1)
    )
    found = doctor.examine(reconciler, entries, answered)
    return [(one.check, one.verdict, one.found) for one in found]


def wrong(values: Mapping[str, Any], *more: Json, **options: Any) -> list[tuple[str, str, str]]:
    """The errors and warnings."""
    return [one for one in findings(values, *more, **options) if one[1] in (ERROR, WARNING)]


def test_a_good_node_is_well() -> None:
    """Nothing is wrong with the base keys and one wired pod."""
    assert wrong(GOOD) == []


def changed(key: str, **fields: Any) -> dict[str, Any]:
    """The good keys with one value changed; None removes a field."""
    value = {k: v for k, v in (GOOD[key] | fields).items() if v is not None}
    return {**GOOD, key: value}


MAPPED = "::ffff:10.1.1.5"


@pytest.mark.parametrize(
    ("values", "check", "text"),
    [
        (changed(ARP, ip_address=MAPPED), "keys", f"{ARP}: its value makes the key"),
        (
            {**GOOD, f"config/vpp/v2/arp/x/{MAPPED}": {"interface": "x", "ip_address": MAPPED}},
            "keys",
            "ip_address: '::ffff:10.1.1.5' is an IPv4-mapped address",
        ),
        (changed(LINUX, ip_addresses=["2001:0:0:1:0::5/128"]), "keys", f"must be written {POD}"),
        (changed(LINUX, name=None), "keys", "'name' is missing"),
        (changed(UPLINK, name="eth0"), "keys", f"{UPLINK}: its value makes the key"),
        ({**GOOD, f"{UPLINK}2": b"{"}, "keys", f"{UPLINK}2: "),
        ({**GOOD, f"{UPLINK}2": b"\xff{}"}, "keys", f"{UPLINK}2: "),
        (changed(LINUX, mtu="x"), "keys", "mtu: 'x' is not a number"),
        (changed(LINUX, tap=[7]), "keys", "tap: [7] is not an object"),
        (changed(LINUX, ip_addresses=7), "keys", f"{LINUX}: "),
        (changed(LINUX, ip_addresses=[7]), "keys", f"{LINUX}: "),
        (changed(UPLINK, ip_addresses=[7]), "keys", "ip_addresses: [7] is not a list of texts"),
        (changed(HOST, ip_addresses="a"), "keys", "ip_addresses: 'a' is not a list of texts"),
        (changed(HOST, name=7), "keys", f"{HOST}: its value makes the key"),
        (changed(UPLINK, vrf=[1]), "keys", "vrf: [1] is not a number"),
        (changed(ARP, interface=7), "keys", f"{ARP}: "),
        (changed(ROUTE, dst_network=7), "keys", f"{ROUTE}: "),
        (changed(ARP, phys_address=None), "pod", "has no phys_address"),
        (changed(UPLINK, vrf=1), "uplink", "interface uplink with fe10:f00d::1 is in VRF 1"),
        (changed(LINUX, mtu=1421), "pod", "MTU 1421 and 80 bytes of SRv6 exceed the uplink's 1500"),
        (changed(UPLINK, mtu=1499), "mtu", "mtuSize 1420 and 80 bytes of SRv6 exceed"),
        (changed(HOST, ip_addresses=["2002::1:9/112"]), "host-interconnect", "has not 2002::1:1"),
        (changed(HOST, vrf=1), "host-interconnect", "tap-vpp2 is in VRF 1"),
    ],
)
def test_what_is_wrong_with_a_key_is_named(
    values: Mapping[str, Any], check: str, text: str
) -> None:
    """A broken key, value, VRF, address or MTU is an error of its own."""
    assert [one for one in wrong(values) if one[:2] == (check, ERROR) and text in one[2]]


@pytest.mark.parametrize(
    ("key", "check", "text"),
    [
        (UPLINK, "uplink", "no interface in the agent's keys has the node's address"),
        (ROUTE, "pod", "no route to it"),
        (
            "config/linux/interfaces/v2/interface/tap-vpp1",
            "host-interconnect",
            "no Linux interface in the agent's keys has 2002::1:2",
        ),
    ],
)
def test_what_may_be_there_without_a_key_is_a_warning(key: str, check: str, text: str) -> None:
    """VPP's start-up or the host may have it: only somebody who looks can tell."""
    (found,) = wrong({k: v for k, v in GOOD.items() if k != key})

    assert found[:2] == (check, WARNING)
    assert text in found[2]


def test_a_pod_that_no_key_speaks_of_is_an_error() -> None:
    """Unless annotations on its Pod tell the wiring."""
    marks = {"srv6kv.io/interface": "memif7", "srv6kv.io/mac": "02:fe:00:00:00:07"}
    whole = marks | {"srv6kv.io/netns": "/run/netns/web-0"}
    base = base_keys(1, "fe10:f00d::1")

    assert [one[2] for one in wrong(base)] == [
        f"{POD}: no ARP entry, route or Linux interface for it in the agent's keys"
    ]
    assert [one[2] for one in wrong(base, _pod(whole))] == [
        f"{POD}: no ARP entry, route or Linux interface for it in the agent's keys"
    ]
    trust = {"podAnnotations": True, "podInterfacePattern": "memif*"}
    conf = {**CONF, "srv6kv": trust}
    assert wrong(base, _pod(whole), conf=conf) == []
    assert "namespace behind memif7" in wrong(base, _pod(marks), conf=conf)[0][2]

    memif = {"config/vpp/v2/interfaces/memif7": {"name": "memif7", "type": "MEMIF"}}
    assert "interface memif7 is in VRF 0" in wrong({**base, **memif}, _pod(whole), conf=conf)[0][2]


def _pod(marks: Mapping[str, str]) -> Json:
    return {
        "kind": "Pod",
        "metadata": {"name": "web-0", "namespace": "default", "annotations": dict(marks)},
        "spec": {"nodeName": "node1"},
        "status": {"phase": "Running", "podIPs": [{"ip": POD}]},
    }


def test_without_plumbing_the_cni_must_make_it() -> None:
    """Table of the pod VRF, its default route and the way to the pods are errors if absent."""
    conf = {**CONF, "srv6kv": {"nodePlumbing": "none"}}
    part = "config/vpp/v2/route/vrf/0/dst/2001:0:0:1::/64/gw/::"
    way = {"type": "INTER_VRF", "dst_network": "2001:0:0:1::/64", "via_vrf_id": 1}

    assert [one[:2] for one in wrong(GOOD, conf=conf)] == [
        ("vrf-tables", ERROR),
        ("routes", ERROR),
        ("routes", ERROR),
    ]
    whole = {**GOOD, **vrf_keys(), part: {**way, "next_hop_addr": "::"}}
    assert wrong(whole, conf=conf) == []


STEERING = "config/vpp/srv6/v2/steering/theirs"
CHAIN = "config/linux/iptables/v2/rulechain/"
TRAFFIC = {"l3_traffic": {"installation_vrf_id": 1, "prefix_address": "2096::1/128"}}


@pytest.mark.parametrize(
    ("key", "value", "verdict"),
    [
        (STEERING, {"name": "theirs", "policy_bsid": "c::1", **TRAFFIC}, ERROR),
        (
            "config/vpp/v2/route/if/uplink/vrf/1/dst/9300:0:0:1::5/128",
            {"vrf_id": 1, "dst_network": "9300:0:0:1::5/128", "outgoing_interface": "uplink"},
            ERROR,
        ),
        (
            f"{CHAIN}theirs",
            {
                "chain_type": "PREROUTING",
                "table": "NAT",
                "namespace": {"reference": "/run/netns/c"},
            },
            ERROR,
        ),
        (
            f"{CHAIN}theirs",
            {"chain_name": "srv6kv-a", "table": "NAT", "namespace": {"reference": "/run/netns/c"}},
            ERROR,
        ),
        (f"{CHAIN}port-forward-c-PREROUTING", {}, WARNING),
    ],
)
def test_what_others_have_put_in_the_way_is_named(key: str, value: Json, verdict: str) -> None:
    """A steering, a route to a SID, a chain in the same place; Contiv's chains can be adopted."""
    (found,) = wrong({**GOOD, key: value})

    assert found[:2] == ("foreign-keys", verdict)
    assert key in found[2]


def test_what_others_do_elsewhere_is_no_matter() -> None:
    """Their steerings, chains and broken values beside ours are not told."""
    far = {"l3_traffic": {"installation_vrf_id": 1, "prefix_address": "fd00:9::/64"}}
    place = {"chain_type": "INPUT", "table": "FILTER", "namespace": {"reference": "/run/netns/c"}}
    values = {STEERING: {"name": "theirs", "policy_bsid": "c::1", **far}, f"{CHAIN}a": place}

    assert wrong({**GOOD, **values, f"{CHAIN}b": b"{", f"{CHAIN}c": b"7"}) == []


def test_a_node_that_nobody_knows() -> None:
    """Without its Node object there is one error, and what depends on it is not checked."""
    found = findings(GOOD, name="node9")

    assert [one[0] for one in found if one[1] == ERROR] == ["node"]
    assert {one[0] for one in found if one[1] == NOT_CHECKED} >= {"uplink", "host-interconnect"}


def test_a_node_without_a_pod_cidr_of_ours() -> None:
    """It has neither an id nor IPv6."""
    body = node(1)
    body["spec"] = {"podCIDR": "10.1.1.0/24", "podCIDRs": ["10.1.1.0/24"]}
    found = wrong(GOOD, body)

    assert {one[0] for one in found} >= {"node", "ipv6"}


def test_a_node_with_an_annotation_and_a_pod_cidr_of_its_own() -> None:
    """Pods have all that they need; only the host interconnect follows from an id alone."""
    body = node(1, annotations={"srv6kv.io/node-ip": "fe10:f00d::1"})
    body["spec"] = {"podCIDRs": ["2001:1::/64"]}
    conf = {**CONF, "srv6kv": {"nodePlumbing": "segments"}}
    found = findings(GOOD, body, conf=conf)

    assert {one[:2] for one in found if one[0] == "node"} == {("node", WARNING)}
    assert ("routes", ERROR) in {one[:2] for one in found if "2001:1::/64" in one[2]}


def test_accept_local_is_not_checked() -> None:
    """No key tells whether pods take in IPv4 packets from themselves: once, and for IPv4 alone."""
    body = node(1)
    body["spec"] = {"podCIDRs": [*body["spec"]["podCIDRs"], "10.1.1.0/24"]}
    conf = {**CONF, "srv6kv": {"ipv4": True}}
    pods = [endpoint(address, "node1") for address in ("10.1.1.5", "10.1.1.6")]
    slices = {**endpoint_slice("four", pods), "addressType": "IPv4"}

    def said(*more: Json, conf: Json) -> list[str]:
        found = findings(GOOD, *more, conf=conf)
        return [verdict for check, verdict, _ in found if check == "accept-local"]

    assert said(body, slices, conf=conf) == [NOT_CHECKED]
    assert (said(body, slices, conf=CONF), said(body, conf=conf)) == ([], [])


def test_ipv4_pods_are_no_matter() -> None:
    """The route to them is looked for in their family; a default route is none."""
    body = node(1)
    body["spec"] = {"podCIDRs": [*body["spec"]["podCIDRs"], "10.1.1.0/24"]}
    conf = {**CONF, "srv6kv": {"ipv4": True, "nodePlumbing": "segments"}}
    default = {"dst_network": "0.0.0.0/0", "next_hop_addr": "10.0.0.1"}
    values = {**GOOD, "config/vpp/v2/route/vrf/0/dst/0.0.0.0/0/gw/10.0.0.1": default}
    told = {one[2]: one[1] for one in findings(values, body, conf=conf) if one[0] == "routes"}

    text = "route from the main VRF to the pods (10.1.1.0/24): there is none in VRF 0"
    assert told[text] == ERROR


def test_a_node_without_a_part_of_the_host_subnet() -> None:
    """Its id has no host interconnect: an error, and the rest is checked."""
    networks = {**CONF["ipamConfig"], "vppHostSubnetOneNodePrefixLen": 65}
    body = node(1, part=9)
    found = wrong(GOOD, body, conf={**CONF, "ipamConfig": networks})

    assert ("host-interconnect", ERROR, "node id 9 does not fit into 2002::/64 by /65") in found


def test_hosts_of_two_nodes_need_masquerading() -> None:
    """A service with such endpoints is a warning until the settings say that it is done."""
    slices = endpoint_slice("api", [endpoint("fd00::101", "node1"), endpoint("fd00::102", "node2")])
    more = (node(2), service("api", "2096::2"), slices)
    conf = {**CONF, "srv6kv": {"kubeProxy": "masqueradeAll"}}

    assert [one[:2] for one in wrong(GOOD, *more)] == [("kube-proxy", WARNING)]
    assert wrong(GOOD, *more, conf=conf) == []


def test_without_mtu_size_a_small_uplink_is_a_warning() -> None:
    """Pods have Ethernet's MTU then, or what the CNI gives them."""
    assert [one[:2] for one in wrong(GOOD, conf=TODAY)] == [("mtu", WARNING)]
    assert wrong(changed(UPLINK, mtu=9000), conf=TODAY) == []


@pytest.mark.parametrize(
    ("note", "verdict", "text"),
    [
        (None, OK, "has not written here yet"),
        (b"{", WARNING, "cannot be read"),
        (b'{"bsids":["8fff::/16"],"sids":["9300::/16"]}', OK, "8fff::/16, 9300::/16"),
    ],
)
def test_the_noted_ranges_are_read(note: bytes | None, verdict: str, text: str) -> None:
    """An unreadable note is a warning: keys of earlier prefixes would stay."""
    found = doctor.ranges_of_note(note)

    assert (found.verdict, text in found.found) == (verdict, True)


@pytest.mark.parametrize(
    ("text", "verdict", "said"),
    [
        (None, WARNING, "no agent has ever reported"),
        (b'{"state":"OK","last_update":"995"}', OK, "its state is OK, 5 seconds ago"),
        (b'{"state":1,"last_update":995}', OK, "its state is OK, 5 seconds ago"),
        (b'{"state":"ERROR","last_update":"995"}', ERROR, "its state is ERROR"),
        (b'{"last_update":"995"}', ERROR, "its state is INIT"),
        (b'{"state":"OK","last_update":"900"}', WARNING, "last reported 100 seconds ago"),
        (b'{"state":"OK","last_update":"x"}', WARNING, "check/status/v1/agent: "),
        (b"{", WARNING, "check/status/v1/agent: "),
    ],
)
def test_the_agent_tells_how_it_is(text: bytes | None, verdict: str, said: str) -> None:
    """One that is gone leaves its last word behind; the time tells."""
    found = agent.status(text, now=1000.0)

    assert (found.verdict, said in found.found) == (verdict, True)


def test_numbers_may_be_texts() -> None:
    """The agent reads "1" as 1."""
    assert wrong(changed("config/vpp/v2/interfaces/vpp-tap-c", vrf="1", mtu="1420")) == []
