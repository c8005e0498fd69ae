"""The messages that are generated from protos/: fresh, and the agent's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format, text_format

from srv6kv.gen.ligato.linux.interfaces import interface_pb2
from srv6kv.gen.ligato.linux.iptables import iptables_pb2
from srv6kv.gen.ligato.vpp.l3 import arp_pb2, route_pb2, vrf_pb2
from srv6kv.gen.ligato.vpp.srv6 import srv6_pb2

ROOT = Path(__file__).resolve().parents[2]

# The three transactions of the seed, as values, and the fields in the order of its log.
SEED: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "localsid": (
        srv6_pb2.LocalSID,
        {
            "sid": "6666:0:0:1::5",
            "installation_vrf_id": 1,
            "end_function_dx6": {
                "outgoing_interface": "vpp-tap-d6087568be9f59aba028955c19f5684055a69d926ed89f"
                "720fe187a",
                "next_hop": "2001:0:0:1::5",
            },
        },
    ),
    "policy": (
        srv6_pb2.Policy,
        {
            "bsid": "5555::d765",
            "srh_encapsulation": True,
            "segment_lists": [{"weight": 1, "segments": ["6666:0:0:1::5"]}],
        },
    ),
    "steering": (
        srv6_pb2.Steering,
        {
            "name": "forK8sService-default-myservice",
            "policy_bsid": "5555::d765",
            "l3_traffic": {"installation_vrf_id": 1, "prefix_address": "2096::d765/128"},
        },
    ),
}

VALUES: list[tuple[type[Any], dict[str, Any]]] = [
    (srv6_pb2.LocalSID, {"sid": "9000::1", "base_end_function": {}}),
    (
        srv6_pb2.LocalSID,
        {"sid": "9300::1", "end_function_dt6": {"vrf_id": 1}},
    ),
    (
        route_pb2.Route,
        {
            "dst_network": "6666:0:0:1::5/128",
            "next_hop_addr": "::",
            "type": "INTER_VRF",
            "via_vrf_id": 1,
        },
    ),
    (
        route_pb2.Route,
        {"dst_network": "2096::/110", "next_hop_addr": "::", "type": "DROP", "vrf_id": 1},
    ),
    (vrf_pb2.VrfTable, {"id": 1, "label": "pod", "protocol": "IPV6"}),
    (
        vrf_pb2.VrfTable,
        {"id": 1, "flow_hash_settings": {"use_src_ip": True, "symmetric": True}},
    ),
    (
        arp_pb2.ARPEntry,
        {
            "interface": "vpp-tap-d6087568be9f",
            "ip_address": "2001:0:0:1::5",
            "phys_address": "02:fe:00:00:00:05",
            "static": True,
        },
    ),
    (
        interface_pb2.Interface,
        {
            "enabled": True,
            "host_if_name": "eth0",
            "ip_addresses": ["2001:0:0:1::5/128"],
            "name": "linux-tap-d6087568be9f",
            "namespace": {"reference": "/proc/4711/ns/net", "type": "FD"},
            "tap": {"vpp_tap_if_name": "vpp-tap-d6087568be9f"},
            "type": "TAP_TO_VPP",
        },
    ),
    (
        iptables_pb2.RuleChain,
        {
            "chain_type": "PREROUTING",
            "name": "srv6kv-d6087568be9f-PREROUTING",
            "namespace": {"reference": "/proc/4711/ns/net", "type": "FD"},
            "protocol": "IPV6",
            "rules": [
                "-d 2096::d765/128 -p tcp -m tcp --dport 80 -j DNAT "
                "--to-destination [2001:0:0:1::5]:8080"
            ],
            "table": "NAT",
        },
    ),
]


def test_generated_code_is_fresh() -> None:
    """srv6kv/gen/ is what scripts/gen-protos makes of protos/."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "gen-protos"), "--check"],
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_generated_code_stays_in_its_package() -> None:
    """No generated module imports another one by a name outside srv6kv."""
    imports = {
        line.split()[1].split(".")[0]
        for path in (ROOT / "srv6kv" / "gen").rglob("*.py")
        for line in path.read_text().splitlines()
        if line.startswith(("import ", "from "))
    }

    assert {"google", "grpc", "srv6kv", "warnings"} == imports


@pytest.mark.parametrize(("message", "value"), [*VALUES, *SEED.values()])
def test_value_is_a_message(message: type[Any], value: dict[str, Any]) -> None:
    """A strict parser takes the value, and prints it again with the agent's field names."""
    parsed = json_format.Parse(json.dumps(value), message())

    assert value == json_format.MessageToDict(parsed, preserving_proto_field_name=True)


@pytest.mark.parametrize(
    "value", ['{"sidd":"::1"}', '{"base_end_function":{},"end_function_t":{}}']
)
def test_wrong_value_is_refused(value: str) -> None:
    """Neither an unknown field nor two end functions pass the strict parser."""
    with pytest.raises(json_format.ParseError):
        json_format.Parse(value, srv6_pb2.LocalSID())


@pytest.mark.parametrize("kind", SEED)
def test_log_order_is_the_seed_s(kind: str) -> None:
    """Fields are declared in the order in which the agent's log prints them."""
    message, value = SEED[kind]
    parsed = json_format.ParseDict(value, message())
    printed = text_format.MessageToString(parsed, use_index_order=True)
    top = [line.split()[0].rstrip(":") for line in printed.splitlines() if line[0].isalpha()]

    assert list(value) == top
