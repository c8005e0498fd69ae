"""``srv6kv demo``: the whole job, and nothing left of it."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from etcd_server import eventually
from processes import SEED, environment, srv6kv

from srv6kv.cli import demo


def start(folder: Path, *more: str, umask: int = -1) -> subprocess.Popen[str]:
    """A demo whose temporary files are in a folder of the test."""
    return subprocess.Popen(
        [sys.executable, "-m", "srv6kv", "demo", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        umask=umask,
        env=environment(TMPDIR=str(folder), PYTHONUNBUFFERED="1"),
    )


def left(folder: Path) -> list[str]:
    """What there still is of a demo: files, and processes that work in its folder."""
    commands = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            commands.append(path.read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return [*os.listdir(folder), *(one for one in commands if str(folder) in one)]


def test_demo(tmp_path: Path) -> None:
    """The demo ends by itself, shows the sample's state, one transaction that
    follows a change and the policy of the guide with its two lists, and leaves nothing behind."""
    process = start(tmp_path)
    out, err = process.communicate(timeout=180)
    before, _, after = out.partition("the one transaction that follows")

    assert (process.returncode, left(tmp_path)) == (0, [])
    assert "Traceback" not in err
    assert "1 transaction later: etcdctl get --prefix /vnf-agent/node1/" in before
    assert "/vnf-agent/node1/config/vpp/srv6/v2/steering/forK8sService-default-myservice" in before
    assert "myservice.yaml changes" in before
    assert after.count("txn 1\n") == 1
    assert [line.split("< ")[1] for line in after.splitlines() if "6666:0:0:1::5 >" in line] == [
        "6666:0:0:1::5 > weight: 1"
    ]
    assert "< 6666:0:0:1::6 > weight: 1" in after


def test_temporary_files_are_private(tmp_path: Path) -> None:
    """Only the user can look into the demo's files, whatever the umask, and
    nobody can guess its name."""
    names = set()
    for _ in range(2):
        process = start(tmp_path, umask=0)
        assert process.stdout is not None
        while "== An etcd" not in process.stdout.readline():
            assert process.poll() is None
        (folder,) = (path for path in tmp_path.iterdir() if (path / "etcd").exists())
        names.add(folder.name)
        modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)

        assert modes == {0o700}
    assert len(names) == 2


def test_killed_demo_leaves_no_process(tmp_path: Path) -> None:
    """A demo that is killed takes its etcd along."""
    process = start(tmp_path)
    assert process.stdout is not None
    while "transaction later" not in process.stdout.readline():
        assert process.poll() is None
    process.kill()
    process.communicate(timeout=30)

    def check() -> None:
        assert [one for one in left(tmp_path) if "etcd" in one] == []

    eventually(check, AssertionError)


def test_demo_as_json(tmp_path: Path) -> None:
    """As JSON the demo prints the two transactions alone."""
    process = start(tmp_path, "-o", "json")
    out, _ = process.communicate(timeout=60)
    first, second = json.loads(out)

    assert (process.returncode, left(tmp_path)) == (0, [])
    assert (len(first), len(second)) == (54, 9)


@pytest.mark.parametrize(
    ("number", "heading"),
    [
        (signal.SIGTERM, "== An etcd"),
        (signal.SIGTERM, "== The same policies"),
        (signal.SIGINT, "transaction later"),
        (signal.SIGHUP, "transaction later"),
    ],
)
def test_interrupted_demo(tmp_path: Path, number: signal.Signals, heading: str) -> None:
    """A demo that is interrupted or told to end leaves nothing behind, and does not end with 0."""
    process = start(tmp_path)
    assert process.stdout is not None
    while heading not in process.stdout.readline():
        assert process.poll() is None

    process.send_signal(number)
    _, err = process.communicate(timeout=30)

    assert (process.returncode, left(tmp_path)) == (128 + number, [])
    assert "Traceback" not in err


def test_demo_without_an_example(tmp_path: Path) -> None:
    """An example that is not there is one line and exit code 2."""
    done = srv6kv("demo", "--example", tmp_path)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_sample_is_installed() -> None:
    """The sample cluster belongs to the package."""
    sample = Path(demo.__file__).parent.parent / "sample"

    assert sorted(path.name for path in sample.iterdir()) == sorted(os.listdir(SEED))
