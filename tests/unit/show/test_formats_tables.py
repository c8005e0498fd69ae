"""Tables for a terminal: whole addresses in 100 columns, with and without colour."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any, Literal

from rich.console import Console

from srv6kv.ligato import keys
from srv6kv.show import tables

SID = "6666:1111:2222:3333:4444:5555:6666:7777"
BSID = "5555:1111:2222:3333:4444:5555:6666:7777"
HOP = "2001:1111:2222:3333:4444:5555:6666:7777"
PREFIX = "2096:1111:2222:3333:4444:5555:6666:7777/128"
TAP = "vpp-tap-d6087568be9f59aba028955c19f5684055a69d926ed89f720fe187a"

VALUES: dict[str, dict[str, Any]] = {
    keys.localsid(SID): {
        "sid": SID,
        "installation_vrf_id": 1,
        "end_function_dx6": {"next_hop": HOP, "outgoing_interface": TAP},
    },
    keys.localsid("7766:f00d::1"): {"sid": "7766:f00d::1", "base_end_function": {"psp": True}},
    keys.localsid("9300::1"): {"sid": "9300::1", "end_function_dt6": {"vrf_id": 1}},
    keys.policy(BSID): {
        "bsid": BSID,
        "segment_lists": [{"weight": 9, "segments": [SID, HOP]}, {"segments": [HOP]}],
    },
    keys.policy("5555::a"): {"bsid": "5555::a"},
    keys.steering("forK8sService-default-myservice"): {
        "name": "forK8sService-default-myservice",
        "policy_bsid": BSID,
        "l3_traffic": {"installation_vrf_id": 1, "prefix_address": PREFIX},
    },
    keys.steering("l2"): {"name": "l2", "l2_traffic": {"interface_name": "tap9"}},
    keys.route(0, PREFIX, "::"): {
        "dst_network": PREFIX,
        "next_hop_addr": "::",
        "type": "INTER_VRF",
        "via_vrf_id": 1,
    },
    keys.route(1, "2096::/110", "::"): {"vrf_id": 1, "dst_network": "2096::/110", "type": "DROP"},
    keys.route(0, "6666::/64", HOP): {
        "dst_network": "6666::/64",
        "next_hop_addr": HOP,
        "outgoing_interface": "uplink",
    },
    keys.vrf_table(1, "IPV6"): {"id": 1, "protocol": "IPV6", "label": "pod"},
    keys.rule_chain(f"srv6kv-{TAP}-PREROUTING"): {
        "name": f"srv6kv-{TAP}-PREROUTING",
        "namespace": {"type": "FD", "reference": "/proc/4711/ns/net"},
        "table": "NAT",
        "chain_type": "PREROUTING",
        "rules": [f"-d {PREFIX} -j DNAT --to-destination [{HOP}]:65535", "-j [fd00::5]:80"],
    },
    "config/vpp/v2/interfaces/loop0": {"name": "loop0"},
}

PLAIN = """\
Policies
BSID     Weight  Segments
───────────────────────────────────────────
5555::a       1  6666:0:0:1::2
              2  7766:f00d::2 6666:0:0:2::3
"""


def printed(values: dict[str, dict[str, Any]], colour: bool = False) -> str:
    """The tables as a terminal of 100 columns, or a pipe, gets them."""
    kind: Literal["standard"] | None = "standard" if colour else None
    console = Console(file=io.StringIO(), width=100, force_terminal=colour, color_system=kind)
    for table in tables.render_tables(values):
        console.print(table)
    assert isinstance(console.file, io.StringIO)

    return console.file.getvalue()


def test_policies() -> None:
    """Each segment list has a line; a BSID stands only at its first one."""
    value = {
        "bsid": "5555::a",
        "segment_lists": [
            {"weight": 1, "segments": ["6666:0:0:1::2"]},
            {"weight": 2, "segments": ["7766:f00d::2", "6666:0:0:2::3"]},
        ],
    }
    shown = [line.rstrip() for line in printed({keys.policy("5555::a"): value}).splitlines()]

    assert shown == PLAIN.splitlines()


def test_whole_addresses() -> None:
    """The longest addresses stand in one line each, and no line is wider than 100 columns."""
    lines = printed(VALUES).splitlines()
    found = {text: sum(text in line for line in lines) for text in (SID, BSID, HOP, PREFIX)}

    assert found == {SID: 2, BSID: 2, HOP: 5, PREFIX: 3}
    assert max(map(len, lines)) <= 100


def test_nothing_is_cut() -> None:
    """Long names are folded, never shortened, and brackets are not taken for markup."""
    text = printed(VALUES)

    assert "…" not in text
    assert "[fd00::5]:80" in text
    assert f"[{HOP}]:65535" in text


def test_titles() -> None:
    """There is one table for each kind, and one that names the keys of all other kinds."""
    titles = [table.title for table in tables.render_tables(VALUES)]

    assert titles == [
        "Localsids",
        "Policies",
        "Steerings",
        "Routes",
        "VRF tables",
        "Rule chains",
        "Other keys",
    ]


def test_cells() -> None:
    """Services go by their names, functions by those of the RFC, routes by where they lead."""
    text = " ".join(printed(VALUES).split())

    for words in (
        f"default-m {PREFIX} 1 {BSID} yservice",
        "l2 tap9",
        "7766:f00d::1 0 End PSP",
        "9300::1 0 End.DT6 VRF 1",
        f"0 {PREFIX} VRF 1",
        "1 2096::/110 drop",
        f"0 6666::/64 {HOP} uplink",
        "1 IPV6 pod",
        "config/vpp/v2/interfaces/loop0",
    ):
        assert words in text


def test_pipe() -> None:
    """A pipe gets no escape sequences, a terminal does."""
    assert "\x1b" not in printed(VALUES)
    assert "\x1b" in printed(VALUES, colour=True)


def test_no_values() -> None:
    """Without values there is no table."""
    assert tables.render_tables({}) == []


def test_import_is_light() -> None:
    """Importing the module does not import rich."""
    code = "import sys; from srv6kv.show import tables; print('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"
