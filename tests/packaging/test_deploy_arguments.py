"""The containers' arguments are those of the commands, and the first container gets its Node."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from apiserver import FakeApiServer
from chart import MANIFEST, Json, containers, needs_helm, objects, pod_of, rendered
from processes import NODE, SEED, srv6kv

from srv6kv.cli import run, vpp_exec

COMMANDS = {"run": run.command, "vpp-exec": vpp_exec.command}


def accepted(arguments: list[str]) -> dict[str, object]:
    """What a command makes of arguments; fails as the command would."""
    name, *options = arguments
    command: click.Command = COMMANDS[name]
    with command.make_context(name, [*options, "--node", NODE]) as context:
        return dict(context.params)


def test_arguments() -> None:
    """The commands take what the manifest gives them, and read the API server."""
    found = containers(pod_of(objects(MANIFEST.read_text())))
    ran = accepted(found["srv6kv"]["args"])
    first = accepted(found["vpp-exec"]["args"])

    assert (ran["manifests"], ran["endpoints"], ran["listen"], ran["log_format"]) == (
        *(None, ("127.0.0.1:12379",)),
        *("127.0.0.1:10261", "json"),
    )
    assert (first["paths"], ran["config"]) == ((), first["config"])


def test_probes_are_at_the_pages() -> None:
    """The probes ask where srv6kv listens."""
    item = containers(pod_of(objects(MANIFEST.read_text())))["srv6kv"]
    host, _, port = str(accepted(item["args"])["listen"]).rpartition(":")

    for probe in ("livenessProbe", "readinessProbe"):
        asked = item[probe]["httpGet"]
        assert (asked["host"], asked["port"]) == (host, int(port))


@needs_helm
@pytest.mark.parametrize(
    "over",
    [
        {"etcd": {"endpoints": ["https://[fd00::1]:2379"], "tls": {"secretName": "t"}}},
        {"telemetry": {"onPodAddress": True}, "logLevel": "debug", "logFormat": "text"},
    ],
)
def test_arguments_of_other_values(over: Json) -> None:
    """The commands take what comes of other values, too."""
    found = containers(pod_of(rendered(over)))
    options, first = (accepted(found[name]["args"]) for name in ("srv6kv", "vpp-exec"))
    named = tuple(over.get("etcd", {}).get("endpoints", ()))

    assert options["log_level"] == over.get("logLevel", "info")
    assert first["endpoints"] == named  # an etcd of the pod's own is not there yet
    assert first["etcd_ca"] == (options["etcd_ca"] if named else None)
    for item in (found["srv6kv"], found["vpp-exec"]):
        mounted = [mount["name"] for mount in item["volumeMounts"]]
        assert ("etcd-tls" in mounted) == bool(named)


def test_node_of_the_api_server(api: FakeApiServer) -> None:
    """vpp-exec asks the API server for its Node alone; exit code 3 if there is no server."""
    for name in ("node1", "node2"):
        cidr = f"2001:0:0:{name[-1]}::/64"
        spec = {"podCIDR": cidr, "podCIDRs": [cidr]}
        api.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": spec})
    command: list[str | Path] = ["vpp-exec", "--config", SEED / "contiv.conf", "--node", "node2"]
    done = srv6kv(*command, "--kubeconfig", api.kubeconfig)

    assert (done.returncode, done.stdout.splitlines()[0]) == (
        *(0, "set sr encaps source addr fe10:f00d::2"),
    )
    assert len(api.requests) == 1

    api.stop()
    assert srv6kv(*command, "--kubeconfig", api.kubeconfig).returncode == 3
