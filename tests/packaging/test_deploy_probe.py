"""The probe of deploy/ restarts VPP and the agent when the agent has lost VPP, for nothing else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from chart import MANIFEST, containers, objects, pod_of

WELL = '{"state":1,"PluginStatus":{"etcd":{"state":1},"govpp":{"state":1,"last_change":5}}}'
NO_ETCD = '{"state":2,"PluginStatus":{"etcd":{"state":2},"govpp":{"state":1,"last_change":5}}}'
LOST = '{"state":2,"PluginStatus":{"etcd":{"state":1},"govpp":{"state":2,"error":"gone"}}}'


@pytest.mark.parametrize(
    ("answer", "is_well"), [(WELL, True), (NO_ETCD, True), ("", True), (LOST, False)]
)
def test_the_probe(tmp_path: Path, answer: str, is_well: bool) -> None:
    """Not while etcd is away, nor while the agent does not answer."""
    (tmp_path / "curl").write_text(f"#!/bin/sh\nprintf '%s' '{answer}'\n")
    (tmp_path / "curl").chmod(0o755)
    agent = containers(pod_of(objects(MANIFEST.read_text())))["vpp-agent"]
    command = agent["livenessProbe"]["exec"]["command"]
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(command, env={"PATH": path}, check=False)

    assert (done.returncode == 0) == is_well
