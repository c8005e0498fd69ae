"""docker-compose.yml and the node that it shows: etcd gets the policies that VPP is to show."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from chart import MANIFEST, ROOT, objects, one, values
from google.protobuf import json_format
from processes import NODE, SEED, environment, srv6kv

import srv6kv as package
from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.gen.ligato.linux.interfaces import interface_pb2
from srv6kv.gen.ligato.vpp.l3 import arp_pb2, route_pb2

FOLDER = ROOT / "deploy" / "compose"
STATE: dict[str, dict[str, Any]] = json.loads((FOLDER / "agent-state.json").read_text())
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())[
    "services"
]
ROUTE = "{outgoing_interface}/vrf/{vrf_id}/dst/{dst_network}/gw/{next_hop_addr}"
KINDS = {
    "config/linux/interfaces/v2/interface/{name}": interface_pb2.Interface,
    "config/vpp/v2/arp/{interface}/{ip_address}": arp_pb2.ARPEntry,
    f"config/vpp/v2/route/if/{ROUTE}": route_pb2.Route,
    "config/vpp/v2/interfaces/{name}": None,
}
"""The keys of a CNI, made of their values, and the messages of those that we know."""


def mounts(name: str) -> dict[str, Path]:
    """What a service sees of the repository, by the path at which it sees it."""
    found = {}
    for text in SERVICES[name].get("volumes", []):
        source, target, mode = text.split(":")
        assert mode == "ro"
        found[target] = ROOT / source
    return found


def here(name: str, argument: str) -> str:
    """A path as the service sees it, as a path of the repository."""
    for target, source in mounts(name).items():
        if argument == target or argument.startswith(target + "/"):
            return str(source) + argument.removeprefix(target)
    return argument


def test_files_and_services_are_there() -> None:
    """Whatever a service mounts, is built from or waits for exists."""
    for name, service in SERVICES.items():
        assert all(source.exists() for source in mounts(name).values())
        assert service.get("depends_on", {}).keys() <= SERVICES.keys()
        if "build" in service:
            build = service["build"]
            context = build if isinstance(build, str) else build["context"]
            file = "Dockerfile" if isinstance(build, str) else build["dockerfile"]
            assert (ROOT / context / file).is_file()


def test_images_are_those_of_the_chart() -> None:
    """The same images run on a laptop and in a cluster."""
    own = values()
    image = {n: f"{v['repository']}:{v['tag']}" for n, v in _images(own).items()}

    assert {name: service["image"] for name, service in SERVICES.items()} == {
        "etcd": image["etcd"],
        "vpp-agent": image["agent"],
        "srv6kv": image["srv6kv"] + package.__version__,
        "wiring": image["srv6kv"] + package.__version__,
    }


def _images(own: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {
        "etcd": own["etcd"]["image"],
        "agent": own["agent"]["image"],
        "srv6kv": own["image"],
    }


def test_vpp_starts_as_in_a_cluster() -> None:
    """VPP has the start-up file of the chart, and executes what srv6kv vpp-exec prints."""
    agent = one(objects(MANIFEST.read_text()), "ConfigMap", "srv6kv-agent")["data"]
    files = mounts("vpp-agent")
    printed = srv6kv(
        "vpp-exec", "-f", SEED / "manifests", "--config", SEED / "contiv.conf", "--node", NODE
    )

    assert files["/etc/vpp/vpp.conf"].read_text() == agent["vpp.conf"]
    assert files["/etc/srv6kv/vpp/vpp.exec"].read_text() == printed.stdout


def test_the_agent_is_as_patient_as_in_a_cluster() -> None:
    """Agent and VPP have the chart's limits for each other."""
    agent = one(objects(MANIFEST.read_text()), "ConfigMap", "srv6kv-agent")["data"]
    own = mounts("vpp-agent")["/opt/vpp-agent/dev/govpp.conf"].read_text()

    assert own == agent["govpp.conf"]


def test_etcd_is_one() -> None:
    """Agent, wiring and srv6kv use the etcd of the composition, for one label."""
    port = "etcd:2379"
    conf = yaml.safe_load(mounts("vpp-agent")["/opt/vpp-agent/dev/etcd.conf"].read_text())
    told = [SERVICES[name]["environment"] for name in ("wiring", "srv6kv")]

    assert (conf["endpoints"], [one["SRV6KV_ETCD"] for one in told]) == ([port], [port, port])
    assert {SERVICES[n]["environment"]["MICROSERVICE_LABEL"] for n in SERVICES if n != "etcd"} == {
        NODE
    }


@pytest.mark.parametrize("key", STATE)
def test_wiring_is_the_agents(key: str) -> None:
    """Every key is made of its value as the agent makes it, and every field is one of its model."""
    value = STATE[key]
    made = {}
    for pattern, kind in KINDS.items():
        try:
            made[pattern.format(**value)] = kind
        except KeyError:
            continue

    assert key in made
    if made[key] is not None:
        json_format.ParseDict(value, made[key]())


def test_wiring_needs_no_kernel_module() -> None:
    """Every interface is a loopback, and the pods' namespaces are those that the agent makes."""
    interfaces = [value for key, value in STATE.items() if "/interfaces/" in key]
    script = SERVICES["vpp-agent"]["command"][-1]
    made = re.findall(r"for pod in (.*?);", script)[0].split()
    wanted = [value["namespace"] for value in interfaces if "namespace" in value]

    assert {value["type"] for value in interfaces} == {"SOFTWARE_LOOPBACK", "LOOPBACK"}
    assert wanted == [{"type": "NSID", "reference": name} for name in made]


@pytest.fixture
def shown(etcd: EmbeddedEtcd, label: str) -> dict[str, str]:
    """The environment of the services, with the tests' etcd and a label of the test's own."""
    return environment(MICROSERVICE_LABEL=label, SRV6KV_ETCD=etcd.endpoint, NODE_NAME=NODE)


def wire(variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the service that puts the wiring."""
    _, *arguments = SERVICES["wiring"]["entrypoint"]
    return subprocess.run(
        [sys.executable, *(here("wiring", argument) for argument in arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env=variables,
    )


def run(variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the service that writes the policies until it is done."""
    arguments = [here("srv6kv", argument) for argument in SERVICES["srv6kv"]["command"]]
    return subprocess.run(
        [sys.executable, "-m", "srv6kv", *arguments, "--once"],
        capture_output=True,
        text=True,
        timeout=60,
        env=variables,
    )


def test_policies_are_filled_in(shown: dict[str, str]) -> None:
    """The services fill etcd with what VPP is then to show: the seed's policies with their lists,
    and a localsid for every pod. Putting the wiring again is allowed."""
    for done in (wire(shown), wire(shown), run(shown)):
        assert done.returncode == 0, done.stderr

    policies = srv6kv("get", "policies", "-o", "vpp", **shown)
    localsids = srv6kv("get", "localsids", "-o", "vpp", **shown)

    assert set(re.findall(r"BSID: (5555\S+)", policies.stdout)) == {
        *("5555::1", "5555::5ce9", "5555::6457", "5555::a", "5555::beef", "5555::d765")
    }
    assert "< 7766:f00d::2, 6666:0:0:2::7 > weight: 1" in policies.stdout
    assert {"6666:0:0:1::2", "6666:0:0:1::3", "6666:0:0:1::5", "6655::1", "7766:f00d::1"} <= set(
        re.findall(r"Address:\s+([0-9a-f:]+)", localsids.stdout)
    )
