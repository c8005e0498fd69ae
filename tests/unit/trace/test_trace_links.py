"""trace: what is on the links of VPP, which no route names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tracing import CLIENT, OWN, POLICY, ROUTE, Values, end_of, hops, network_of, put, traced

INTERFACE = "config/vpp/v2/interfaces/"
OUTSIDE, OUTSIDE4 = "2abc:ffff:1::2", "192.0.2.2"
LINK: dict[str, Any] = {
    "name": "outside1",
    "enabled": True,
    "ip_addresses": ["2abc:ffff:1::1/64", "192.0.2.1/24"],
}


def _all(*changes: Callable[[Values], object]) -> Callable[[Values], object]:
    def change(values: Values) -> None:
        for one in changes:
            one(values)

    return change


def _link(**value: Any) -> Callable[[Values], object]:
    """A link of node 1 in the main VRF, and node 2's route to it."""
    route = f"{ROUTE}vrf/0/dst/2abc:ffff:1::/64/gw/fe10:f00d::1"
    there = {"dst_network": "2abc:ffff:1::/64", "next_hop_addr": "fe10:f00d::1"}
    return _all(
        put("node1", f"{INTERFACE}outside1", **{**LINK, **value}), put("node2", route, **there)
    )


def test_the_way_back_to_a_client_on_a_link() -> None:
    """From an endpoint of the link's node it leaves at once, from others by their node's route."""
    network = network_of(_link())
    trace = traced("2001:db8::80", sender="outside", source=OUTSIDE, network=network)
    way = (
        f"2001:db8::80 to {OUTSIDE}: plain routes, it leaves the cluster at node1:"
        f" route 2abc:ffff:1::/64 by {OUTSIDE} on outside1"
    )

    assert [(end.node, end.reply) for end in trace.path.ends()] == [("node1", way), ("node2", way)]


@pytest.mark.parametrize("to", [OUTSIDE, OUTSIDE4])
def test_a_neighbour_on_a_link(to: str) -> None:
    """VPP asks for it by itself: no key needs to name it."""
    trace = traced(to, sender="host", network=network_of(_link()))

    assert (end_of(trace).kind, end_of(trace).node) == ("left", "node1")
    assert hops(trace)[-1].key == f"{INTERFACE}outside1"
    assert hops(trace)[-1].does == f"out by {to} on outside1"


@pytest.mark.parametrize("to", ["2abc:ffff:1::1", "192.0.2.1"])
def test_an_address_of_vpp_itself(to: str) -> None:
    """It is in the prefix, and no neighbour."""
    trace = traced(to, sender="host", network=network_of(_link()))

    assert (end_of(trace).kind, end_of(trace).why) == ("dropped", "it is for VPP itself")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"enabled": False}, "no route in VRF 0"),
        ({"ip_addresses": ["2abc:ffff:1::1/128"]}, "no route in VRF 0"),
        ({"ip_addresses": ["2abc:ffff:1::1"]}, "no route in VRF 0"),
        ({"vrf": 9}, "no route in VRF 0"),
    ],
)
def test_an_interface_without_that_prefix(value: dict[str, Any], why: str) -> None:
    """One that is down, or in another VRF, leads nowhere."""
    network = network_of(_link(**value))

    assert end_of(traced(OUTSIDE, sender="host", network=network)).why == why


def test_an_address_of_another_node() -> None:
    """On the network of the uplinks the other node has it."""
    uplink = {"name": "uplink", "enabled": True}
    network = network_of(
        _all(
            put("node1", f"{INTERFACE}uplink", **uplink, ip_addresses=["fe10:f00d::1/90"]),
            put("node2", f"{INTERFACE}uplink", **uplink, ip_addresses=["fe10:f00d::2/90"]),
        )
    )
    trace = traced("fe10:f00d::2", sender="host", network=network)
    other = traced("fe10:f00d::9", sender="host", network=network)

    assert (end_of(trace).node, end_of(trace).why) == ("node2", "it is for VPP itself")
    assert (end_of(other).node, end_of(other).kind) == ("node1", "left")


def test_the_host_behind_its_interconnect() -> None:
    """Its address is in the prefix of VPP's end; another one there is nobody's."""
    linux = "config/linux/interfaces/v2/interface/tap-vpp1"
    network = network_of(
        _all(
            put(
                *("node2", f"{INTERFACE}tap-vpp2"),
                name="tap-vpp2",
                enabled=True,
                ip_addresses=["2002::2:1/112"],
            ),
            put(
                *("node2", linux),
                ip_addresses=["2002::2:2/112"],
                tap={"vpp_tap_if_name": "tap-vpp2"},
            ),
        )
    )
    host, nobody = (traced(to, sender="host", network=network) for to in ("2002::2:2", "2002::2:3"))

    assert (end_of(host).kind, end_of(host).node) == ("host", "node2")
    assert end_of(nobody).why == "the host is not 2002::2:3"


def test_a_host_whose_address_is_on_a_link() -> None:
    """The CNI leads it to the host, whatever else is on its network."""
    network = network_of(_link(ip_addresses=["fd00::1/64"]))
    trace = traced("fd00::101", network=network)

    assert (end_of(trace).kind, end_of(trace).node) == ("host", "node1")


def test_a_pod_on_a_numbered_interface() -> None:
    """VPP asks for it: a static neighbour is not needed, as it is for a localsid."""

    def number(values: Values) -> None:
        own = values["node1"]
        for key in list(own):
            if key.startswith((f"{ROUTE}if/", "config/vpp/v2/arp/")) and CLIENT in key:
                del own[key]
        tap = next(k for k in own if k.startswith(INTERFACE) and _has(own, k, CLIENT))
        own[tap] = {**own[tap], "enabled": True, "ip_addresses": ["2001:0:0:1::1/64"]}

    def _has(own: dict[str, Any], key: str, address: str) -> bool:
        name = key.removeprefix(INTERFACE)
        ends = [
            value for value in own.values() if value.get("tap", {}).get("vpp_tap_if_name") == name
        ]
        return any(address in end["ip_addresses"] for end in ends)

    trace = traced(CLIENT, 9, source=OWN, network=network_of(number))

    assert (end_of(trace).kind, end_of(trace).address) == ("pod", CLIENT)


def test_an_encapsulated_packet_to_a_neighbour() -> None:
    """A segment that no node has leaves by the link that its address is on."""
    lists = [{"segments": [OUTSIDE], "weight": 1}]
    network = network_of(_all(_link(), put("node1", f"{POLICY}5555::6457", segment_lists=lists)))

    assert end_of(traced("2096::6457", network=network)).kind == "left"
