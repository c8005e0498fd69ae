"""The Dockerfile: what it leaves in the image, and its steps by a plain shell.

The steps need a package index, so they run only if SRV6KV_TEST_IMAGE is set, as
``scripts/test-deploy`` does.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from chart import ROOT
from processes import SEED

import srv6kv

STEP = re.compile(r"^([A-Z]+) ((?:.*\\\n)*.*)$", re.MULTILINE)
STEPS = STEP.findall((ROOT / "Dockerfile").read_text())
LAST_FROM = max(number for number, (word, _) in enumerate(STEPS) if word == "FROM")
PLACE = "/opt/srv6kv"


def copied() -> list[str]:
    """What of the repository the build gets."""
    words = [rest.split() for word, rest in STEPS[:LAST_FROM] if word == "COPY"]
    return [source for *sources, _ in words for source in sources]


def test_image_runs_as_nobody() -> None:
    """The image runs srv6kv as an unprivileged number, which Kubernetes can tell from root."""
    final = dict(STEPS[LAST_FROM:])

    assert (final["USER"], final["ENTRYPOINT"]) == ("65532:65532", '["srv6kv"]')


def test_image_has_no_tools() -> None:
    """The last stage takes the built environment alone, and removes the installer of its base."""
    final = STEPS[LAST_FROM:]

    assert [rest for word, rest in final if word == "COPY"] == [f"--from=build {PLACE} {PLACE}"]
    (cleaned,) = (rest for word, rest in final if word == "RUN")
    assert {"uninstall", "pip", "setuptools", "wheel"} <= set(cleaned.split())


def test_context_is_what_is_copied() -> None:
    """The build's context holds what the build copies, and nothing else."""
    ignored = (ROOT / ".dockerignore").read_text().split()

    assert ignored[0] == "*"
    assert {name.removeprefix("!") for name in ignored if name[0] == "!"} == {
        name.removeprefix("./") for name in copied()
    }
    assert all((ROOT / name).exists() for name in copied())


@pytest.mark.skipif("SRV6KV_TEST_IMAGE" not in os.environ, reason="SRV6KV_TEST_IMAGE is not set")
def test_steps(tmp_path: Path) -> None:
    """The steps of the build make an environment without pip that renders the seed by itself."""
    context = tmp_path / "src"
    context.mkdir()
    for name in copied():
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, context / Path(name).name)
    made = tmp_path / "made"
    for word, rest in STEPS[:LAST_FROM]:
        if word == "RUN":
            command = rest.replace(PLACE, str(made))
            subprocess.run(["sh", "-ec", command], cwd=context, check=True, timeout=600)
    files = ("-f", SEED / "manifests", "--config", SEED / "contiv.conf", "--node", "node1")
    done = subprocess.run(
        [str(made / "bin" / "srv6kv"), "render", *map(str, files)],
        capture_output=True,
        text=True,
        cwd="/",
        env={"PATH": "/nonexistent"},
        timeout=60,
    )
    loaded = subprocess.run(
        [made / "bin" / "python", "-c", "import grpc, kubernetes, srv6kv.etcd.store"],
        cwd="/",
        timeout=60,
    )

    assert (done.returncode, done.stdout.count("\n") > 10, loaded.returncode) == (0, True, 0)
    assert list(made.glob("lib/python3*/site-packages/pip")) == []
    (package,) = made.glob("lib/python3*/site-packages/srv6kv/__init__.py")
    assert f'"{srv6kv.__version__}"' in package.read_text()
