"""The manifest in a real API server: it is taken as it is, and its rights are enough and no more.

Needs KUBEBUILDER_ASSETS and kubectl; else it is skipped.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from chart import MANIFEST, containers, objects, one, pod_of
from kubeconfig import write_kubeconfig
from processes import srv6kv
from real_apiserver import RealApiServer

from srv6kv.etcd.embedded import EmbeddedEtcd

USER = "system:serviceaccount:kube-system:srv6kv"
NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "deploy-1"},
    "spec": {"podCIDR": "2001:0:0:9::/64", "podCIDRs": ["2001:0:0:9::/64"]},
}


@pytest.fixture
def server(real_api: RealApiServer | None) -> RealApiServer:
    """A real API server with the manifest in it."""
    if real_api is None or shutil.which("kubectl") is None:
        pytest.skip("no kube-apiserver (KUBEBUILDER_ASSETS), or no kubectl")
    kubectl(real_api, "apply", "--server-side", "--validate=strict", "-f", str(MANIFEST))
    return real_api


def kubectl(server: RealApiServer, *arguments: str, code: int = 0) -> str:
    """What kubectl says; fails if it ends with another code."""
    done = subprocess.run(
        ["kubectl", "--kubeconfig", str(server.kubeconfig), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == code, done.stderr

    return done.stdout


def test_manifest_is_accepted(server: RealApiServer) -> None:
    """Every object of the manifest is there, and no field of it was unknown."""
    assert kubectl(server, "get", "-f", str(MANIFEST), "-o", "name").splitlines() == [
        "serviceaccount/srv6kv",
        "configmap/srv6kv-agent",
        "configmap/contiv-agent-cfg",
        "clusterrole.rbac.authorization.k8s.io/srv6kv",
        "clusterrolebinding.rbac.authorization.k8s.io/srv6kv",
        "daemonset.apps/srv6kv",
    ]


@pytest.mark.parametrize(
    ("verb", "resource", "may"),
    [
        *[(v, r, "yes") for v in ("list", "watch") for r in ("services", "nodes", "pods")],
        ("list", "endpointslices.discovery.k8s.io", "yes"),
        *[("list", r, "no") for r in ("secrets", "configmaps")],
        *[(v, r, "no") for v in ("create", "update", "delete") for r in ("nodes", "pods")],
    ],
)
def test_rights(server: RealApiServer, verb: str, resource: str, may: str) -> None:
    """The service account may do what srv6kv does, and nothing that others would want of it."""
    code = 0 if may == "yes" else 1
    asked = ("auth", "can-i", verb, resource, "--all-namespaces", "--as", USER)

    assert kubectl(server, *asked, code=code).strip() == may


def test_rights_are_enough(server: RealApiServer, etcd: EmbeddedEtcd, tmp_path: Path) -> None:
    """With the token of the service account both containers do their work."""
    found = objects(MANIFEST.read_text())
    conf = tmp_path / "contiv.conf"
    conf.write_text(one(found, "ConfigMap", "contiv-agent-cfg")["data"]["contiv.conf"])
    token = kubectl(server, "--namespace=kube-system", "create", "token", "srv6kv").strip()
    account = write_kubeconfig(tmp_path / "account", server.url, token=token, ca=server.ca)
    more = ("--config", conf, "--node", "deploy-1", "--kubeconfig", account)
    server.apply(NODE)
    try:
        first = srv6kv("vpp-exec", *more)
        ran = srv6kv("run", *more, "--etcd", etcd.endpoint, "--once")
        told = srv6kv("get", "localsids", "--label", "deploy-1", "--etcd", etcd.endpoint)
    finally:
        server.remove(NODE)

    assert (first.returncode, first.stdout.splitlines()[0]) == (
        *(0, "set sr encaps source addr fe10:f00d::9"),
    )
    assert (ran.returncode, "9000:f00d::9" in told.stdout) == (0, True)
    assert {"vpp-exec", "srv6kv"} <= containers(pod_of(found)).keys()
