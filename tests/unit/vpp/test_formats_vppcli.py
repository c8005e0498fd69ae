"""VPP's commands for the agent's values."""

from __future__ import annotations

import json
from typing import Any

import pytest

from srv6kv.ligato import keys, schema
from srv6kv.ligato.values import (
    CrossConnect,
    End,
    L3Traffic,
    LocalSid,
    LookUp,
    Policy,
    Route,
    SegmentList,
    Steering,
    VrfTable,
    encode,
)
from srv6kv.vpp import vppcli

TAP = "vpp-tap-d6087568be9f"

NODE = (
    Steering(L3Traffic("2096::d765/128", 1), "forK8sService-default-myservice", "5555::d765"),
    Steering(L3Traffic("2096::a/128", 1), "forK8sService-default-other", "5555::a"),
    Policy(
        "5555::d765",
        segment_lists=(
            SegmentList(("6666:0:0:1::5",), 1),
            SegmentList(("7766:f00d::2", "6666:0:0:2::5"), 3),
        ),
        srh_encapsulation=True,
    ),
    Policy("5555::a", 1, (SegmentList(("6666:0:0:1::5",), 1),), True),
    LocalSid(
        "6666:0:0:1::5",
        end_function_dx6=CrossConnect("2001:0:0:1::5", TAP),
        installation_vrf_id=1,
    ),
    LocalSid("7766:f00d::1", base_end_function=End()),
    LocalSid("9300::1", end_function_dt6=LookUp(1)),
    Route("6666:0:0:1::5/128", "::", type="INTER_VRF", via_vrf_id=1),
    Route("2096::/110", "::", type="DROP", vrf_id=1),
    Route("7766:f00d::2/128", "fe10:f00d::2", "uplink"),
    Route("6666:0:0:2::/64", "fe10:f00d::2"),
    VrfTable(1, "pod", "IPV6"),
    VrfTable(1),
    VrfTable(0, "main", "IPV6"),
)

COMMANDS = """\
ip table add 1
ip6 table add 1
ip route add 6666:0:0:1::5/128 table 0 via ip6-lookup-in-table 1
ip route add 6666:0:0:2::/64 table 0 via fe10:f00d::2
ip route add 7766:f00d::2/128 table 0 via fe10:f00d::2 GigabitEthernet0/8/0
ip route add 2096::/110 table 1 via drop
sr localsid prefix 6666:0:0:1::5/128 behavior end.dx6 tap4 2001:0:0:1::5 fib-table 1
sr localsid prefix 7766:f00d::1/128 behavior end fib-table 0
sr localsid prefix 9300::1/128 behavior end.dt6 1 fib-table 0
sr policy add bsid 5555::a next 6666:0:0:1::5 weight 1 encap fib-table 1
sr policy add bsid 5555::d765 next 6666:0:0:1::5 weight 1 encap
sr policy mod bsid 5555::d765 add sl next 7766:f00d::2 next 6666:0:0:2::5 weight 3
sr steer l3 2096::a/128 via bsid 5555::a fib-table 1
sr steer l3 2096::d765/128 via bsid 5555::d765 fib-table 1
"""


def test_node() -> None:
    """A node's values become commands, each after those whose objects it needs."""
    values = {value.key: json.loads(encode(value)) for value in NODE}
    interfaces = {TAP: "tap4", "uplink": "GigabitEthernet0/8/0"}

    assert vppcli.commands(values, interfaces) == COMMANDS.splitlines()


def test_order_of_values_does_not_matter() -> None:
    """The same values in another order give the same commands."""
    values = {value.key: json.loads(encode(value)) for value in NODE}

    assert vppcli.commands(values, {}) == vppcli.commands(dict(reversed(values.items())), {})


@pytest.mark.parametrize(
    ("key", "value", "command"),
    [
        (keys.rule_chain("c"), {"name": "c"}, None),
        (schema.SRV6_GLOBAL, {}, None),
        (
            schema.SRV6_GLOBAL,
            {"encap_source_address": "fe10:f00d::1"},
            "set sr encaps source addr fe10:f00d::1",
        ),
        (
            keys.localsid("6666::5"),
            {"sid": "6666::5", "base_end_function": {"psp": True}},
            "sr localsid prefix 6666::5/128 behavior end psp fib-table 0",
        ),
        (
            keys.localsid("6666::5"),
            {
                "sid": "6666::5",
                "end_function_x": {"outgoing_interface": "tap9", "next_hop": "2001::5"},
            },
            "sr localsid prefix 6666::5/128 behavior end.x tap9 2001::5 fib-table 0",
        ),
        (
            keys.localsid("6666::5"),
            {"sid": "6666::5", "end_function_dx2": {"outgoing_interface": "tap9"}},
            "sr localsid prefix 6666::5/128 behavior end.dx2 tap9 fib-table 0",
        ),
        (
            keys.localsid("6666::5"),
            {"sid": "6666::5", "end_function_dt4": {}},
            "sr localsid prefix 6666::5/128 behavior end.dt4 0 fib-table 0",
        ),
        (
            keys.localsid("6666::5"),
            {
                "sid": "6666::5",
                "end_function_ad": {
                    "outgoing_interface": "tap8",
                    "incoming_interface": "tap9",
                    "l3_service_address": "2001::5",
                },
            },
            "sr localsid prefix 6666::5/128 behavior end.ad nh 2001::5 oif tap8 iif tap9 "
            "fib-table 0",
        ),
        (
            keys.policy("5555::a"),
            {
                "bsid": "5555::a",
                "spray_behaviour": True,
                "segment_lists": [{"segments": ["6666::5"]}],
            },
            "sr policy add bsid 5555::a next 6666::5 weight 0 insert spray",
        ),
        (
            keys.steering("s1"),
            {"policy_index": 2, "l2_traffic": {"interface_name": "tap9"}},
            "sr steer l2 tap9 via index 2",
        ),
        (
            keys.route(0, "10.0.0.0/8", "0.0.0.0"),
            {"dst_network": "10.0.0.0/8", "type": "INTER_VRF", "via_vrf_id": 2},
            "ip route add 10.0.0.0/8 table 0 via ip4-lookup-in-table 2",
        ),
        (
            keys.route(0, "2001::/64", ""),
            {"dst_network": "2001::/64", "outgoing_interface": "tap9", "weight": 2},
            "ip route add 2001::/64 table 0 via tap9 weight 2",
        ),
    ],
)
def test_command(key: str, value: dict[str, Any], command: str | None) -> None:
    """Each kind and option has its command; Linux objects have none."""
    assert vppcli.commands({key: value}, {}) == ([command] if command else [])


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("config/vpp/v2/interfaces/loop0", {"name": "loop0"}, "not a kind of value"),
        (keys.localsid("6666::5"), {"sid": "6666::5"}, "end_function: 0 are set"),
        (
            keys.localsid("6666::5"),
            {"sid": "6666::5", "end_function_zz": {}},
            "end_function_zz: not an end function",
        ),
        (
            keys.localsid("6666::5"),
            {"sid": "6666::5", "end_function_dx6": {"next_hop": "2001::5"}},
            "outgoing_interface: missing",
        ),
        (
            keys.localsid("6666::5"),
            {"sid": "6666::5", "end_function_dx2": {"vlan_tag": 3}},
            "vlan_tag: VPP has no command",
        ),
        (keys.localsid("6666::5"), {"base_end_function": {}}, "sid: missing"),
        (keys.policy("5555::a"), {"bsid": "5555::a"}, "segment_lists: there must be"),
        (
            keys.policy("5555::a"),
            {"bsid": "5555::a", "segment_lists": [{"weight": 1}]},
            "segments: there must be",
        ),
        (keys.steering("s1"), {"policy_bsid": "5555::a"}, "l3_traffic.prefix_address: missing"),
        (keys.route(0, "::/0", ""), {"dst_network": "::/0"}, "next_hop_addr: missing"),
        (keys.route(0, "::/0", ""), {"dst_network": "::/0", "type": "X"}, "type: 'X' is not"),
        (
            keys.localsid("6666::5"),
            {"sid": "6666::5\nquit", "base_end_function": {}},
            "would take this for several",
        ),
    ],
)
def test_refused(key: str, value: dict[str, Any], reason: str) -> None:
    """A value that no command can express is an error, and nothing is printed."""
    with pytest.raises(ValueError, match=reason):
        vppcli.commands({key: value}, {})
