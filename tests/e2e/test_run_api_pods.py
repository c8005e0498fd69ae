"""``srv6kv run`` on an API server, and the own node's Pods, of which some come late or never."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_bench import ApiBench
from apiserver import FakeApiServer, Fault
from history import History, violations
from processes import NODE

from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store

CHAIN = "config/linux/iptables/v2/rulechain/"
NAMES = {"kube-system/coredns-a": "2", "kube-system/coredns-b": "3", "default/myservice-a": "5"}
"""The pods that slices of the sample name on node 1, and the end of the address of each."""


@pytest.fixture
def bench(
    tmp_path: Path, etcd: EmbeddedEtcd, store: Etcd3Store, label: str, api: FakeApiServer
) -> Iterator[ApiBench]:
    """A node with its wiring in etcd, and a cluster without pods in the tests' API server."""
    made = ApiBench(tmp_path / "bench", etcd, label, api)
    made.load_agent_state(store)
    made.remove("pods.yaml")
    yield made
    made.end()


def pods(ip: str = "2001:0:0:1::", **fields: Any) -> str:
    """A manifest of the pods that slices name.

    Args:
        ip: how their addresses begin; "": they have none yet.
        fields: of the spec, or ``annotations`` and ``phase``.
    """
    annotations, phase = fields.pop("annotations", {}), fields.pop("phase", "Running")
    bodies = []
    for name, end in NAMES.items():
        namespace, _, short = name.partition("/")
        ips = {"podIP": ip + end, "podIPs": [{"ip": ip + end}]} if ip else {}
        bodies.append(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": short, "namespace": namespace, "annotations": annotations},
                "spec": {"nodeName": NODE, "containers": [], **fields},
                "status": {"phase": phase, **ips},
            }
        )
    return "".join(f"---\n{json.dumps(body)}\n" for body in bodies)


def fake(bench: ApiBench) -> FakeApiServer:
    """The tests' own API server."""
    assert isinstance(bench.api, FakeApiServer)
    return bench.api


def chains(history: History) -> list[str]:
    """The rule chains that there are."""
    return [key for key in history.state() if key.startswith(CHAIN)]


def test_only_own_pods(bench: ApiBench, history: History) -> None:
    """Pods are listed and watched with a selector for the own node, by the server."""
    bench.run()
    fake(bench).wait_until_watched("pods")
    asked = [*fake(bench).came("list", "pods"), *fake(bench).came("watch", "pods")]

    assert {one.query["fieldSelector"] for one in asked} == {f"spec.nodeName={NODE}"}


def test_pods_that_come_late(bench: ApiBench, history: History) -> None:
    """As long as no later list has told that a Pod is not there, its endpoint waits; when the Pod
    comes, first without its address, all is written."""
    api = fake(bench)
    api.harm("list", "pods", Fault(status=500, spare=1))
    process = bench.run()
    process.wait_for("(PodUnknown)", times=len(NAMES))
    api.wait_for_request("list", "pods", 2)

    assert chains(history) == []

    bench.edit("pods.yaml", pods(""))
    bench.edit("pods.yaml", pods())
    api.heal()
    history.wait_for(bench.expected())
    process.wait_for("resolved: Endpoint", times=len(NAMES))

    assert len(chains(history)) == 6 * len(NAMES)
    assert violations(history.revisions()) == []


@pytest.mark.parametrize(
    "text",
    ["", pods(""), pods(phase="Succeeded"), pods(hostNetwork=True), pods("2001:0:0:1::f")],
    ids=["none", "without address", "ended", "on the host's network", "with another address"],
)
def test_pods_that_never_come(bench: ApiBench, history: History, text: str) -> None:
    """An endpoint whose Pod a later list lacks, or has without that address, waits no longer; a
    restart writes nothing."""
    bench.edit("pods.yaml", text)

    assert bench.run("--once").wait() == 0

    history.wait_for(bench.expected())
    before = history.last()

    assert len(chains(history)) == 6 * len(NAMES)
    assert bench.run("--once").wait() == 0
    assert history.last() == before


def test_pods_of_a_mesh(bench: ApiBench, history: History) -> None:
    """A Pod without address that a slice names is known by its name: if a mesh owns its chains,
    they are left alone; and when it leaves the mesh, they are written."""
    bench.edit("pods.yaml", pods("", annotations={"linkerd.io/proxy-version": "stable-2.14"}))
    process = bench.run()
    process.wait_for("(PodChainsOwnedByMesh)", times=len(NAMES))

    assert chains(history) == []

    bench.edit("pods.yaml", pods(""))
    history.wait_for(bench.expected())

    assert len(chains(history)) == 6 * len(NAMES)


def test_malformed_pod(bench: ApiBench, history: History) -> None:
    """An endpoint whose Pod makes no sense waits until it does: it might be in a mesh."""
    broken = pods().replace("2001:0:0:1::5", "many")
    bench.edit("pods.yaml", broken)
    process = bench.run()
    process.wait_for("Pod default/myservice-a: status.podIPs[0].ip: ")
    process.wait_for("(PodUnknown)")
    history.wait(lambda: len(chains(history)) == 6 * len(NAMES) - 6)

    bench.edit("pods.yaml", pods())
    history.wait_for(bench.expected())

    assert len(process.said("(PodUnknown)")) == 2


def test_pods_forbidden(bench: ApiBench, history: History) -> None:
    """Who may not list pods is told so in one line; nothing is written until that is allowed."""
    bench.edit("pods.yaml", pods())
    fake(bench).forbidden.add("pods")
    process = bench.run()
    line = process.wait_for("(ApiForbidden)")
    fake(bench).wait_for_request("list", "pods", 2)

    assert "/api/v1/pods: 403" in line
    assert len(process.said("WARNING API server: ")) == 1
    assert len(history.revisions()) == len(bench.foreign)

    fake(bench).forbidden.clear()
    history.wait_for(bench.expected())
