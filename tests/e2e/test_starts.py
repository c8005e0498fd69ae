"""A process of ``srv6kv`` that the tests fork is what a new interpreter would have been."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from tempfile import TemporaryFile

import pytest
import starts
from processes import Bench, environment, srv6kv

RECORDING = Path(__file__).parents[1] / "recorded" / "seed.txn"


@pytest.fixture
def long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every start is a new interpreter."""
    monkeypatch.setattr(starts, "is_forking", False)


def life(bench: Bench) -> list[subprocess.CompletedProcess[str]]:
    """Each command that the tests do not run in their own process, once in the life of a node."""
    here: list[str | Path] = ["--label", bench.label, *bench.etcd]
    return [
        srv6kv("run", "--once", *bench.options()),
        srv6kv("adopt", "--from", "contiv", *bench.options(), "--dry-run"),
        srv6kv("repair", *here, "--means", "resend", "--dry-run"),
        srv6kv("cleanup", *here, "--dry-run"),
        srv6kv("replay", RECORDING, "--label", f"{bench.label}-copy", *bench.etcd),
    ]


def assert_whole(done: list[subprocess.CompletedProcess[str]]) -> None:
    """Each did what it should; the recording is the last."""
    assert [one.returncode for one in done] == [0] * 5, [one.stderr for one in done]
    assert not [one for one in done if "Traceback" in one.stderr]
    assert done[-1].stdout == "3 transactions replayed, 46 keys\n"


def test_forked(bench: Bench) -> None:
    """The commands of a node's life work in processes that are forked."""
    assert isinstance(bench.run()._process, starts.Forked)
    bench.end()
    assert_whole(life(bench))


@pytest.mark.usefixtures("long_way")
def test_started(bench: Bench) -> None:
    """They work in new interpreters, which import no more than they need."""
    assert_whole(life(bench))


def begin(*words: str, **more: str) -> tuple[int | None, str]:
    """The exit code and the words of a command."""
    done = srv6kv(*words, **more)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    "words",
    [("--version",), ("--help",), ("run", "--help"), ("run", "--no-such"), ("replay", "/nowhere")],
)
def test_words_are_the_same(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says, of its own name too, and its exit code are those of ``python -m srv6kv``."""
    forked = begin(*words)
    monkeypatch.setattr(starts, "is_forking", False)

    assert begin(*words) == forked


def test_environment_and_input_are_the_callers() -> None:
    """What the tests set counts, and what they give is read."""
    unknown = begin(
        "adopt", "--from", "contiv", "--node", "n", "--label", "n", KUBECONFIG="/nowhere"
    )
    read = srv6kv("replay", "-", "--convert", stdin="put 7 /vnf-agent/")

    assert "/nowhere: no credentials" in unknown[1]
    assert read.returncode == 2
    assert "standard input:1: " in read.stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_signals_end_it(bench: Bench, number: signal.Signals) -> None:
    """It is a process that a signal ends; its exit code says so."""
    process = bench.run()
    process.wait_for("INFO sync")
    process.send(number)

    assert process.wait() == (0 if number is signal.SIGTERM else -number)


def test_freezing_lasts(bench: Bench) -> None:
    """One that is stopped has stopped with all threads, and goes on later."""
    process = bench.run()
    process.wait_for("INFO sync")
    process.send(signal.SIGSTOP)
    tasks = [one.read_text() for one in Path(f"/proc/{process.pid}/task").glob("*/stat")]
    process.send(signal.SIGCONT)

    assert tasks
    assert {one.rpartition(") ")[2][0] for one in tasks} == {"T"}
    assert process.stop() == 0


def test_nothing_of_the_tests_is_open_in_it(bench: Bench) -> None:
    """It holds no file of those who forked it: the ends of others can be seen."""
    first, second = bench.run(), bench.run("--label", f"{bench.label}-2")
    second.wait_for("INFO sync")
    opened = {os.readlink(one) for one in Path(f"/proc/{second.pid}/fd").iterdir()}
    others = {os.readlink(one) for one in Path(f"/proc/{first.pid}/fd").iterdir()}

    assert not {one for one in opened & others if one.startswith("pipe:")}


def test_how_python_begins_needs_a_new_one() -> None:
    """An environment that says how Python begins is for a new interpreter."""
    assert starts.is_like_ours(environment(SRV6KV_ETCD="127.0.0.1:1"))
    assert not starts.is_like_ours(environment(PYTHONIOENCODING="ascii"))
    assert not starts.is_like_ours(environment(LC_ALL="C"))


def test_end_of_the_one_that_forks() -> None:
    """It ends when the tests let go of it; what has been asked of it is answered before."""
    forker = starts.Forker()
    with TemporaryFile() as file:
        forked = forker.begin(["--version"], environment(), [file.fileno()] * 3)
        code = forked.wait(60)
        forker.end()
        file.seek(0)

        assert (code, file.read()[:7]) == (0, b"srv6kv,")
