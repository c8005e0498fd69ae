"""Inputs from public bug reports, below ``field/``: ``render`` gives the answer of expected.txt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from podchains import chain_keys, rules_of
from processes import srv6kv

from srv6kv.errors import SettingsError
from srv6kv.settings import load

FIELD = Path(__file__).parents[1] / "field"
HERE, THERE = "2001:0:0:1::a", "2001:0:0:2::a"
POD_SID, OTHER_POD_SID, OTHER_NODE_SID = "9300:0:0:1::a", "9300:0:0:2::a", "9000:f00d::2"
"""The SIDs of HERE and THERE, and of node 2."""
POLICY, STEERING = (
    "config/vpp/srv6/v2/policy/",
    "config/vpp/srv6/v2/steering/forK8sService-default-",
)


class Rendered:
    """What ``render`` prints for a case on node 1."""

    def __init__(self, case: str, config: Path) -> None:
        objects = FIELD / case / "objects.yaml"
        options = ("--config", config, "--node", "node1", "-o", "jsonl")
        result = srv6kv("render", "-f", objects, *options)
        self.exit_code, self.notes = result.returncode, result.stderr
        lines = map(json.loads, result.stdout.splitlines())
        self.values: dict[str, Any] = {line["key"]: line["value"] for line in lines}

    def steered(self) -> dict[str, tuple[str, int]]:
        """Each steering of a service: its name, to address and VRF."""
        return {
            key.removeprefix(STEERING): (
                value["l3_traffic"]["prefix_address"].partition("/")[0],
                value["l3_traffic"].get("installation_vrf_id", 0),
            )
            for key, value in self.values.items()
            if key.startswith(STEERING)
        }

    def lists(self, name: str) -> list[list[str]]:
        """The segment lists into which a steering leads."""
        bsid = self.values[STEERING + name]["policy_bsid"]
        return [item["segments"] for item in self.values[POLICY + bsid]["segment_lists"]]


@pytest.fixture
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The case's contiv.conf; without ``podAnnotations`` where annotations always count."""
    source = FIELD / request.node.callspec.params["case"] / "contiv.conf"
    text = source.read_text()
    try:
        load(text, source.name)
    except SettingsError:
        text = text.partition("srv6kv:")[0]
    path = tmp_path / "contiv.conf"
    path.write_text(text)
    return path


def _case(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [name])


@_case("01-lb-ipv6-of-ipv4-service")
def test_an_address_of_a_family_without_a_cluster_ip_is_left_to_the_routes(
    case: str, config: Path
) -> None:
    """The service of IPv4 steers nothing; the one of both steers its IPv6 addresses."""
    found = Rendered(case, config)

    assert found.exit_code == 0
    assert found.steered() == {
        "dual": ("2096::20", 1),
        "dual_fd10::52": ("fd10::52", 1),
        "dual_fd10::52_main": ("fd10::52", 0),
    }
    assert "fd10::51" not in json.dumps(found.values)
    assert "Service default/v4only: fd10::51: the service has no ClusterIP" in found.notes


@pytest.mark.parametrize("case", ["02b-empty-node-address", "17-own-node-empty-address"])
def test_an_odd_address_of_a_node_costs_nothing_else(case: str, config: Path) -> None:
    """Of another node or of our own: the node and its other addresses count, with a warning."""
    found = Rendered(case, config)

    assert found.exit_code == 0
    assert found.values["config/vpp/srv6/v2/localsid/9000:f00d::1"]["base_end_function"] == {}
    assert found.lists("web") == [[POD_SID], [OTHER_NODE_SID, OTHER_POD_SID]]
    assert "status.addresses[0].address: '' is not" in found.notes
    assert "(ElementIgnored)" in found.notes


@_case("12-slice-one-bad-endpoint")
def test_a_bad_endpoint_costs_its_slice_nothing(case: str, config: Path) -> None:
    """IPv4, zoned, mapped, empty, a host name: each is told, and the good endpoint serves."""
    found = Rendered(case, config)

    assert found.exit_code == 0
    assert [found.lists(f"s{number}") for number in range(5)] == [[[POD_SID]]] * 5
    for number in range(5):
        assert f"EndpointSlice default/s{number}-1: endpoints[1].addresses[0]: " in found.notes


@_case("19-pod-odd-second-ip")
def test_a_good_address_of_a_pod_counts_beside_an_odd_one(case: str, config: Path) -> None:
    """It has its localsid and its chains, and is in the policy."""
    found = Rendered(case, config)

    assert found.exit_code == 0
    assert f"config/vpp/srv6/v2/localsid/{POD_SID}" in found.values
    assert set(chain_keys("a1")) <= found.values.keys()
    assert found.lists("web") == [[POD_SID], [OTHER_NODE_SID, OTHER_POD_SID]]
    assert "Pod default/a1: status.podIPs[1].ip: " in found.notes


@_case("50-unnamed-slice-port-in-a-manifest")
def test_a_slice_port_without_a_name_serves_the_unnamed_port(case: str, config: Path) -> None:
    """What an API server would fill in counts for a file too."""
    found = Rendered(case, config)

    assert found.exit_code == 0
    assert found.lists("db") == [[POD_SID]]
    assert rules_of(found.values, "a1") == [
        f"-d 2096::db/128 -p tcp -m tcp --dport 5432 -j DNAT --to-destination [{HERE}]:15432"
    ]
