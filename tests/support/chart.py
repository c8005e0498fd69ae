"""The chart of ``deploy/`` as the tests use it: its values, and helm if there is one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "srv6kv"
MANIFEST = ROOT / "deploy" / "manifest.yaml"
HELM = os.environ.get("HELM") or shutil.which("helm") or ""
GENERATIONS = ("nodeToNodeTransport", "useSRv6ForServices", "useNoOverlay", "useSRv6Interconnect")
SUBNETS = (
    *("podSubnetCIDR", "podSubnetOneNodePrefixLen", "nodeInterconnectCIDR"),
    *("vppHostSubnetCIDR", "vppHostSubnetOneNodePrefixLen"),
)

Json: TypeAlias = dict[str, Any]

needs_helm = pytest.mark.skipif(not HELM, reason="no helm at $HELM or on the PATH")


def values() -> Json:
    """The chart's own values."""
    return dict(yaml.safe_load((CHART / "values.yaml").read_text()))


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> Json:
    """Values over values, as helm lays them."""
    found = dict(under)
    for key, value in over.items():
        inner = found.get(key)
        is_both = isinstance(inner, dict) and isinstance(value, dict)
        found[key] = merged(inner, value) if is_both else value  # type: ignore[arg-type]  # checked
    return found


def contiv_conf(contiv: Mapping[str, Any]) -> str:
    """The contiv.conf that the chart promises for ``contiv`` over its own values."""
    conf = merged(values()["contiv"], contiv)
    if not any(key in conf for key in GENERATIONS):
        conf |= {"nodeToNodeTransport": "srv6", "useSRv6ForServices": True}
    if "contivCIDR" in conf["ipamConfig"]:
        conf["ipamConfig"] = {k: v for k, v in conf["ipamConfig"].items() if k not in SUBNETS}
    return json.dumps(conf)


def helm(command: str, over: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
    """What helm does with the chart and values over its own."""
    more = ["release"] if command == "template" else []
    return subprocess.run(
        [HELM, command, *more, str(CHART), "--namespace", "kube-system", "-f", "-"],
        input=json.dumps(over),
        capture_output=True,
        text=True,
        timeout=60,
    )


def rendered(over: Mapping[str, Any]) -> list[Json]:
    """The objects that helm makes."""
    done = helm("template", over)

    assert done.returncode == 0, done.stderr

    return objects(done.stdout)


def objects(text: str) -> list[Json]:
    """The objects in a manifest."""
    return [item for item in yaml.safe_load_all(text) if item is not None]


def one(found: list[Json], kind: str, name: str = "") -> Json:
    """The one object of a kind, or of a kind and a name."""
    (item,) = (o for o in found if o["kind"] == kind and name in ("", o["metadata"]["name"]))
    return item


def pod_of(found: list[Json]) -> Json:
    """The spec of the pods."""
    return dict(one(found, "DaemonSet")["spec"]["template"]["spec"])


def containers(pod: Json) -> dict[str, Json]:
    """The containers of a pod by name, those that run before the others included."""
    return {item["name"]: item for item in [*pod.get("initContainers", []), *pod["containers"]]}
