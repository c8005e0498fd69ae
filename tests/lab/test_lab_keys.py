"""What the agents make of the keys, and what VPP has of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from processes import srv6kv

from lab.cni import Json
from lab.lab import Lab
from lab.topology import NODES

BEHAVIOR = re.compile(r"\n\tEncapSrcIP: \S+")
"""VPP prints it since 23.06; the keys do not hold it."""
KINDS = {
    "policies": ("policies", re.compile(r"-{11}\n"), "SR policies:\n"),
    "steerings": ("steering-policies", re.compile(r"\n"), ""),
    "localsids": ("localsids", re.compile(r"-{20}\n"), ""),
}
VARIES = re.compile(r"\[\d+\]\.-|traffic:\s+\[\d+ packets : \d+ bytes\]|/128(?=\n\tBeh)|[\b\r]")
"""Numbers that VPP gives and counts, a length that it prints since 20.05, and the backspaces that a
terminal hides."""


def _parts(text: str, separator: re.Pattern[str], heading: str) -> list[str]:
    """The objects in a text of VPP, in some order, without what varies."""
    text = VARIES.sub("", BEHAVIOR.sub("", text.replace(heading, "", 1)))
    lines = (re.sub(r"\s+", " ", part).strip() for part in separator.split(text))
    return sorted(line.replace(", >", " >") for line in lines if line)


@pytest.mark.parametrize("number", NODES)
def test_every_key_is_configured(lab: Lab, number: int) -> None:
    """The agent has done everything that etcd has, and nothing has ever failed."""
    node = lab.nodes[number]

    assert node.unfinished() == {}
    assert node.agent.errors() == {}


@pytest.mark.parametrize("number", NODES)
@pytest.mark.parametrize("what", KINDS)
def test_get_prints_what_vpp_prints(lab: Lab, number: int, what: str) -> None:
    """``get -o vpp`` and VPP's ``show sr`` name the same objects in the same words."""
    node = lab.nodes[number]
    shown, separator, heading = KINDS[what]
    options = ("--label", node.name, "--etcd", lab.endpoint, "-o", "vpp")
    printed = lab.srv6kv("get", what, *options)
    for logical, name in node.agent.interfaces().items():
        printed = printed.replace(f"\t{logical}\n", f"\t{name}\n")

    assert _parts(node.vpp.ctl("show", "sr", shown), separator, heading) == _parts(
        printed, separator, heading
    )


@pytest.mark.parametrize("number", NODES)
def test_every_policy_has_the_encap_source(lab: Lab, number: int) -> None:
    """No policy was made before VPP had it."""
    node = lab.nodes[number]
    sources = re.findall(r"EncapSrcIP: (\S+)", node.vpp.ctl("show", "sr", "policies"))

    assert set(sources) == {node.node.address}


def _verified(lab: Lab, number: int, folder: Path, way: str = "vppctl") -> tuple[int, list[Json]]:
    """The exit code of ``verify``, and the differences that it finds; by REST it gets the names of
    interfaces by itself."""
    node = lab.nodes[number]
    interfaces = folder / "interfaces.json"
    interfaces.write_text(json.dumps(node.agent.interfaces()))
    told = ("--vppctl", " ".join(node.vpp.control), "--interfaces", interfaces)
    done = srv6kv(
        *("verify", "--label", node.name, "--etcd", lab.endpoint, "-o", "json"),
        *("--agent-rest", node.agent.url, *(told if way == "vppctl" else ())),
    )
    assert "not compared" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)["differences"]


@pytest.mark.parametrize("number", NODES)
@pytest.mark.parametrize("way", ["vppctl", "rest"])
def test_verify_finds_nothing(lab: Lab, number: int, way: str, tmp_path: Path) -> None:
    """There is no difference, and nothing that could not be compared."""
    assert _verified(lab, number, tmp_path, way) == (0, [])


DAMAGE = {
    "sr steer del l3 2096::51/128 fib-table 1": {"steering"},
    "sr policy del bsid 5555::51": {"policy", "steering"},
    "sr localsid del prefix 6666:0:0:1::11/128 fib-table 1": {"localsid"},
}
"""Commands that take something away behind the agent's back."""


@pytest.mark.parametrize("command", DAMAGE)
def test_verify_finds_what_is_missing_and_repair_restores_it(
    lab: Lab, command: str, tmp_path: Path
) -> None:
    """It names what VPP lacks and what depends on it, and ``repair`` restores it."""
    node = lab.nodes[1]
    assert node.vpp.ctl(*command.split()) == ""
    code, found = _verified(lab, 1, tmp_path)
    kinds = {one["subject"].split("/")[4] for one in found}
    repaired = srv6kv(
        *("repair", "--label", node.name, "--etcd", lab.endpoint),
        *("--agent-rest", node.agent.url, "--take-over"),
    )
    lab.wait_until_programmed()

    assert (code, kinds) == (1, DAMAGE[command]), found
    assert repaired.returncode == 0, repaired.stderr
    assert _verified(lab, 1, tmp_path) == (0, [])


@pytest.mark.parametrize("number", NODES)
def test_doctor_finds_no_error(lab: Lab, number: int) -> None:
    """The stand-in CNI does all that docs/cni-contract.md asks for."""
    node = lab.nodes[number]
    done = srv6kv(
        *("doctor", *lab.files(), "--node", node.name, "--label", node.name),
        *("--etcd", lab.endpoint, "--agent-rest", node.agent.url),
    )

    assert done.returncode == 0, done.stdout
