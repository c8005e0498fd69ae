"""What every command does alike: help, usage, exit codes, pipes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from processes import NODE, SEED, done_as_written, environment, example_of, srv6kv

from srv6kv.etcd import embedded

COMMANDS = (
    "demo",
    "explain",
    "get",
    "plan",
    "render",
    "repair",
    "replay",
    "run",
    "simulate",
    "trace",
    "verify",
)
RENDER = ("render", "-f", SEED / "manifests", "--config", SEED / "contiv.conf", "--node", NODE)
CLOSED = "127.0.0.1:1"
"""Nobody listens there."""


def test_help_lists_the_commands() -> None:
    """The help of srv6kv has a line for every command, its exit codes and an example."""
    done = srv6kv("--help")
    listed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]

    assert (done.returncode, done.stderr) == (0, "")
    assert set(COMMANDS) <= set(listed)
    assert "Exit codes: 0 done" in done.stdout
    assert "srv6kv render -f" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command: str) -> None:
    """Every command explains itself with an example that calls it."""
    done = srv6kv(command, "--help")

    assert (done.returncode, done.stderr) == (0, "")
    assert "Example" in done.stdout
    assert f"\n    srv6kv {command}" in done.stdout


@pytest.mark.parametrize("command", sorted({*COMMANDS} - {"run"}))
def test_json(command: str) -> None:
    """Every command that prints something prints it as JSON too."""
    assert "json" in srv6kv(command, "--help").stdout.partition("--output [")[2].partition("]")[0]


def test_examples_of_the_help_work(tmp_path: Path) -> None:
    """What the example of ``render --help`` names is there, and the example does what it says."""
    done = done_as_written(example_of("render"), tmp_path)

    assert (done.returncode, "2096::d765/128" in done.stdout) == (0, True), done.stderr


def test_help_loads_nothing_heavy() -> None:
    """``render --help`` imports no client of a server and no parser: what it does not load costs
    nothing."""
    code = """
import sys
from srv6kv.cli import main
sys.argv = ["srv6kv", "render", "--help"]
try:
    main()
except SystemExit:
    print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert "Usage" in done.stdout
    assert {"etcd3", "google", "grpc", "kubernetes", "rich", "urllib3", "yaml"}.isdisjoint(
        done.stderr.split()
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("frobnicate",), "'frobnicate'"),
        (("render", "--node", NODE), "'-f'"),
        (("render", "-f", "x", "--node", NODE, "-o", "xml"), "'xml'"),
        (("render", "-f", "x"), "'--node'"),
        (("run", "--node", NODE), "/nowhere: no credentials for a Kubernetes API server"),
        (("get", "nonsense", "--label", NODE), "'nonsense'"),
        (("get", "services"), "'--label'"),
        (("replay",), "'RECORDING'"),
        (("plan", *RENDER[1:], "--etcd", "no port"), "no port"),
    ],
)
def test_bad_usage(arguments: tuple[str, ...], text: str) -> None:
    """Bad usage ends with 2, says what is wrong on standard error, and prints nothing else."""
    done = srv6kv(*arguments, CONTIV_CONFIG=str(SEED / "contiv.conf"), KUBECONFIG="/nowhere")

    assert (done.returncode, done.stdout) == (2, "")
    assert text in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", *RENDER[1:]),
        ("get", "services", "--label", NODE),
        ("replay", Path(__file__).parents[1] / "recorded" / "seed.txn"),
    ],
)
def test_etcd_out_of_reach(arguments: tuple[str | Path, ...]) -> None:
    """A command that needs etcd ends with 3 and one line that names it, if it is out of reach."""
    done = srv6kv(*arguments, "--etcd", CLOSED)
    said = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]

    assert (done.returncode, done.stdout) == (3, "")
    assert len(said) == 1
    assert said[0].startswith(f"srv6kv: etcd {CLOSED}: ")


def test_broken_pipe() -> None:
    """A reader that has seen enough ends a command without a word."""
    process = subprocess.Popen(
        [sys.executable, "-m", "srv6kv", *map(str, RENDER)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.wait()

    assert [line for line in said.splitlines() if not line.startswith("warning: ")] == []


def test_module_and_script_are_one() -> None:
    """The console script and ``python -m srv6kv`` are the same program."""
    program = Path(sys.executable).with_name("srv6kv")
    script = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)

    assert script.stdout == srv6kv("--version").stdout


def test_programs_of_etcd_are_found() -> None:
    """The extra ``embedded`` brings etcd and etcdctl."""
    assert [bool(shutil.which(embedded.program(name))) for name in ("etcd", "etcdctl")] == [
        True
    ] * 2
