"""The chart and the manifest made of it: what they ask for, and that the manifest is fresh.

What needs helm is skipped without it; ``scripts/test-deploy`` brings one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from chart import (
    CHART,
    HELM,
    MANIFEST,
    ROOT,
    Json,
    containers,
    contiv_conf,
    helm,
    needs_helm,
    objects,
    one,
    pod_of,
    rendered,
    values,
)

import srv6kv
from srv6kv import settings


def generate(*more: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What ``scripts/gen-deploy`` does."""
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "gen-deploy"), *more],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | variables,
    )


def test_generated_files_are_fresh(tmp_path: Path) -> None:
    """Without helm, too: the schema knows the options that srv6kv knows, and the manifest was made
    of the chart as it is."""
    done = generate("--check", HELM="", PATH=str(tmp_path))

    assert (done.returncode, done.stderr) == (0, "")


@needs_helm
def test_manifest_is_fresh() -> None:
    """deploy/manifest.yaml is what helm makes of the chart."""
    done = generate("--check", HELM=HELM)

    assert (done.returncode, done.stderr) == (0, "")


def test_manifest_has_the_values() -> None:
    """The manifest's settings are those of the chart's values, and srv6kv takes it as it is."""
    found = objects(MANIFEST.read_text())
    data = one(found, "ConfigMap", "contiv-agent-cfg")["data"]
    conf = yaml.safe_load(data["contiv.conf"])
    own = values()

    assert conf == yaml.safe_load(contiv_conf({}))
    assert settings.load(MANIFEST.read_text(), "manifest.yaml") == settings.load(
        contiv_conf({}), "the values"
    )
    assert one(found, "DaemonSet")["metadata"]["namespace"] == "kube-system"
    assert containers(pod_of(found))["vpp-agent"]["image"] == ":".join(
        own["agent"]["image"][key] for key in ("repository", "tag")
    )


def test_versions_agree() -> None:
    """Chart, image and program have one version."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    image = containers(pod_of(objects(MANIFEST.read_text())))["srv6kv"]["image"]

    assert {chart["version"], chart["appVersion"], image.partition(":")[2]} == {srv6kv.__version__}


def test_rights() -> None:
    """srv6kv may read what it watches and create events, nothing else, and only its containers get
    the token."""
    found = objects(MANIFEST.read_text())
    pod = pod_of(found)
    rules = one(found, "ClusterRole")["rules"]
    with_token = {
        name
        for name, item in containers(pod).items()
        if "api-token" in [mount["name"] for mount in item["volumeMounts"]]
    }

    assert {
        (group, kind): set(rule["verbs"])
        for rule in rules
        for group in rule["apiGroups"]
        for kind in rule["resources"]
    } == {
        ("", "services"): {"list", "watch"},
        ("", "nodes"): {"list", "watch"},
        ("", "pods"): {"list", "watch"},
        ("discovery.k8s.io", "endpointslices"): {"list", "watch"},
        ("", "events"): {"create"},
    }
    assert with_token == {"vpp-exec", "srv6kv"}
    for item in (pod, one(found, "ServiceAccount")):
        assert item["automountServiceAccountToken"] is False


def test_only_the_agent_has_privileges() -> None:
    """All containers but the agent's run as nobody, on a file system that they cannot write."""
    found = containers(pod_of(objects(MANIFEST.read_text())))
    agent = found.pop("vpp-agent")

    assert agent["securityContext"] == {"privileged": True}
    for item in found.values():
        assert item["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert {"requests"} <= item["resources"].keys()


def test_every_mount_has_its_volume() -> None:
    """Every volume that is mounted is there, and every volume is mounted."""
    pod = pod_of(objects(MANIFEST.read_text()))
    mounted = {m["name"] for item in containers(pod).values() for m in item["volumeMounts"]}

    assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_agent_is_the_node_of_srv6kv() -> None:
    """Agent and sidecar have the node's name as label, and use one etcd."""
    found = objects(MANIFEST.read_text())
    items = containers(pod_of(found))
    name = {"fieldRef": {"fieldPath": "spec.nodeName"}}
    etcd = yaml.safe_load(one(found, "ConfigMap", "srv6kv-agent")["data"]["etcd.conf"])

    for item in (items["srv6kv"], items["vpp-agent"]):
        assert {"name": "MICROSERVICE_LABEL", "valueFrom": name} in item["env"]
    for item in (items["srv6kv"], items["vpp-exec"]):
        assert {"name": "NODE_NAME", "valueFrom": name} in item["env"]
    assert [f"--etcd={one}" for one in etcd["endpoints"]] == [
        argument for argument in items["srv6kv"]["args"] if argument.startswith("--etcd=")
    ]


def test_the_agent_waits_for_a_busy_vpp() -> None:
    """The agent reads limits for VPP's answers, in its names and in nanoseconds."""
    found = objects(MANIFEST.read_text())
    mounts = containers(pod_of(found))["vpp-agent"]["volumeMounts"]
    limits = yaml.safe_load(one(found, "ConfigMap", "srv6kv-agent")["data"]["govpp.conf"])

    assert "/opt/vpp-agent/dev/govpp.conf" in {mount["mountPath"] for mount in mounts}
    assert limits == {
        "reply-timeout": 20 * 10**9,
        "health-check-reply-timeout": 5 * 10**9,
        "health-check-threshold": 5,
    }


def test_vpp_reads_what_is_written_for_it() -> None:
    """VPP executes at its start the file that the first container writes into a common volume."""
    found = objects(MANIFEST.read_text())
    items = containers(pod_of(found))
    conf = one(found, "ConfigMap", "srv6kv-agent")["data"]["vpp.conf"]
    (written,) = (a.partition("=")[2] for a in items["vpp-exec"]["args"] if "--out" in a)
    mounts = [
        mount["mountPath"]
        for name in ("vpp-exec", "vpp-agent")
        for mount in items[name]["volumeMounts"]
        if mount["name"] == "vpp-exec"
    ]

    assert f"  exec {written}\n" in conf
    assert [written.startswith(f"{path}/") for path in mounts] == [True, True]


@needs_helm
def test_lint() -> None:
    """helm finds nothing to complain about."""
    done = helm("lint", {})

    assert (done.returncode, "0 chart(s) failed" in done.stdout) == (0, True)
    assert "[WARNING]" not in done.stdout


@needs_helm
@pytest.mark.parametrize(
    ("over", "key"),
    [
        ({"contiv": {"ipamConfig": {"podSubnetCidr": "fd10::/40"}}}, "podSubnetCidr"),
        ({"contiv": {"srv6kv": {"nodePlumbing": "half"}}}, "nodePlumbing"),
        ({"contiv": {"useNoOverlay": "yes"}}, "useNoOverlay"),
        ({"etcd": {"endpoints": ["etcd"]}}, "endpoints"),
        ({"agent": {"enabled": False}}, "etcd.endpoints"),
        ({"ectd": {}}, "ectd"),
    ],
)
def test_wrong_values(over: Json, key: str) -> None:
    """A wrong value is refused before anything is installed, and the refusal names it."""
    done = helm("template", over)

    assert (done.returncode, key in done.stderr) == (1, True)


@needs_helm
def test_without_an_agent() -> None:
    """Beside an agent of another DaemonSet the pod has srv6kv alone, and no privileges."""
    found = rendered({"agent": {"enabled": False}, "etcd": {"endpoints": ["[fd00::1]:2379"]}})
    pod = pod_of(found)

    assert list(containers(pod)) == ["srv6kv"]
    assert ("hostPID" in pod, {v["name"] for v in pod["volumes"]}) == (
        False,
        {"contiv-conf", "api-token"},
    )
    assert [item["metadata"]["name"] for item in found if item["kind"] == "ConfigMap"] == [
        "contiv-agent-cfg"
    ]


@needs_helm
def test_etcd_with_tls() -> None:
    """Endpoints and certificates reach the agent and srv6kv alike, and no etcd is started."""
    endpoints = ["https://etcd-a:2379", "https://[fd00::2]:2379"]
    found = rendered({"etcd": {"endpoints": endpoints, "tls": {"secretName": "etcd-tls"}}})
    items = containers(pod_of(found))
    etcd = yaml.safe_load(one(found, "ConfigMap", "srv6kv-agent")["data"]["etcd.conf"])
    files = [etcd[key] for key in ("ca-file", "cert-file", "key-file")]
    options = [argument for argument in items["srv6kv"]["args"] if "etcd" in argument]

    assert "etcd" not in items
    assert (etcd["endpoints"], etcd["insecure-transport"]) == (endpoints, False)
    assert options == [
        *(f"--etcd={endpoint}" for endpoint in endpoints),
        *(f"--etcd-{n}={path}" for n, path in zip(("ca", "cert", "key"), files, strict=True)),
    ]
    for name in ("srv6kv", "vpp-agent"):
        (mount,) = (m for m in items[name]["volumeMounts"] if m["name"] == "etcd-tls")
        assert all(path.startswith(mount["mountPath"] + "/") for path in files)


@needs_helm
def test_pod_monitor() -> None:
    """A PodMonitor finds the pages on the pod's address, where the probes look for them too."""
    found = rendered({"telemetry": {"podMonitor": {"enabled": True}, "port": 10300}})
    monitor = one(found, "PodMonitor")["spec"]
    item = containers(pod_of(found))["srv6kv"]
    selected = one(found, "DaemonSet")["spec"]["template"]["metadata"]["labels"]
    (endpoint,) = monitor["podMetricsEndpoints"]

    assert monitor["selector"]["matchLabels"].items() <= selected.items()
    assert item["ports"] == [{"name": endpoint["port"], "containerPort": 10300}]
    assert "--listen=[$(POD_IP)]:10300" in item["args"]
    assert {"POD_IP"} <= {variable["name"] for variable in item["env"]}
    assert [item[probe]["httpGet"] for probe in ("livenessProbe", "readinessProbe")] == [
        {"path": "/livez", "port": 10300},
        {"path": "/readyz", "port": 10300},
    ]


@needs_helm
def test_resources_of_the_agent() -> None:
    """Huge pages are asked for as wanted, and not at all if there are none to be had."""
    some = containers(pod_of(rendered({"agent": {"hugepages2Mi": "1Gi"}})))["vpp-agent"]
    none = pod_of(rendered({"agent": {"hugepages2Mi": ""}}))

    assert some["resources"]["limits"] == {"hugepages-2Mi": "1Gi"}
    assert "limits" not in containers(none)["vpp-agent"]["resources"]
    assert "hugepages" not in [volume["name"] for volume in none["volumes"]]
