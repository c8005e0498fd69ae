"""The interpreter itself: the four paths of a service, by hand-written values."""

from __future__ import annotations

from typing import Any

import pytest
from clusters import base_keys, pod_keys, segment_keys, vrf_keys
from dataplane import Broken, Delivered, Dropped, Network, ToHost, Unknown, trace

Json = dict[str, Any]
ONE, TWO = "fe10:f00d::1", "fe10:f00d::2"
SERVICE = "2096::d765"
POD, NEIGHBOUR, REMOTE = "2001:0:0:1::5", "2001:0:0:1::6", "2001:0:0:2::7"


def _receiver(pod: str, sid: str) -> Json:
    sandbox = f"c{int(pod.rpartition(':')[2])}"
    namespace = {"type": "FD", "reference": f"/run/netns/{sandbox}"}
    return {
        **pod_keys(pod, sandbox),
        f"config/vpp/srv6/v2/localsid/{sid}": {
            "sid": sid,
            "installation_vrf_id": 1,
            "end_function_dx6": {"next_hop": pod, "outgoing_interface": f"vpp-tap-{sandbox}"},
        },
        f"config/vpp/v2/route/vrf/0/dst/{sid}/128/gw/::": {
            "type": "INTER_VRF",
            "dst_network": f"{sid}/128",
            "via_vrf_id": 1,
            "next_hop_addr": "::",
        },
        f"config/linux/iptables/v2/rulechain/{sandbox}-in": {
            "name": f"{sandbox}-in",
            "namespace": namespace,
            "protocol": "IPV6",
            "table": "NAT",
            "chain_type": "PREROUTING",
            "rules": [
                f"-d {SERVICE}/128 -p tcp -m tcp --dport 80 -j DNAT --to-destination [{pod}]:8080"
            ],
        },
        f"config/linux/iptables/v2/rulechain/{sandbox}-out": {
            "name": f"{sandbox}-out",
            "namespace": namespace,
            "protocol": "IPV6",
            "table": "RAW",
            "chain_type": "OUTPUT",
            "rules": [f"-d {SERVICE}/128 -j CT --notrack"],
        },
    }


def _host(sid: str, number: int) -> Json:
    return {
        f"config/vpp/srv6/v2/localsid/{sid}": {
            "sid": sid,
            "end_function_dx6": {
                "next_hop": f"2002::{number}:2",
                "outgoing_interface": "tap-vpp2",
            },
        }
    }


def _steering(*lists: list[str]) -> Json:
    return {
        "config/vpp/srv6/v2/policy/5555::d765": {
            "bsid": "5555::d765",
            "srh_encapsulation": True,
            "segment_lists": [{"segments": segments, "weight": 1} for segments in lists],
        },
        "config/vpp/srv6/v2/steering/s": {
            "name": "s",
            "policy_bsid": "5555::d765",
            "l3_traffic": {"installation_vrf_id": 1, "prefix_address": f"{SERVICE}/128"},
        },
    }


def _nodes() -> dict[str, Json]:
    drop = {
        "config/vpp/v2/route/vrf/1/dst/2096::/110/gw/::": {
            "type": "DROP",
            "vrf_id": 1,
            "dst_network": "2096::/110",
            "next_hop_addr": "::",
        }
    }
    return {
        "one": {
            **base_keys(1, ONE),
            **vrf_keys(),
            **segment_keys("7766::/16", ONE, [TWO]),
            **pod_keys(NEIGHBOUR, "c6"),
            **_receiver(POD, "6666:0:0:1::5"),
            **_host("6655::1", 1),
            **_steering(
                ["6666:0:0:1::5"],
                ["6655::1"],
                ["7766:f00d::2", "6666:0:0:2::7"],
                ["7766:f00d::2", "6655::1"],
            ),
            **drop,
        },
        "two": {
            **base_keys(2, TWO),
            **vrf_keys(),
            **segment_keys("7766::/16", TWO, [ONE]),
            **_receiver(REMOTE, "6666:0:0:2::7"),
            **_host("6655::1", 2),
            **_steering(["7766:f00d::1", "6666:0:0:1::5"]),
            **drop,
        },
    }


everywhere = {
    Delivered("one", POD, 8080),
    ToHost("one"),
    Delivered("two", REMOTE, 8080),
    ToHost("two"),
}


@pytest.mark.parametrize("outer_lookup", ["policy", "interface"])
@pytest.mark.parametrize("pod", [POD, NEIGHBOUR])
def test_the_four_paths(pod: str, outer_lookup: str) -> None:
    """A pod reaches a pod here, the host here, a pod there and the host there, itself included."""
    assert everywhere == trace(_nodes(), "one", pod, SERVICE, "TCP", 80, outer_lookup)


def test_without_notrack_a_call_to_itself_is_lost() -> None:
    """A tracked connection that comes back to its own pod is not translated."""
    nodes = _nodes()
    del nodes["one"]["config/linux/iptables/v2/rulechain/c5-out"]
    closed = Dropped("closed: the pod does not answer for this address and port")
    expected = everywhere - {Delivered("one", POD, 8080)} | {closed}

    assert expected == trace(nodes, "one", POD, SERVICE, "TCP", 80)


def test_an_undeclared_port_is_closed() -> None:
    """A pod does not answer for a port or protocol without a rule; its host does not know."""
    closed = Dropped("closed: the pod does not answer for this address and port")

    assert {closed} == trace(_nodes(), "two", REMOTE, SERVICE, "TCP", 81)
    assert {closed} == trace(_nodes(), "two", REMOTE, SERVICE, "UDP", 80)


def test_what_no_steering_takes_is_dropped() -> None:
    """Unallocated ClusterIPs die at the drop route, and a host's packet finds no route."""
    assert {Dropped("drop route")} == trace(_nodes(), "one", POD, "2096::1", "TCP", 80)
    assert {Dropped("no route in VRF 0")} == trace(_nodes(), "one", None, SERVICE, "TCP", 80)


def test_without_the_inter_vrf_route_a_pod_sid_is_lost() -> None:
    """With the outer lookup in the policy's VRF the local path needs the route main to pod."""
    nodes = _nodes()
    del nodes["one"]["config/vpp/v2/route/vrf/0/dst/6666:0:0:1::5/128/gw/::"]
    lost = everywhere - {Delivered("one", POD, 8080)} | {Dropped("no route in VRF 0")}

    assert lost == trace(nodes, "one", POD, SERVICE, "TCP", 80)
    assert everywhere == trace(nodes, "one", POD, SERVICE, "TCP", 80, "interface")


def test_without_a_static_neighbour_a_pod_is_lost() -> None:
    """DX6 does not ask for a neighbour."""
    nodes = _nodes()
    del nodes["two"][f"config/vpp/v2/arp/vpp-tap-c7/{REMOTE}"]
    lost = Dropped(f"no static neighbour {REMOTE} on vpp-tap-c7")

    assert lost in trace(nodes, "one", POD, SERVICE, "TCP", 80)


def test_a_tunnel_ends_in_its_vrf() -> None:
    """DT6 looks the inner address up in the VRF that it names."""
    nodes = _nodes()
    nodes["one"] |= {
        "config/vpp/srv6/v2/policy/8888:f00d::2": {
            "bsid": "8888:f00d::2",
            "srh_encapsulation": True,
            "segment_lists": [{"segments": ["7777:f00d::2"], "weight": 1}],
        },
        "config/vpp/srv6/v2/steering/t": {
            "name": "t",
            "policy_bsid": "8888:f00d::2",
            "l3_traffic": {"prefix_address": "2001:0:0:2::/64"},
        },
        "config/vpp/v2/route/vrf/0/dst/7777:f00d::2/128/gw/fe10:f00d::2": {
            "dst_network": "7777:f00d::2/128",
            "next_hop_addr": TWO,
        },
    }
    nodes["two"]["config/vpp/srv6/v2/localsid/7777:f00d::2"] = {
        "sid": "7777:f00d::2",
        "end_function_dt6": {"vrf_id": 1},
    }

    assert {Delivered("two", REMOTE, 9)} == trace(nodes, "one", POD, REMOTE, "TCP", 9)
    assert {Delivered("two", REMOTE, 9)} == trace(nodes, "one", None, REMOTE, "TCP", 9)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("config/vpp/v2/bridge-domain/b", {"name": "b"}),
        ("config/vpp/v2/vrf-table/id/0/protocol/IPV6", {"protocol": "IPV6", "colour": "red"}),
        (
            "config/linux/iptables/v2/rulechain/x",
            {
                "name": "x",
                "namespace": {"type": "FD", "reference": "/run/netns/c6"},
                "protocol": "IPV6",
                "table": "NAT",
                "chain_type": "OUTPUT",
                "rules": ["-j ACCEPT"],
            },
        ),
    ],
)
def test_what_it_does_not_know_raises(key: str, value: Json) -> None:
    """An unknown kind of key, field or rule is not skipped."""
    nodes = _nodes()
    nodes["one"][key] = value

    with pytest.raises(Unknown):
        Network(nodes)


@pytest.mark.parametrize(
    "change",
    [
        _steering(["6655::1"], ["6655::1"]),
        _steering(),
        {
            "config/vpp/v2/route/vrf/1/dst/2096::d765/128/gw/::": {
                "type": "DROP",
                "vrf_id": 1,
                "dst_network": "2096::d765/128",
                "next_hop_addr": "::",
            }
        },
        {
            "config/vpp/srv6/v2/policy/5555::d7": {
                "bsid": "5555::d7",
                "srh_encapsulation": True,
                "segment_lists": [{"segments": ["6655::1"], "weight": 1}],
            }
        },
        {
            "config/vpp/srv6/v2/steering/twin": {
                "name": "twin",
                "policy_bsid": "5555::d765",
                "l3_traffic": {"installation_vrf_id": 1, "prefix_address": f"{SERVICE}/128"},
            }
        },
        {
            "config/vpp/v2/route/vrf/1/dst/6666:0:0:1::5/128/gw/::": {
                "type": "DROP",
                "vrf_id": 1,
                "dst_network": "6666:0:0:1::5/128",
                "next_hop_addr": "::",
            }
        },
    ],
)
def test_what_vpp_or_the_agent_refuses_raises(change: Json) -> None:
    """Values that could not be programmed, or that lose packets by themselves, do not pass."""
    nodes = _nodes()
    nodes["one"] |= change

    with pytest.raises(Broken):
        Network(nodes)
