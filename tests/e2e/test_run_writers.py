"""Two processes of ``srv6kv run`` for one label: never both write."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from figures import Timed
from history import History
from invariants import broken, written_by
from processes import CHANGED_SERVICE, SEED, Bench, drop_writer, service

from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store
from srv6kv.run.controller import STANDBY_SECONDS

TEXTS = [CHANGED_SERVICE.read_text(), (SEED / "manifests" / "myservice.yaml").read_text()]


@pytest.fixture
def bench(tmp_path: Path, etcd: EmbeddedEtcd, store: Etcd3Store, label: str) -> Iterator[Bench]:
    """A node with its wiring in the shared etcd."""
    bench = Bench(tmp_path, etcd, label)
    bench.load_agent_state(store)
    bench.settings("srv6kv:", "  replaceWindow: 0s")
    yield bench
    bench.end()


def edit(bench: Bench, history: History, number: int) -> None:
    """Save one version of myservice or the other, and wait until it is written."""
    bench.edit("myservice.yaml", TEXTS[number % 2])
    history.wait_for(bench.expected())


def test_second_process_stands_by(bench: Bench, history: History, timed: Timed) -> None:
    """A second process for a label says who writes and writes nothing; as soon as the first ends
    in good order it takes over."""
    first = bench.run()
    history.wait_for(bench.expected())
    second = bench.run()
    second.wait_for(f"standby: {history.tenures()[0][0]} writes for {bench.label}")
    edit(bench, history, 0)
    first.send(signal.SIGTERM)
    first.wait()
    started = time.monotonic()
    second.wait_for("session revision=")
    spent = time.monotonic() - started
    edit(bench, history, 1)
    second.wait_for("sync put=")

    timed("a standby has taken over after the end of the writer", spent, 2.0)
    assert len(second.said("standby")) == 1
    assert [len(written_by(process)) for process in (first, second)] == [2, 1]
    assert broken(bench, history) == []


def test_killed_process_is_followed(bench: Bench, history: History, timed: Timed) -> None:
    """If the first process is killed, the second takes over when its lease has run out, and
    without a change writes nothing."""
    first = bench.run()
    history.wait_for(bench.expected())
    second = bench.run()
    second.wait_for("standby: ")
    seen = history.last()
    first.kill()
    started = time.monotonic()
    second.wait_for("session revision=")
    spent = time.monotonic() - started

    assert history.last() == seen
    timed("a standby has taken over after the writer was killed", spent, 7.5)

    edit(bench, history, 0)

    assert broken(bench, history) == []


def test_frozen_process_does_not_write(bench: Bench, store: Etcd3Store, history: History) -> None:
    """A process that sleeps while its lease ends and another takes over writes nothing when it
    wakes up, although it has changes to write."""
    first = bench.run()
    history.wait_for(bench.expected())
    second = bench.run()
    second.wait_for("standby: ")
    for number in range(4):
        sleeper, other = (first, second) if number % 2 == 0 else (second, first)
        sleeper.send(signal.SIGSTOP)
        drop_writer(store, bench.label)
        other.wait_for("session revision=", times=1 + number // 2 + (other is first))
        edit(bench, history, number)
        said = len(sleeper.said("standby: "))
        sleeper.send(signal.SIGCONT)
        bench.edit("extra.yaml", service("extra", f"2096::e{number}", ["2001:0:0:1::6"]))
        history.wait_for(bench.expected())
        sleeper.wait_for("standby: ", times=said + 1)

    assert len(history.tenures()) == 5
    assert broken(bench, history) == []


def test_looks_again_before_it_writes(bench: Bench, store: Etcd3Store, history: History) -> None:
    """A process that takes over looks at the cluster once more before it writes: the one before may
    have seen, and written, what it has not."""
    clock = "2096::e9"
    bench.edit("clock.yaml", service("clock", clock, ["2001:0:0:1::6"], 1000))
    first = bench.run()
    history.wait_for(bench.expected())
    second = bench.run()
    second.wait_for("standby: ")
    for number in range(4):
        sleeper, other = (first, second) if number % 2 else (second, first)
        sleeper.send(signal.SIGSTOP)
        bench.edit("clock.yaml", service("clock", clock, ["2001:0:0:1::6"], 1001 + number))
        history.wait_for(bench.expected())
        history.wait_for_silence(STANDBY_SECONDS)
        plans = len(sleeper.said("plumbing found="))
        other.send(signal.SIGSTOP)
        drop_writer(store, bench.label)
        sleeper.send(signal.SIGCONT)
        sleeper.wait_for("plumbing found=", times=plans + 1)
        other.send(signal.SIGCONT)

    assert history.state() == bench.expected()
    assert broken(bench, history, clock=clock) == []


def test_three_processes_under_edits(bench: Bench, store: Etcd3Store, history: History) -> None:
    """However often the writer key changes hands under a stream of edits, each revision is made by
    the process that holds it, and the end is the same."""
    processes = [bench.run() for _ in range(3)]
    history.wait_for(bench.expected())
    for number in range(12):
        bench.edit("myservice.yaml", TEXTS[number % 2])
        if number % 3 == 0:
            drop_writer(store, bench.label)
        address = f"2096::b{number % 4}"
        bench.edit("extra.yaml", service("extra", address, ["2001:0:0:1::6"]))
        history.wait_for(bench.expected())

    assert broken(bench, history) == []
    assert len([one for one in processes if written_by(one)]) > 1
