"""``srv6kv run`` and manifests that are not there, empty, or much fewer than before; ``plan`` says
the same of them."""

from __future__ import annotations

import shutil
import time
from contextlib import AbstractContextManager
from pathlib import Path

import inprocess
import pytest
from etcd_server import eventually
from figures import Timed
from history import POLICY, History, State, violations
from processes import NODE, Bench, service, srv6kv

from srv6kv.notes import Kind, Note, Reason, Subject
from srv6kv.run.controller import Controller
from srv6kv.sources.source import ManifestSource
from srv6kv.telemetry.progress import REMIND_SECONDS, Progress

HELD = "(MassDeleteHeld)"
MANY = 30


def running(bench: Bench, again_seconds: float) -> AbstractContextManager[Controller]:
    """The loop of ``run`` in this process; it waits so long for the third list."""
    source = ManifestSource(bench.manifests)
    return inprocess.running(bench, bench.server.endpoint, source, again_seconds=again_seconds)


def add_many(bench: Bench) -> list[Path]:
    """Services that are most of all; their files."""
    names = [f"many{index}" for index in range(MANY)]
    for index, name in enumerate(names):
        bench.edit(f"{name}.yaml", service(name, f"2096::e{index:x}", ["2001:0:0:1::6"]))
    return [bench.manifests / f"{name}.yaml" for name in names]


def wait_until_held(controller: Controller) -> None:
    """Return when a plan is held."""

    def is_held() -> None:
        assert "MassDeleteHeld" in controller.progress.state.warnings

    eventually(is_held, AssertionError)


@pytest.mark.parametrize("left", ["nothing", "no directory", "other files", "a ConfigMap"])
def test_nothing_is_said(bench: Bench, history: History, left: str) -> None:
    """A directory that is empty, away, or holds no object of the cluster takes nothing away; when
    the files are back nothing is put either."""
    saved = bench.folder / "saved"
    with running(bench, 0.1) as controller:
        history.wait_for(bench.expected())
        before = history.last()
        shutil.copytree(bench.manifests, saved)
        shutil.rmtree(bench.manifests)
        if left != "no directory":
            bench.manifests.mkdir()
        if left == "other files":
            bench.edit("README.yaml", "# nothing yet\n")
        if left == "a ConfigMap":
            bench.edit("x.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n")
        if left == "no directory":
            eventually(lambda: _has(controller, Reason.MANIFESTS_UNAVAILABLE), AssertionError)
        else:
            wait_until_held(controller)
        history.wait_for_silence(1.0)

        assert history.last() == before

        shutil.copytree(saved, bench.manifests, dirs_exist_ok=True)
        eventually(lambda: _has_none(controller), AssertionError)
        history.wait_for_silence(0.5)

    assert history.last() == before


def _has(controller: Controller, reason: str) -> None:
    assert reason in controller.progress.state.warnings


def _has_none(controller: Controller) -> None:
    state = controller.progress.state
    assert state.is_node_eligible
    assert state.warnings.keys().isdisjoint({Reason.MANIFESTS_UNAVAILABLE, "MassDeleteHeld"})


def test_nothing_is_said_at_the_start(bench: Bench, history: History) -> None:
    """A start beside an empty directory writes nothing, and ``plan`` prints nothing: neither has
    seen the own Node."""
    assert bench.run("--once").wait() == 0
    history.wait_for(bench.expected())
    before = history.last()
    for file in bench.manifests.iterdir():
        file.unlink()
    process = bench.run()
    process.wait_for("(OwnNodeUnknown)")
    planned = srv6kv("plan", *bench.options())

    assert (planned.returncode, planned.stdout) == (2, "")
    assert "(OwnNodeUnknown)" in planned.stderr
    assert bench.run("--once").wait() != 0
    assert history.last() == before


@pytest.mark.parametrize("again_seconds", [1.0, pytest.param(10.0, marks=pytest.mark.faults)])
def test_mass_delete(bench: Bench, history: History, again_seconds: float, timed: Timed) -> None:
    """Most of the files are deleted one by one: what is more than half waits for two more looks,
    the last one some time later, then goes in order; ``plan`` says that it would be held."""
    files = add_many(bench)
    with running(bench, again_seconds) as controller:
        history.wait_for(bench.expected())
        full = len([key for key in history.state() if key.startswith(POLICY)])
        for file in files:
            file.unlink()
        wait_until_held(controller)
        began = time.monotonic()
        planned = srv6kv("plan", *bench.options())
        kept = len([key for key in history.state() if key.startswith(POLICY)])
        history.wait_for(bench.expected(), 30)
        spent = time.monotonic() - began

    assert 2 * kept >= full
    assert spent >= again_seconds - 0.5
    timed(f"a mass deletion is done, held for {again_seconds} s", spent, again_seconds + 5)
    assert planned.returncode == 1
    assert planned.stdout.count("\ndel ") >= MANY
    assert HELD in planned.stderr
    assert violations(history.revisions()) == []


def test_files_that_come_back_meanwhile(bench: Bench, history: History) -> None:
    """If the files are back before the third look, nothing has gone."""
    files = add_many(bench)
    saved = bench.folder / "saved"
    with running(bench, 3.0) as controller:
        history.wait_for(bench.expected())
        before = history.last()
        shutil.copytree(bench.manifests, saved)
        gone = bench.folder / "gone"
        gone.mkdir()
        for file in files:
            file.rename(gone / file.name)
        wait_until_held(controller)
        shutil.copytree(saved, bench.manifests, dirs_exist_ok=True)
        eventually(lambda: _has_none(controller), AssertionError)
        history.wait_for_silence(0.5)
        whole = bench.expected()

    assert history.state() == whole
    assert history.last() <= before + 2 * MANY


def test_no_node_is_left(bench: Bench, history: History) -> None:
    """Manifests without any Node, however few keys that concerns, take nothing away at once."""
    nodes = bench.manifests / "nodes.yaml"
    saved = nodes.read_text()
    with running(bench, 3.0) as controller:
        history.wait_for(bench.expected())
        before = history.last()
        nodes.unlink()
        wait_until_held(controller)
        bench.edit("nodes.yaml", saved)
        eventually(lambda: _has_none(controller), AssertionError)
        history.wait_for_silence(0.5)

        assert history.last() == before

        nodes.unlink()
        wait_until_held(controller)
        history.wait_for(_without_other_nodes(bench, saved), 30)


def _without_other_nodes(bench: Bench, nodes: str) -> State:
    """What is left: the own Node is kept."""
    own, _, _ = nodes.partition("---\n")
    assert f"name: {NODE}\n" in own
    bench.edit("nodes.yaml", own)
    left = bench.expected()
    (bench.manifests / "nodes.yaml").unlink()
    return left


def test_a_path_that_cannot_be_read(bench: Bench, history: History) -> None:
    """``run`` says so with the path and waits for it, writing nothing; every command that ends does
    so with 2 and prints nothing."""
    bench.manifests.rename(bench.folder / "elsewhere")
    process = bench.run()
    line = process.wait_for("(ManifestsUnavailable)")
    once = bench.run("--once")
    planned = srv6kv("plan", *bench.options())

    assert f" ERROR {bench.manifests}: cannot be read: No such file or directory;" in line
    assert once.wait() == 2
    assert once.lines[-1] == f"srv6kv: {bench.manifests}: cannot be read: No such file or directory"
    assert (planned.returncode, planned.stdout) == (2, "")
    assert once.lines[-1] in planned.stderr
    history.wait_for(bench.foreign)
    assert len(history.revisions()) == len(bench.foreign)

    (bench.folder / "elsewhere").rename(bench.manifests)
    history.wait_for(bench.expected())


def test_it_is_repeated(caplog: pytest.LogCaptureFixture) -> None:
    """As long as a path cannot be read, a line every 30 s says so; other warnings are said once."""
    progress = Progress()
    progress.notes(
        {
            Note(Subject(Kind.FILE, "/there"), Reason.MANIFESTS_UNAVAILABLE, "gone"),
            Note(Subject(Kind.NODE, "x"), Reason.MALFORMED, "bad"),
        }
    )
    now = time.monotonic()
    for seconds in (1, REMIND_SECONDS + 1, REMIND_SECONDS + 2, 2 * REMIND_SECONDS + 2):
        progress.remind(now + seconds)

    assert [record.getMessage() for record in caplog.records if "/there" in record.message] == [
        "/there: gone (ManifestsUnavailable)"
    ] * 3
    assert len([record for record in caplog.records if "Malformed" in record.message]) == 1


COMMANDS = ["render", "plan", "explain", "trace", "simulate", "doctor", "adopt", "vpp-exec"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["-f", "--config"])
def test_every_command(bench: Bench, command: str, option: str) -> None:
    """A path that is named and cannot be read is an error with the path, without output, also if
    another one can be read."""
    absent = bench.folder / "absent"
    words: list[str | Path] = ["-f", bench.manifests]
    if command in ("trace", "simulate"):
        words = [*words, "myservice:80", "--from", NODE]
    else:
        words = [*words, "--node", NODE, *(["myservice"] if command == "explain" else [])]
    if command == "adopt":
        words += ["--from", "contiv"]
    words += [option, absent] if option == "--config" else ["-f", absent, "--config", bench.config]
    done = srv6kv(command, *words)

    assert (done.returncode, done.stdout) == (2, "")
    assert f"{absent}: cannot be read: No such file or directory" in done.stderr
