"""``srv6kv render`` on the seed's cluster and on input that is not as it should be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from processes import AGENT_STATE, NODE, SEED, srv6kv

CONFIG = SEED / "contiv.conf"
TAP = "vpp-tap-d6087568be9f59aba028955c19f5684055a69d926ed89f720fe187a"
SEED_LINES = f"""\
- key: config/vpp/srv6/v2/localsid/6666:0:0:1::5
val: {{ sid:"6666:0:0:1::5" installation_vrf_id:1 end_function_DX6:<outgoing_interface:"{TAP}" \
next_hop:"2001:0:0:1::5" > }}
- key: config/vpp/srv6/v2/policy/5555::d765
val: {{ bsid:"5555::d765" srh_encapsulation:true segment_lists:<weight:1 \
segments:"6666:0:0:1::5" > }}
- key: config/vpp/srv6/v2/steering/forK8sService-default-myservice
val: {{ name:"forK8sService-default-myservice" policy_bsid:"5555::d765" \
l3_traffic:<installation_vrf_id:1 prefix_address:"2096::d765/128" > }}
"""
"""The transaction in the guide that this project began with, as it stands there."""
VPP_LINES = f"""\
ip6 table add 1
ip route add 2001:0:0:1::/64 table 0 via ip6-lookup-in-table 1
ip route add 6666:0:0:1::5/128 table 0 via ip6-lookup-in-table 1
ip route add 7766::dead/128 table 0 via drop
ip route add 7766:f00d::2/128 table 0 via fe10:f00d::2
ip route add 2096::/110 table 1 via drop
sr localsid prefix 6655::1/128 behavior end.dx6 tap-vpp2 2002::1:2 fib-table 0
sr localsid prefix 6666:0:0:1::5/128 behavior end.dx6 {TAP} 2001:0:0:1::5 fib-table 1
sr localsid prefix 7766:f00d::1/128 behavior end fib-table 0
sr policy add bsid 5555::a next 6666:0:0:1::2 weight 1 encap
sr policy mod bsid 5555::a add sl next 6666:0:0:1::3 weight 1
sr policy add bsid 5555::beef next 7766:f00d::2 next 6655::1 weight 1 encap
sr steer l3 2096::d765/128 via bsid 5555::d765 fib-table 1
"""
"""One of each kind of command, in the order in which they come."""


def render(*more: str | Path, stdin: str = "", config: bool = True, **variables: str) -> Any:
    """``render`` for the node of the seed."""
    settings = ("--config", CONFIG) if config else ()
    return srv6kv("render", "--node", NODE, *settings, *more, stdin=stdin, **variables)


def seed(*more: str | Path) -> str:
    """What ``render`` prints for the seed's cluster."""
    done = render("-f", SEED / "manifests", "--agent-state", AGENT_STATE, *more)

    assert (done.returncode, notes(done)) == (0, [])

    return str(done.stdout)


def notes(done: Any) -> list[str]:
    """What a command said, but for the warning about the seed's old option names."""
    return [line for line in done.stderr.splitlines() if ": useNoOverlay: " not in line]


def keys_of(text: str) -> dict[str, Any]:
    """Keys and values in the form jsonl."""
    return {item["key"]: item["value"] for item in map(json.loads, text.splitlines())}


def block(text: str, lines: str) -> list[str]:
    """Those of the lines that occur in the text, in the order in which they occur there."""
    wanted = set(lines.splitlines())
    return [line for line in text.splitlines() if line in wanted]


def test_seed_log() -> None:
    """For old agents the log form has the guide's lines byte for byte."""
    text = seed("-o", "log", "--agent-api", "v2")

    assert block(text, SEED_LINES) == SEED_LINES.splitlines()


def test_newer_log() -> None:
    """For newer agents the log form spells the same values as they do."""
    assert (
        f'val: {{ sid:"6666:0:0:1::5" installation_vrf_id:1 end_function_dx6:{{'
        f'outgoing_interface:"{TAP}" next_hop:"2001:0:0:1::5"}} }}'
    ) in seed("-o", "log").splitlines()


def test_jsonl() -> None:
    """jsonl is sorted by key, compact, and one key with its value a line."""
    text = seed()
    found = keys_of(text)

    assert list(found) == sorted(found)
    assert text == "".join(
        json.dumps({"key": key, "value": value}, separators=(",", ":")) + "\n"
        for key, value in found.items()
    )
    assert found["config/vpp/srv6/v2/policy/5555::d765"] == {
        "bsid": "5555::d765",
        "segment_lists": [{"segments": ["6666:0:0:1::5"], "weight": 1}],
        "srh_encapsulation": True,
    }


def test_four_paths() -> None:
    """The seed's services take the four paths: pod and host, here and on the other node."""
    found = keys_of(seed())
    lists = {
        address: [item["segments"] for item in value["segment_lists"]]
        for address in ("d765", "5ce9", "6457", "beef", "1", "a")
        if (value := found[f"config/vpp/srv6/v2/policy/5555::{address}"])
    }

    assert lists == {
        "d765": [["6666:0:0:1::5"]],
        "5ce9": [["6655::1"]],
        "6457": [["7766:f00d::2", "6666:0:0:2::7"]],
        "beef": [["7766:f00d::2", "6655::1"]],
        "1": [["6655::1"]],
        "a": [["6666:0:0:1::2"], ["6666:0:0:1::3"]],
    }


def test_json() -> None:
    """json is one object with the keys of jsonl and the notes."""
    assert json.loads(seed("-o", "json")) == {"keys": keys_of(seed()), "warnings": []}


def test_txn() -> None:
    """txn is a recording of one transaction without a time that puts the keys of jsonl."""
    head, *lines = seed("-o", "txn").splitlines()
    words = [line.split(" ", 3) for line in lines]

    assert head == "txn 1"
    assert {(verb, guard) for verb, guard, _, _ in words} == {("put", "0")}
    assert {key: json.loads(value) for _, _, key, value in words} == {
        f"/vnf-agent/{NODE}/{key}": value for key, value in keys_of(seed()).items()
    }


def test_txn_for_old_agents() -> None:
    """The older spelling of values is a choice for transactions and jsonl too."""
    assert "end_function_DX6" in seed("-o", "txn", "--agent-api", "v2")
    assert "end_function_DX6" in seed("-o", "jsonl", "--agent-api", "v2")


def test_vpp() -> None:
    """The VPP commands of the seed's cluster come in an order in which each finds its parts."""
    text = seed("-o", "vpp")

    assert block(text, VPP_LINES) == VPP_LINES.splitlines()
    assert "srv6kv-" not in text


def test_vpp_interfaces(tmp_path: Path) -> None:
    """VPP commands use VPP's own interface names if they are given."""
    names = tmp_path / "names.json"
    names.write_text(json.dumps({TAP: "tap4"}))

    assert (
        "sr localsid prefix 6666:0:0:1::5/128 behavior end.dx6 tap4 2001:0:0:1::5 fib-table 1"
    ) in seed("-o", "vpp", "--interfaces", names).splitlines()


def test_table() -> None:
    """The table shows every service with its address, VRF and BSID."""
    rows = [line.split() for line in seed("-o", "table").splitlines()]

    assert ["default-myservice", "2096::d765/128", "1", "5555::d765"] in rows
    assert ["5555::6457", "1", "7766:f00d::2", "6666:0:0:2::7"] in rows


def test_warnings_go_to_standard_error() -> None:
    """The seed's old option names are a warning on standard error that names file and line."""
    done = render("-f", SEED / "manifests", "--agent-state", AGENT_STATE)

    assert done.stderr.startswith(f"warning: {CONFIG}:2: useNoOverlay: ")
    assert "warning" not in done.stdout


def test_unwired_pods_are_notes() -> None:
    """Local pods without an attachment are warnings, not errors, and the rest is printed."""
    done = render("-f", SEED / "manifests")
    found = keys_of(done.stdout)

    assert done.returncode == 0
    assert [line.split(": ")[1] for line in notes(done) if "Endpoint" in line] == [
        f"Endpoint 2001:0:0:1::{number}" for number in (2, 3, 5)
    ]
    assert "config/vpp/srv6/v2/localsid/6666:0:0:1::5" not in found
    assert "config/vpp/srv6/v2/policy/5555::6457" in found


PLUMBING = {
    "config/vpp/v2/vrf-table/id/0/protocol/IPV6",
    "config/vpp/v2/vrf-table/id/1/protocol/IPV6",
    "config/vpp/v2/route/vrf/1/dst/::/0/gw/::",
    "config/vpp/v2/route/vrf/0/dst/2001:0:0:1::/64/gw/::",
}


def test_plumbing_is_printed_if_absent(tmp_path: Path) -> None:
    """Plumbing that the agent has already, whatever its value, is not printed."""
    state = json.loads(AGENT_STATE.read_text())
    there: dict[str, Any] = {key: {} for key in sorted(PLUMBING)[:2]}
    file = tmp_path / "state.json"
    file.write_text(json.dumps(state | there))
    full = keys_of(seed())
    rest = keys_of(render("-f", SEED / "manifests", "--agent-state", file).stdout)

    assert full.keys() >= PLUMBING
    assert full.keys() - rest.keys() == there.keys()


def test_standard_input() -> None:
    """``-f -`` reads manifests from standard input, beside those of files."""
    text = "\n---\n".join(path.read_text() for path in sorted((SEED / "manifests").iterdir()))
    done = render("-f", "-", "--agent-state", AGENT_STATE, stdin=text)
    both = render(
        *("-f", SEED / "manifests", "-f", "-", "--agent-state", AGENT_STATE),
        stdin=(SEED / "change" / "myservice.yaml").read_text(),
    )

    assert (done.returncode, done.stdout) == (0, seed())
    assert "6666:0:0:1::6" in both.stdout
