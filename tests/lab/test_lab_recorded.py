"""The recorded clusters, one after the other, on a node of their own: every key is CONFIGURED.

Recorded pods are on TAP interfaces in namespaces of processes that are long gone: here they are in
namespaces of the lab, and on veth pairs where this kernel has no TAP.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from processes import srv6kv

from lab import cni
from lab.agentserver import Agent
from lab.lab import Lab
from lab.netns import namespaces
from lab.vppserver import Vpp
from srv6kv.ligato import keys

CASES = [
    json.loads(line)
    for line in gzip.decompress(
        (Path(__file__).parents[1] / "reference" / "cases.jsonl.gz").read_bytes()
    ).splitlines()
]
LABEL = "recorded"
MOST_PODS = 12
SECONDS = 60.0


class Recorded:
    """A node that takes one recorded cluster at a time.

    Args:
        lab: where it is.
        folder: for files of its own.
        spaces: the namespaces of its pods.
    """

    def __init__(self, lab: Lab, folder: Path, spaces: list[str]) -> None:
        self._lab = lab
        self._folder = folder
        self._spaces = spaces
        own = lab.folder / LABEL
        source = ("set sr encaps source addr fe10:f00d::1",)
        prefix = f"{lab.leftovers.links}r"
        self.vpp = Vpp(lab.binaries, own, lab.machine.place, prefix, source)
        self.agent = Agent(lab.binaries, own, LABEL, lab.machine, self.vpp)
        self.vpp.start()
        self.agent.start()

    def close(self) -> None:
        """End it."""
        self.agent.stop()
        self.vpp.stop()

    def load(self, case: cni.Json) -> None:
        """Write what the CNI has, and what srv6kv makes of the cluster."""
        number = int(case["node"].removeprefix("node"))
        self._put(_base(number) | self._attached(case["agent"]))
        config, manifests = self._folder / "contiv.conf", self._folder / "objects.json"
        config.write_text(json.dumps(case["config"]))
        listed = {"apiVersion": "v1", "kind": "List", "items": case["objects"]}
        manifests.write_text(json.dumps(listed))
        done = srv6kv(
            *("run", "--once", "--manifests", manifests, "--config", config),
            *("--node", case["node"], "--label", LABEL, "--etcd", self._lab.endpoint),
        )

        assert done.returncode == 0, done.stderr

    def clear(self) -> None:
        """Delete all keys, and return when the agent has none left."""
        self._lab.store.delete_prefix(keys.AGENT + LABEL + "/" + keys.CONFIG)
        self._lab.store.delete_prefix(f"/srv6kv/{LABEL}/")
        assert self.unfinished() == {}

    def keys(self) -> set[str]:
        """What etcd has for the agent, by short key."""
        prefix = f"{keys.AGENT}{LABEL}/"
        entries = self._lab.store.read([prefix + keys.CONFIG]).entries
        return {item.key.removeprefix(prefix) for item in entries}

    def unfinished(self) -> dict[str, str]:
        """What is not done within the time that an agent needs."""
        deadline = time.monotonic() + SECONDS
        while (left := self.agent.unfinished(self.keys())) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    def _put(self, values: cni.Json) -> None:
        for key, value in values.items():
            self._lab.store.put(f"{keys.AGENT}{LABEL}/{key}", json.dumps(value))

    def _attached(self, recorded: cni.Json) -> cni.Json:
        """The keys of recorded pods, in namespaces that are there."""
        places: dict[str, str] = {}
        found: cni.Json = {}
        for key, value in recorded.items():
            if key.startswith(keys.LINUX_INTERFACE):
                place = value["namespace"]["reference"]
                if place not in places:
                    places[place] = self._spaces[len(places)]
                value = {**value, "namespace": {"type": "NSID", "reference": places[place]}}
                found |= self._linux(value)
            elif value.get("type") == "TAP" and not self._lab.is_tap:
                found[key] = {
                    **{name: item for name, item in value.items() if name != "tap"},
                    "type": "AF_PACKET",
                    "afpacket": {"linux_interface": _device(value["name"])},
                }
            else:
                found[key] = value
        return found

    def _linux(self, value: cni.Json) -> cni.Json:
        """A pod's end, with VPP's end where it is one of a veth pair."""
        if self._lab.is_tap or value["type"] != "TAP_TO_VPP":
            return {keys.LINUX_INTERFACE + value["name"]: value}
        device = _device(value["tap"]["vpp_tap_if_name"])
        inside: cni.Json = {name: item for name, item in value.items() if name != "tap"}
        inside |= {"type": "VETH", "veth": {"peer_if_name": device}}
        outside: cni.Json = {
            "name": device,
            "type": "VETH",
            "enabled": True,
            "host_if_name": self._lab.leftovers.links + device[-6:],
            "veth": {"peer_if_name": value["name"]},
        }
        return {keys.LINUX_INTERFACE + one["name"]: one for one in (inside, outside)}


def _device(interface: str) -> str:
    return f"veth-{interface.removeprefix('vpp-tap-')[:6]}"


def _base(number: int) -> cni.Json:
    """What recordings leave out: the pods' gateway and the host's interface."""
    loops: dict[str, cni.Json] = {
        "podGwLoop": {"vrf": 1, "ip_addresses": [f"2001:0:0:{number}::1/128"]},
        "tap-vpp2": {"ip_addresses": [f"2002::{number}:1/112"]},
        "uplink": {"ip_addresses": [f"fe10:f00d::{number}/90"]},
    }
    return {
        keys.INTERFACE + name: {
            "name": name,
            "type": "SOFTWARE_LOOPBACK",
            "enabled": True,
            **value,
        }
        for name, value in loops.items()
    }


@pytest.fixture(scope="module")
def recorded(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """The node for recorded clusters."""
    prefix = f"{lab.leftovers.namespaces}rec"
    names = {str(number): False for number in range(MOST_PODS)}
    with namespaces(prefix, names) as made:
        spaces = [one.name for one in made.values()]
        with closing(Recorded(lab, tmp_path_factory.mktemp("recorded"), spaces)) as node:
            yield node


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_recorded_cluster_is_configured(recorded: Recorded, case: cni.Json) -> None:
    """Everything that is written for a recorded cluster ends CONFIGURED, and none of it ever fails;
    without it nothing is left."""
    recorded.load(case)
    try:
        assert recorded.unfinished() == {}
        assert recorded.agent.errors() == {}
    finally:
        recorded.clear()
