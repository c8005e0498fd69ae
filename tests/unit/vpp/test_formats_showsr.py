"""What VPP shows for the agent's values, beside the seed's copy of a terminal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from srv6kv.ligato import keys
from srv6kv.ligato.parts import Values
from srv6kv.ligato.values import (
    AgentValue,
    CrossConnect,
    End,
    L3Traffic,
    LocalSid,
    Policy,
    SegmentList,
    Steering,
    encode,
)
from srv6kv.vpp import showsr

# The seed's copy, which leaves out the policies 2 and 3 and has blanks for tabs.
SEED_POLICIES = """\
SR policies:
[0].- BSID: 5555::a
Behavior: Encapsulation
Type: Default
FIB table: 0
Segment Lists:
[0].- < 6666:0:0:1::2 > weight: 1
[1].- < 6666:0:0:1::3 > weight: 1
-----------
[1].- BSID: 5555::5ce9
Behavior: Encapsulation
Type: Default
FIB table: 0
Segment Lists:
[2].- < 6655::1 > weight: 1
-----------
...
-----------
[4].- BSID: 5555::d765
Behavior: Encapsulation
Type: Default
FIB table: 0
Segment Lists:
[5].- < 6666:0:0:1::5 > weight: 1
[6].- < 6666:0:0:1::6 > weight: 1
-----------
"""

SEED_LOCALSIDS = """\
SRv6 - My LocalSID Table:
=========================
Address: 6666:0:0:1::5
Behavior: DX6 (Endpoint with decapsulation and IPv6 cross-connect)
Iface: tap4
Next hop: 2001:0:0:1::5
Good traffic: [0 packets : 0 bytes]
Bad traffic: [0 packets : 0 bytes]
--------------------
Address: 7766:f00d::1
Behavior: End
Good traffic: [0 packets : 0 bytes]
Bad traffic: [0 packets : 0 bytes]
--------------------
"""

SEED_STEERINGS = """\
SR steering policies:
Traffic SR policy BSID
L3 2096::1/128 5555::1
L3 2096::a/128 5555::a
L3 2096::5ce9/128 5555::5ce9
L3 2096::6457/128 5555::6457
L3 2096::d765/128 5555::d765
"""


def policy(bsid: str, *sids: str) -> Policy:
    """A policy with one list for each SID."""
    lists = tuple(SegmentList((sid,), 1) for sid in sids)
    return Policy(bsid, segment_lists=lists, srh_encapsulation=True)


def values_of(*values: AgentValue) -> dict[str, Any]:
    """Keys and JSON, as the commands get them."""
    return {value.key: json.loads(encode(value)) for value in values}


def words(text: str) -> list[list[str]]:
    """The words of each line, as they survive a copy from a terminal."""
    return [line.split() for line in text.splitlines()]


POLICIES = values_of(
    policy("5555::d765", "6666:0:0:1::5", "6666:0:0:1::6"),
    policy("5555::5ce9", "6655::1"),
    policy("5555::a", "6666:0:0:1::2", "6666:0:0:1::3"),
    policy("5555::6457", "6666:0:0:1::4"),
    policy("5555::8000", "6666:0:0:1::4"),
)


def test_policies_of_the_seed() -> None:
    """Policies are shown as in the seed, with segment lists numbered over all of them."""
    shown, seed = words(showsr.show_policies(POLICIES)), words(SEED_POLICIES)
    dots = seed.index(["..."])

    assert shown[:dots] == seed[:dots]
    assert shown[dots - len(seed) + 1 :] == seed[dots + 1 :]


def test_tabs_of_a_policy() -> None:
    """Tabs and blanks are VPP's; two SIDs of a list are set apart by a comma."""
    value = Policy("5555::a", 1, (SegmentList(("7766:f00d::2", "6666:0:0:2::5"), 3),))

    assert showsr.show_policies(values_of(value)) == (
        "SR policies:\n"
        "[0].-\tBSID: 5555::a\n"
        "\tBehavior: SRH insertion\n"
        "\tType: Default\n"
        "\tFIB table: 1\n"
        "\tSegment Lists:\n"
        "  \t[0].- < 7766:f00d::2, 6666:0:0:2::5 > weight: 3\n"
        "-----------\n"
    )


def test_spray() -> None:
    """A policy that copies to every list is of type Spray."""
    shown = showsr.show_policies({keys.policy("::a"): {"bsid": "::a", "spray_behaviour": True}})

    assert "\tType: Spray\n" in shown


def test_localsids_of_the_seed() -> None:
    """Localsids are shown as in the seed, with VPP's interface name if it is given."""
    values = values_of(
        LocalSid("7766:f00d::1", base_end_function=End()),
        LocalSid("6666:0:0:1::5", end_function_dx6=CrossConnect("2001:0:0:1::5", "vpp-tap-d608")),
    )

    assert words(showsr.show_localsids(values, {"vpp-tap-d608": "tap4"})) == words(SEED_LOCALSIDS)


@pytest.mark.parametrize(
    ("function", "lines"),
    [
        ({"base_end_function": {"psp": True}}, "\tBehavior: \tEnd\n\tPSP: \tTrue\n"),
        (
            {"end_function_x": {"outgoing_interface": "tap4", "next_hop": "2001::5"}},
            "\tBehavior: \tX (Endpoint with Layer-3 cross-connect)\n"
            "\tIface:  \ttap4\n\tNext hop: \t2001::5\n",
        ),
        (
            {"end_function_t": {"vrf_id": 1}},
            "\tBehavior: \tT (Endpoint with specific IPv6 table lookup)\n\tTable:  \t1\n",
        ),
        (
            {"end_function_dx2": {"outgoing_interface": "tap4"}},
            "\tBehavior: \tDX2 (Endpoint with decapulation and Layer-2 cross-connect)\n"
            "\tIface:  \ttap4\n",
        ),
        (
            {"end_function_dx4": {"outgoing_interface": "tap4", "next_hop": "10.0.0.1"}},
            "\tBehavior: \tDX4 (Endpoint with decapsulation and IPv4 cross-connect)\n"
            "\tIface:  \ttap4\n\tNext hop: \t10.0.0.1\n",
        ),
        (
            {"end_function_dt4": {}},
            "\tBehavior: \tDT4 (Endpoint with decapsulation and specific IPv4 table lookup)\n"
            "\tTable: \t0\n",
        ),
        (
            {"end_function_dt6": {"vrf_id": 1}},
            "\tBehavior: \tDT6 (Endpoint with decapsulation and specific IPv6 table lookup)\n"
            "\tTable: 1\n",
        ),
        (
            {
                "end_function_ad": {
                    "outgoing_interface": "tap4",
                    "incoming_interface": "tap5",
                    "l3_service_address": "2001::5",
                }
            },
            "\tBehavior: \tEnd.AD (Endpoint with dynamic proxy to SR-unaware appliance)\n"
            "\tNext-hop:\t2001::5\n\tOutgoing iface: tap4\n\tIncoming iface: tap5\n",
        ),
    ],
)
def test_behaviours(function: dict[str, Any], lines: str) -> None:
    """Each end function has VPP's text, tabs and further lines."""
    values: Values = {keys.localsid("6666::5"): {"sid": "6666::5", **function}}

    assert showsr.show_localsids(values) == (
        "SRv6 - My LocalSID Table:\n"
        "=========================\n"
        "\tAddress: \t6666::5\n"
        f"{lines}"
        "\tGood traffic: \t[0 packets : 0 bytes]\n"
        "\tBad traffic:  \t[0 packets : 0 bytes]\n"
        "--------------------\n"
    )


def test_steerings_of_the_seed() -> None:
    """Steerings are shown as in the seed, in the order of their prefixes."""
    tails = ("a", "5ce9", "1", "6457", "d765")
    values = values_of(
        *(Steering(L3Traffic(f"2096::{tail}/128", 1), tail, f"5555::{tail}") for tail in tails)
    )
    shown = showsr.show_steerings(values)

    assert words(shown) == words(SEED_STEERINGS)
    assert shown.startswith(
        "SR steering policies:\nTraffic\t\tSR policy BSID\nL3 2096::1/128\t5555"
    )


def test_steering_of_an_interface() -> None:
    """A steering of all frames of an interface is an L2 line."""
    value = {"policy_bsid": "5555::a", "l2_traffic": {"interface_name": "vpp-tap-d608"}}

    assert (
        showsr.show_steerings({keys.steering("s1"): value}, {"vpp-tap-d608": "tap4"})
        == "SR steering policies:\nTraffic\t\tSR policy BSID\nL2 tap4\t5555::a\n"
    )


def test_nothing() -> None:
    """Without objects VPP still prints the headings."""
    assert (showsr.show_policies({}), showsr.show_localsids({}), showsr.show_steerings({})) == (
        "SR policies:\n",
        "SRv6 - My LocalSID Table:\n=========================\n",
        "SR steering policies:\nTraffic\t\tSR policy BSID\n",
    )


def test_text_that_is_no_address_comes_last() -> None:
    """Objects whose address cannot be read are shown after the others, not lost."""
    shown = showsr.show_policies(
        {keys.policy(bsid): {"bsid": bsid} for bsid in ("nonsense", "5555::a")}
    )

    assert shown.index("5555::a") < shown.index("nonsense")


def test_refused() -> None:
    """A localsid of an unknown function and a steering without a BSID are errors."""
    with pytest.raises(ValueError, match="end_function_zz: not an end function"):
        showsr.show_localsids({keys.localsid("::5"): {"sid": "::5", "end_function_zz": {}}})
    with pytest.raises(ValueError, match="policy_bsid: missing"):
        showsr.show_steerings({keys.steering("s1"): {"policy_index": 0}})
