"""The recorded clusters: what the reference writes for a node is what we write, byte for byte.

``reference/cases.jsonl.gz`` holds one cluster a line: Kubernetes objects, the agent's keys, and the
reference's keys and values for one node.
"""

from __future__ import annotations

import gzip
import json
import re
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import pytest
from clusters import Json, settings_of
from podchains import COPIES, rules_of
from sidecar import Sidecar

CASES = [
    json.loads(line)
    for line in gzip.decompress(
        (Path(__file__).parents[1] / "reference" / "cases.jsonl.gz").read_bytes()
    ).splitlines()
]
OLD = ("5555::/16", "6666::/16", "6655::/16")
NEW = ("8fff::/16", "9300::/16", "9300::/16")
LOOPBACK = "config/linux/interfaces/v2/interface/linux-loop-"
FORWARD = "config/linux/iptables/v2/rulechain/port-forward-"
CHAIN = "config/linux/iptables/v2/rulechain/srv6kv-"
LOCALSID = "config/vpp/srv6/v2/localsid/"
POLICY = "config/vpp/srv6/v2/policy/"
STEERING = "config/vpp/srv6/v2/steering/forK8sService-"

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])


def _rendered(case: Json) -> Sidecar:
    sidecar = Sidecar(settings_of(case["config"]), case["node"])
    return sidecar.put(*case["objects"]).wire(case["agent"]).settle()


def _prefixes(case: Json) -> tuple[IPv6Network, ...]:
    """The ranges of BSIDs, pod SIDs and host SIDs."""
    given = case["config"]["ipamConfig"].get("srv6", {})
    defaults = OLD if "useSRv6Interconnect" in case["config"] else NEW
    names = (
        "servicePolicyBSIDSubnetCIDR",
        "servicePodLocalSIDSubnetCIDR",
        "serviceHostLocalSIDSubnetCIDR",
    )
    return tuple(
        IPv6Network(given.get(name, default)) for name, default in zip(names, defaults, strict=True)
    )


def _comparable(values: dict[str, Json], case: Json) -> dict[str, Json]:
    """Keys and values of the kinds that must be met exactly, lists sorted."""
    bsids, pods, hosts = _prefixes(case)
    found = {}
    for key, value in values.items():
        last = key.rpartition("/")[2]
        if key.startswith(STEERING):
            is_kind = True
        elif key.startswith(POLICY):
            is_kind = IPv6Address(last) in bsids
        elif key.startswith(LOCALSID):
            is_kind = IPv6Address(last) in pods or IPv6Address(last) in hosts
        elif key.startswith("config/vpp/v2/route/") and value.get("type") == "INTER_VRF":
            destination = IPv6Network(value["dst_network"])
            is_kind = destination.prefixlen == 128 and destination.subnet_of(pods)
        else:
            is_kind = False
        if is_kind:
            found[key] = _sorted_lists(value)
    return found


def _sorted_lists(value: Json) -> Json:
    lists = value.get("segment_lists")
    if lists is None:
        return value
    return {**value, "segment_lists": sorted(lists, key=lambda item: str(item["segments"]))}


@every_case
def test_keys_and_values_are_the_references(case: Json) -> None:
    """Steerings, policies, localsids and routes to pod SIDs equal the reference's exactly."""
    assert _comparable(case["expected"], case) == _comparable(_rendered(case).values(), case)


@every_case
def test_a_pod_answers_for_the_addresses_that_the_reference_gives_it(case: Json) -> None:
    """A pod translates, and does not track, exactly the addresses on the reference's loopback."""
    expected = {
        key.removeprefix(LOOPBACK): {
            text for text in value["ip_addresses"] if text not in ("127.0.0.1/8", "::1/128")
        }
        for key, value in case["expected"].items()
        if key.startswith(LOOPBACK)
    }
    chains = _chains(_rendered(case))
    length = max(map(len, expected), default=0)  # the reference cuts this name first
    for kind in ("PREROUTING", "OUTPUT"):
        found = {
            sandbox[:length]: {text for rule in rules for text in re.findall(r"-d (\S+)", rule)}
            for (sandbox, chain_type), rules in chains.items()
            if chain_type == kind
        }

        assert {pod: listed for pod, listed in expected.items() if listed} == found


@every_case
def test_every_redirect_has_its_translation(case: Json) -> None:
    """A port that the reference redirects is translated to the same port of the pod."""
    chains = _chains(_rendered(case))
    for key, value in case["expected"].items():
        if not key.startswith(FORWARD):
            continue
        container, _, chain_type = key.removeprefix(FORWARD).rpartition("-")
        found = [
            rule
            for (sandbox, kind), rules in chains.items()
            if kind == "PREROUTING" and container.startswith(sandbox)
            for rule in rules
        ]
        for rule in value["rules"]:
            head, _, port = rule.partition(" -j REDIRECT --to-ports ")
            pattern = re.compile(re.escape(f"{head} -j DNAT --to-destination [") + rf".*\]:{port}")

            assert [rule for rule in found if pattern.fullmatch(rule)], (chain_type, rule)


@every_case
def test_every_port_of_a_local_pod_is_translated(case: Json) -> None:
    """Each port of each service that lists a local pod is translated, equal ports too."""
    services = {
        (item["metadata"]["namespace"], item["metadata"]["name"]): item["spec"]
        for item in case["objects"]
        if item["kind"] == "Service"
    }
    rules = [rule for listed in _chains(_rendered(case)).values() for rule in listed]
    pods = {item for item in _translations(case, services) if item in _wired(case)}
    found = {match[1] for rule in rules if (match := re.search(r"\[(.*)\]:", rule))}

    assert pods == found
    for expected in _rules(case, services):
        assert expected in rules


def _chains(sidecar: Sidecar) -> dict[tuple[str, str], list[str]]:
    """Sandbox and built-in chain to the rules that packets meet in it: where the reference has one
    chain, here are two copies of the rules behind the built-in one."""
    values = sidecar.values()
    names = [key.removeprefix(CHAIN).rpartition("-") for key in values if key.startswith(CHAIN)]
    places = [(sandbox, chain) for sandbox, _, chain in names if chain in COPIES]
    return {place: rules_of(values, *place) for place in places}


def _wired(case: Json) -> set[str]:
    return {
        value["ip_address"]
        for key, value in case["agent"].items()
        if key.startswith("config/vpp/v2/arp/")
    }


def _translations(case: Json, services: dict[tuple[str, str], Any]) -> set[str]:
    return {pod for pod, _, _, _ in _pairs(case, services)}


def _rules(case: Json, services: dict[tuple[str, str], Any]) -> set[str]:
    return {
        f"-d {spec['clusterIP']}/128 -p {protocol} -m {protocol} --dport {port['port']}"
        f" -j DNAT --to-destination [{pod}]:{target}"
        for pod, spec, port, target in _pairs(case, services)
        if (protocol := port.get("protocol", "TCP").lower())
    }


def _pairs(case: Json, services: dict[tuple[str, str], Any]) -> list[tuple[str, Any, Any, int]]:
    """Each local pod with each service port that a slice offers on it, and the target port."""
    found = []
    for item in case["objects"]:
        if item["kind"] != "EndpointSlice":
            continue
        name = item["metadata"]["labels"]["kubernetes.io/service-name"]
        spec = services.get((item["metadata"]["namespace"], name))
        for port in item["ports"]:
            matching = [
                one
                for one in (spec or {}).get("ports", [])
                if one.get("name", "") == port.get("name", "")
            ]
            for one in matching:
                found += [
                    (address, spec, one, port["port"])
                    for entry in item["endpoints"]
                    for address in entry["addresses"]
                    if entry.get("nodeName") == case["node"] and address in _wired(case)
                ]
    return found
