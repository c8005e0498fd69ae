"""Which keys are ours, and which only look like it (decision 0029)."""

from __future__ import annotations

import pytest
from clusters import (
    CONFS,
    NETWORKS,
    OLD_SIDS,
    base_keys,
    endpoint,
    endpoint_slice,
    node,
    pod_keys,
    service,
    settings,
    settings_of,
)
from sidecar import AGENT_PREFIX, Sidecar, own_ranges

from srv6kv.plan.ownership import Ranges, load

SID = "config/vpp/srv6/v2/"
ROUTE = "config/vpp/v2/route/"
CHAIN = "config/linux/iptables/v2/rulechain/"
TUNNEL = f"{SID}steering/forNodeToNodeTunneling-usingPolicyWithBSID-"
TUNNELS = (
    f"{SID}localsid/7777:f00d::1",
    f"{SID}localsid/7799:f00d::1",
    f"{SID}policy/8888:f00d::2",
    f"{SID}policy/9999:1::2",
    f"{TUNNEL}8888:f00d::2-and-lookupInPodVRF",
    f"{TUNNEL}9999:1::2-and-lookupInMainVRF",
    f"{TUNNEL}9999:f00d::2-and-managementIP-fd00::102",
    f"{TUNNEL}9999:f00d::2-and-managementIP-10.50.50.50",
    f"{ROUTE}vrf/0/dst/7777:f00d::2/128/gw/fe10:f00d::2",
)
OURS = (
    f"{SID}localsid/6666:0:0:1::5",
    f"{SID}localsid/6655::1",
    f"{SID}localsid/7766:f00d::1",
    f"{SID}policy/5555::d765",
    f"{SID}steering/forK8sService-default-web",
    f"{SID}steering/forK8sService-a-b-c",
    f"{SID}steering/forK8sService-default-web_2096::10",
    f"{SID}steering/forK8sService-default-web_2001:db8::9_main",
    f"{ROUTE}vrf/0/dst/6666:0:0:1::5/128/gw/::",
    f"{ROUTE}vrf/0/dst/7766:f00d::2/128/gw/fe10:f00d::2",
    f"{ROUTE}vrf/0/dst/7766::dead/128/gw/::",
    f"{ROUTE}vrf/1/dst/2096::/110/gw/::",
    f"{CHAIN}srv6kv-c-PREROUTING",
)
ALMOST = (
    f"{SID}localsid/6667::5",
    f"{SID}localsid/6666:0:0:1:0::5",
    f"{SID}localsid/6666::A",
    f"{SID}localsid/6666::5/x",
    f"{SID}localsid/",
    f"{SID}localsid/5555::d765",
    f"{SID}policy/6666::5",
    f"{SID}policy/5555::00d7",
    f"{SID}policy/8889:f00d::2",
    f"{SID}policy/7777:f00d::2",
    f"{SID}localsid/8888:f00d::1",
    f"{SID}steering/forK8sService-web",
    f"{SID}steering/forK8sService-default-web/x",
    f"{SID}steering/forK8sService-default-Web",
    f"{SID}steering/forK8sService-default-web_",
    f"{SID}steering/forK8sService-default-web_2096::10_pod",
    f"{SID}steering/forK8sSFC-chain",
    f"{SID}steering/forNodeToNodeTunneling-lookupInPodVRF",
    f"{TUNNEL}8888::2-and-podCrossconnection",
    f"{TUNNEL}8888::2-and-lookupInPodVRF-2",
    f"{TUNNEL}8888::2-and-managementIP-",
    f"{TUNNEL}8888::02-and-lookupInPodVRF",
    f"{TUNNEL}5556::2-and-lookupInPodVRF",
    f"{SID}srv6-global",
    f"{ROUTE}if/uplink/vrf/0/dst/7766:f00d::2/128/gw/fe10:f00d::2",
    f"{ROUTE}vrf/0/dst/6666:0:0:1::/64/gw/::",
    f"{ROUTE}vrf/0/dst/6666::/16/gw/::",
    f"{ROUTE}vrf/0/dst/5555::d765/128/gw/::",
    f"{ROUTE}vrf/0/dst/2096::/110/gw/::",
    f"{ROUTE}vrf/1/dst/2096::/108/gw/::",
    f"{ROUTE}vrf/1/dst/::/0/gw/::",
    f"{ROUTE}vrf/x/dst/6666::5/128/gw/::",
    f"{CHAIN}port-forward-c-PREROUTING",
    "config/vpp/v2/vrf-table/id/0/protocol/IPV6",
    "status/vpp/srv6/v2/localsid/6666:0:0:1::5",
    "x/config/vpp/srv6/v2/localsid/6666:0:0:1::5",
)


@pytest.mark.parametrize("key", OURS + TUNNELS)
def test_what_we_write_is_ours(key: str) -> None:
    """Every form of key that we write is recognised as ours."""
    assert own_ranges(settings("seed")).owns(key)


@pytest.mark.parametrize("key", ALMOST)
def test_what_only_looks_like_ours_is_not(key: str) -> None:
    """Other prefixes, spellings, lengths, names and kinds belong to others."""
    assert not own_ranges(settings("seed")).owns(key)


@pytest.mark.parametrize("option", ["vxlan", "nooverlay", "segments", "none"])
def test_tunnels_that_are_not_ours_are_others(option: str) -> None:
    """Under another transport, or where others do the plumbing, tunnels are left alone."""
    conf = {**CONFS["today"], "ipamConfig": {**NETWORKS, "srv6": OLD_SIDS}}
    if option in ("segments", "none"):
        conf["srv6kv"] = {"nodePlumbing": option}
    else:
        conf["nodeToNodeTransport"] = option
    ranges = own_ranges(settings_of(conf))

    assert [key for key in TUNNELS if ranges.owns(key)] == []
    assert ranges.owns(f"{SID}localsid/6666:0:0:1::5")


def test_without_plumbing_node_sids_are_others() -> None:
    """With nodePlumbing none End localsids and routes to nodes are left alone, but for discard."""
    ranges = own_ranges(settings("none"))

    assert not ranges.owns(f"{SID}localsid/7766:f00d::1")
    assert not ranges.owns(f"{ROUTE}vrf/0/dst/7766:f00d::2/128/gw/fe10:f00d::2")
    assert ranges.owns(f"{ROUTE}vrf/0/dst/7766::dead/128/gw/::")


def test_everything_that_is_written_is_ours() -> None:
    """Whatever a plan puts, but for what others may own, is recognised again."""
    sidecar = Sidecar(settings("vrfs"), "node1").wire(base_keys(1, "fe10:f00d::1", main=3))
    sidecar.wire(pod_keys("2001:0:0:1::5", vrf=7)).put(node(1), node(2), service("web", "2096::1"))
    sidecar.put(endpoint_slice("web", [endpoint("2001:0:0:1::5", "node1"), endpoint("fd00::101")]))
    found = sidecar.plan()
    for transaction in found.transactions:
        for operation in transaction.operations:
            key = operation.key.removeprefix(AGENT_PREFIX)
            assert own_ranges(settings("vrfs")).owns(key) or key in found.ledger.shared


def test_ranges_are_noted_and_read_back() -> None:
    """What is noted in etcd is what was in use."""
    ranges = own_ranges(settings("seed"))

    assert load(ranges.dump()) == ranges
    assert load(None) == Ranges()


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"bsids":["x"]}', b'{"sids":[1]}'])
def test_a_note_that_is_not_ours_gives_nothing(text: bytes) -> None:
    """What cannot be read owns no key."""
    assert load(text) == Ranges()


def test_ranges_add_up() -> None:
    """Ours and those that were in use before are ours together, each once."""
    one, two = own_ranges(settings("seed")), own_ranges(settings("today"))
    both = one | two

    assert both.owns(f"{SID}policy/5555::1")
    assert both.owns(f"{SID}policy/8fff::1")
    assert both | one == both
