"""What the agent or VPP would refuse never leaves the planner (agent rules A1 to A28)."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from srv6kv.ligato.validity import fault_of
from srv6kv.ligato.values import (
    AgentValue,
    CrossConnect,
    End,
    L3Traffic,
    LocalSid,
    LookUp,
    Namespace,
    Policy,
    Route,
    RuleChain,
    SegmentList,
    Steering,
    VrfTable,
    decode,
    encode,
)

POD = LocalSid(
    sid="6666:0:0:1::5",
    installation_vrf_id=1,
    end_function_dx6=CrossConnect(next_hop="2001:0:0:1::5", outgoing_interface="vpp-tap-c"),
)
POLICY = Policy(
    bsid="5555::10",
    srh_encapsulation=True,
    segment_lists=(SegmentList(segments=("6666:0:0:1::5",), weight=1),),
)
STEERING = Steering(
    name="forK8sService-default-web",
    policy_bsid="5555::10",
    l3_traffic=L3Traffic(installation_vrf_id=1, prefix_address="2096::10/128"),
)
ROUTE = Route(type="DROP", vrf_id=1, dst_network="2096::/110", next_hop_addr="::")
CHAIN = RuleChain(
    name="srv6kv-c-OUTPUT",
    namespace=Namespace(type="FD", reference="/run/netns/c"),
    protocol="IPV6",
    table="RAW",
    chain_type="OUTPUT",
    rules=("-d 2096::10/128 -j CT --notrack",),
)
CUSTOM = replace(CHAIN, chain_type="", chain_name="srv6kv-a")
VALID: tuple[AgentValue, ...] = (
    POD,
    LocalSid(sid="7766:f00d::1", base_end_function=End()),
    LocalSid(sid="7777:f00d::1", end_function_dt6=LookUp(vrf_id=1)),
    POLICY,
    STEERING,
    ROUTE,
    Route(vrf_id=0, dst_network="7766:f00d::2/128", next_hop_addr="fe10:f00d::2"),
    VrfTable(protocol="IPV6", label="mainVRF-IPv6"),
    CHAIN,
    CUSTOM,
    replace(CUSTOM, table="NAT", chain_name="a" * 28),
)


@pytest.mark.parametrize("value", VALID, ids=lambda value: value.key)
def test_what_we_write_is_valid_and_reads_back(value: AgentValue) -> None:
    """A value has no fault, and its bytes are the value again."""
    assert fault_of(value) is None
    assert decode(value.key, encode(value)) == value


def _cross(interface: str = "vpp-tap-c", next_hop: str = "2001:0:0:1::5") -> LocalSid:
    end = CrossConnect(next_hop=next_hop, outgoing_interface=interface)
    return replace(POD, end_function_dx6=end)


def _lists(*lists: tuple[tuple[str, ...], int]) -> Policy:
    return replace(POLICY, segment_lists=tuple(SegmentList(path, weight) for path, weight in lists))


FAULTS: dict[str, tuple[AgentValue, str]] = {
    "no end function": (LocalSid(sid="6666::5"), "end_function"),
    "two end functions": (replace(POD, base_end_function=End()), "end_function"),
    "upper case": (replace(POD, sid="6666::A"), "sid"),
    "not compressed": (replace(POD, sid="6666:0:0:0:0:0:0:5"), "sid"),
    "mapped": (replace(POD, sid="::ffff:1.2.3.4"), "sid"),
    "no interface": (_cross(interface=""), "outgoing_interface"),
    "long interface": (_cross(interface="x" * 64), "outgoing_interface"),
    "interface that is expanded": (_cross(interface="$IF"), "outgoing_interface"),
    "interface with a blank": (_cross(interface="a b"), "outgoing_interface"),
    "next hop": (_cross(next_hop="2001::01"), "next_hop"),
    "no list": (_lists(), "segment_lists"),
    "equal lists": (_lists((("1::",), 1), (("1::",), 2)), "segment_lists"),
    "no segment": (_lists(((), 1)), "segments"),
    "six segments": (_lists((tuple(f"{i}::" for i in range(1, 7)), 1)), "segments"),
    "weight 0": (_lists((("1::",), 0)), "weight"),
    "weight of two digits": (_lists((("1::",), 10)), "weight"),
    "segment": (_lists((("1::A",), 1)), "segments"),
    "bsid": (replace(POLICY, bsid="5555::0010"), "bsid"),
    "no name": (replace(STEERING, name=""), "name"),
    "name with a slash": (replace(STEERING, name="a/b"), "name"),
    "name with a blank": (replace(STEERING, name="a b"), "key"),
    "steered host bits": (
        replace(STEERING, l3_traffic=L3Traffic(prefix_address="2096::10/110")),
        "prefix_address",
    ),
    "steering's bsid": (replace(STEERING, policy_bsid="x"), "policy_bsid"),
    "host bits": (replace(ROUTE, dst_network="2096::1/110"), "dst_network"),
    "no next hop": (replace(ROUTE, next_hop_addr=""), "next_hop_addr"),
    "INTER_VRF next hop": (replace(ROUTE, type="INTER_VRF", next_hop_addr="1::"), "next_hop_addr"),
    "long label": (VrfTable(id=1, protocol="IPV6", label="x" * 64), "label"),
    "no such chain": (replace(CHAIN, table="NAT", chain_type="FORWARD"), "chain_type"),
    "no name of a chain": (replace(CUSTOM, chain_name=""), "chain_name"),
    "long name of a chain": (replace(CUSTOM, chain_name="a" * 29), "chain_name"),
    "chain with a blank": (replace(CUSTOM, chain_name="a b"), "chain_name"),
    "chain like an option": (replace(CUSTOM, chain_name="-F"), "chain_name"),
    "custom in no such table": (replace(CUSTOM, table="FILTER"), "chain_type"),
    "no namespace": (replace(CHAIN, namespace=Namespace()), "namespace"),
    "namespace of a megabyte": (
        replace(CHAIN, namespace=Namespace(type="FD", reference="/" + "x" * 4096)),
        "namespace",
    ),
    "rule that is expanded": (replace(CHAIN, rules=("-d $X",)), "rules"),
    "rule of two lines": (replace(CHAIN, rules=("-d 1::\n-d 2::",)), "rules"),
    "path": (replace(CHAIN, name="a/../b"), "key"),
    "no such reference": (
        replace(CHAIN, namespace=Namespace(type="fd", reference="/run/netns/c")),
        "namespace",
    ),
    "chain of v2's protocol": (replace(CHAIN, protocol="IPv6"), "protocol"),
    "table of v2's protocol": (VrfTable(id=1, protocol="IPv6"), "protocol"),
    "no such route": (replace(ROUTE, type="drop"), "type"),
    "INTER_VRF interface": (
        replace(ROUTE, type="INTER_VRF", outgoing_interface="tap"),
        "outgoing_interface",
    ),
}


@pytest.mark.parametrize(("value", "field"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_names_its_field(value: AgentValue, field: str) -> None:
    """What is wrong is said as field and reason."""
    fault = fault_of(value)

    assert fault is not None
    assert fault.startswith(f"{field}: ")


@pytest.mark.parametrize("length", [1, 63])
def test_interface_names_of_up_to_63_characters_are_fine(length: int) -> None:
    """63 is the agent's limit."""
    assert fault_of(_cross(interface="x" * length)) is None


def test_canonical_bytes() -> None:
    """Values are compact JSON with sorted proto names, without defaults; End is an empty object."""
    assert encode(POD) == (
        b'{"end_function_dx6":{"next_hop":"2001:0:0:1::5","outgoing_interface":"vpp-tap-c"},'
        b'"installation_vrf_id":1,"sid":"6666:0:0:1::5"}'
    )
    assert encode(VALID[1]) == b'{"base_end_function":{},"sid":"7766:f00d::1"}'
    assert encode(POLICY) == (
        b'{"bsid":"5555::10","segment_lists":[{"segments":["6666:0:0:1::5"],"weight":1}],'
        b'"srh_encapsulation":true}'
    )


@pytest.mark.parametrize(
    ("key", "value"), [("config/vpp/v2/arp/x", b"{}"), (POD.key, b"{"), (POD.key, b'{"sid":1}')]
)
def test_what_is_not_ours_does_not_decode(key: str, value: bytes) -> None:
    """A key of another kind, or a value that we could not have written, is refused by name."""
    with pytest.raises(ValueError, match=key):
        decode(key, value)
