"""The scripts: what they leave behind, and what they install."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from chart import ROOT
from etcd_server import eventually
from processes import environment

SCRIPTS = ROOT / "scripts"
LONG = ROOT / "tests" / "faults" / "test_faults.py"
"""Members and sidecars at work for minutes, some of them frozen."""


def commands_with(text: str) -> list[str]:
    """The command lines of running processes with that text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes().decode(errors="replace").replace("\0", " "))
    return [one for one in found if text in one]


@pytest.fixture
def made() -> None:
    """The environment of scripts/environment, which would be made again under the tests if it were
    another one."""
    sources = (ROOT / "pyproject.toml", ROOT / "locks" / "build.txt", ROOT / "locks" / "dev.txt")
    stamp = ROOT / ".venv" / "made-of"
    wanted = "".join(["dev\n", *(path.read_text() for path in sources)])
    if not stamp.exists() or stamp.read_text().rstrip("\n") != wanted.rstrip("\n"):
        pytest.skip(".venv is not that of scripts/environment")


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("how", "more"),
    [
        ("Ctrl-C", ()),
        ("Ctrl-C", ("--numprocesses=1",)),
        ("SIGTERM", ("--numprocesses=1",)),
        ("SIGKILL", ("--numprocesses=1",)),
    ],
)
def test_interrupted_tests_leave_no_process(tmp_path: Path, how: str, more: Sequence[str]) -> None:
    """However scripts/test is ended, the servers and sidecars of its tests end too."""
    base = tmp_path / "base"
    process = subprocess.Popen(
        ["bash", SCRIPTS / "test", LONG, "--faults", f"--basetemp={base}", *more],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
        start_new_session=True,
    )

    def check_begun() -> None:
        found = commands_with(str(base))
        assert any("etcd" in one for one in found)
        assert any(" run " in one for one in found)

    eventually(check_begun, AssertionError, 30)
    match how:
        case "Ctrl-C":
            os.killpg(process.pid, signal.SIGINT)
        case "SIGTERM":
            process.terminate()
        case _:
            process.kill()
    process.wait(30)

    def check_ended() -> None:
        assert commands_with(str(base)) == []

    eventually(check_ended, AssertionError, 30)


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_script_ends_its_command(number: signal.Signals) -> None:
    """A script that is told to end ends the command that it waits for, and then itself."""
    script = f". {SCRIPTS}/environment dev; run sleep 600.{os.getpid()}{number}; echo not reached"
    process = subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE, text=True)
    name = f"sleep 600.{os.getpid()}{number}"

    def is_begun() -> None:
        assert [one for one in commands_with(name) if one.startswith("sleep")]

    eventually(is_begun, AssertionError)
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)

    assert (process.returncode, out) == (-number, "")
    assert commands_with(name) == []


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(("status", "end"), [(0, "0\n"), (7, "7\n")])
def test_script_takes_the_status(status: int, end: str) -> None:
    """What a command ends with is what its script sees, and its input is the script's."""
    command = "bash -c 'read -r word; exit $word'"
    script = f". {SCRIPTS}/environment dev; run {command}; echo $?"
    done = subprocess.run(
        ["bash", "-c", script], input=f"{status}\n", capture_output=True, text=True, timeout=30
    )

    assert done.stdout == end


PYTHON = """#!/usr/bin/env bash
case "$*" in
    *venv*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    *pip*) echo "$*" >> calls ;;
esac
"""
"""Does what scripts/environment asks of a Python, but for the work."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What scripts/environment needs of the repository."""
    for name in ("locks", "scripts"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def installed(checkout: Path, extra: str) -> list[str]:
    """What pip is told to install for an environment."""
    (checkout / "calls").write_text("")
    subprocess.run(
        ["bash", "-c", f". scripts/environment {extra}"],
        cwd=checkout,
        check=True,
        capture_output=True,
        env={**environment(), "PYTHON": str(checkout / "python")},
        timeout=30,
    )
    return [line.partition("check ")[2] for line in (checkout / "calls").read_text().splitlines()]


def test_environment_is_what_the_lock_says(checkout: Path) -> None:
    """What builds, what is needed, the project: each from the lock with hashes, or by itself."""
    assert installed(checkout, "dev") == [
        "--require-hashes --requirement locks/build.txt",
        "--require-hashes --no-build-isolation --requirement locks/dev.txt",
        "--no-deps --no-build-isolation --editable .",
    ]
    assert installed(checkout, "dev") == []
    assert installed(checkout, "embedded") == []


@pytest.mark.parametrize("name", ["locks/dev.txt", "locks/build.txt", "pyproject.toml"])
def test_another_lock_is_another_environment(checkout: Path, name: str) -> None:
    """Whatever it is made of changes, the environment is made again from nothing."""
    installed(checkout, "dev")
    (checkout / ".venv" / "of-old").write_text("")
    with (checkout / name).open("a") as file:
        file.write("# changed\n")

    assert len(installed(checkout, "dev")) == 3
    assert not (checkout / ".venv" / "of-old").exists()


def test_broken_off_environment_is_made_again(checkout: Path) -> None:
    """One of which the making did not come to its end counts for nothing."""
    installed(checkout, "dev")
    (checkout / ".venv" / "made-of").unlink()

    assert len(installed(checkout, "dev")) == 3


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A path of programs on which no tool is, and an apt-get that notes how it is called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "env", "timeout"):
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    for name, text in (("apt-get", f'echo "$@" >> {tmp_path}/calls'), ("id", "echo ${WHO:-0}")):
        (folder / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (folder / name).chmod(0o755)
    return folder


def tools(bare: Path, *more: str, who: str = "0") -> subprocess.CompletedProcess[str]:
    """What scripts/test-tools does with these programs."""
    return subprocess.run(
        ["bash", SCRIPTS / "test-tools", *more],
        capture_output=True,
        text=True,
        env={"PATH": str(bare), "WHO": who},
        timeout=30,
    )


def test_nothing_is_installed_unasked(bare: Path, tmp_path: Path) -> None:
    """What is missing is named, with the option that installs it; nothing else happens."""
    done = tools(bare)

    assert done.returncode == 0
    assert "missing: ip ip6tables go; " in done.stderr
    assert "scripts/test --install" in done.stderr
    assert not (tmp_path / "calls").exists()


def test_what_is_missing_is_installed_on_request(bare: Path, tmp_path: Path) -> None:
    """Root gets the packages of what is missing, and of nothing else."""
    (bare / "go").symlink_to("bash")
    done = tools(bare, "--install")
    calls = (tmp_path / "calls").read_text().splitlines()

    assert done.returncode == 0, done.stderr
    assert {call.split("recommends ")[1].split(" --")[0] for call in calls} == {"iproute2 iptables"}


def test_only_root_installs(bare: Path, tmp_path: Path) -> None:
    """Somebody else is told which packages it would take."""
    done = tools(bare, "--install", who="1000")

    assert done.returncode == 1
    assert "iproute2 iptables golang-go" in done.stderr
    assert not (tmp_path / "calls").exists()


def test_ci_runs_the_readme() -> None:
    """CI runs exactly the test command of the README."""
    last = (ROOT / ".ci" / "run").read_text().splitlines()[-1]

    assert f"\n    {last}\n" in (ROOT / "README.md").read_text()
