"""Two processes of ``srv6kv run`` for one label whose etcd is restored from a snapshot, so that
revisions repeat."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from etcd_server import restore, revision_of, save
from figures import Figures
from history import History
from processes import CHANGED_SERVICE, NODE, SEED, Bench, Process

from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store

FEW = 4
MANY = 32
TEXTS = [CHANGED_SERVICE.read_text(), (SEED / "manifests" / "myservice.yaml").read_text()]


class Rounds(ExitStack):
    """Two processes, an etcd and its snapshots.

    Attributes:
        faults: what a process wrote while the writer key was not its own.
        repeated: how often the writer key got the create revision of the one before the restore.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.repeated = 0
        self._folder = folder
        self._chance = random.Random(seed)
        self._edits = 0
        self._server = self.enter_context(EmbeddedEtcd(folder / "etcd"))
        self.bench = Bench(folder / "bench", self._server, NODE)
        self.bench.settings("srv6kv:", "  replaceWindow: 0s")
        self._history = self._follow()
        self.bench.load_agent_state(self._store)
        self._first = save(self._server, folder / "first")
        self.callback(self.bench.end)
        self._processes = [self.bench.run(), self.bench.run()]
        self._history.wait_for(self.bench.expected())

    def round(self, *, is_frozen: bool) -> None:
        """Etcd is restored to before the writer's tenure, or into it, while the writer is frozen or
        at work; a frozen one wakes up with something to write when the other has written."""
        writer, other = self._roles()
        snapshot = self._first
        if self._chance.random() < 0.4:
            snapshot = save(self._server, self._folder / "during")
        self._edit()
        self._history.wait_for_news(self._chance.uniform(0.0, 0.3))
        before = self._tenure()
        if is_frozen:
            writer.send(signal.SIGSTOP)
        lines = {one.pid: len(one.lines) for one in self._processes}
        self._server.kill()
        for process in self._processes:
            if not (is_frozen and process is writer):
                self._wait_for_more(process, "trying again", lines[process.pid])
        lines = {one.pid: len(one.lines) for one in self._processes}
        self._store.close()
        restore(self._server, snapshot)
        self._history = self._follow()
        self._edit()
        self._history.wait_for(self.bench.expected(), 30)
        self.repeated += is_frozen and self._tenure() == before
        self._edit()
        if is_frozen:
            writer.send(signal.SIGCONT)
        self._history.wait_for(self.bench.expected(), 30)
        self._edit()
        self._history.wait_for(self.bench.expected(), 30)
        standby = other if self._roles()[0] is writer else writer
        self._wait_for_more(standby, "standby", lines[standby.pid])
        self.faults += self._strangers(revision_of(self._server, snapshot), lines)

    def _strangers(self, base: int, lines: dict[int, int]) -> list[str]:
        """The revisions since the restore that the process which had the writer key did not make.

        What a process says it has made is no proof by itself: a sleeper may say it of a revision
        from before the restore.
        """
        tenures, faults = self._history.tenures(), []
        for number, _ in self._history.revisions(after=base):
            holders = [
                process
                for process in self._processes
                for identity, first, last in tenures
                if identity.split("/")[1] == str(process.pid)
                and first < number
                and (last is None or number < last)
            ]
            try:
                (holder,) = holders
                self._wait_for_more(holder, f" rev={number} ", lines[holder.pid])
            except (AssertionError, ValueError):
                faults.append(f"{number} was not made by one of {tenures}")
        return faults

    def _follow(self) -> History:
        self._store = Etcd3Store([self._server.endpoint])
        self.callback(self._store.close)
        return History(self._store, self.bench.label)

    def _edit(self) -> None:
        self._edits += 1
        self.bench.edit("myservice.yaml", TEXTS[self._edits % 2])

    def _tenure(self) -> int:
        """The create revision of the writer key."""
        return self._history.tenures()[-1][1]

    def _roles(self) -> tuple[Process, Process]:
        """Who holds the writer key, and who does not."""
        one, two = self._processes
        pid = self._history.tenures()[-1][0].split("/")[1]
        return (one, two) if str(one.pid) == pid else (two, one)

    @staticmethod
    def _wait_for_more(process: Process, text: str, after: int) -> None:
        """Return when a process has said that after so many lines."""
        times = sum(text in line for line in process.lines[:after])
        process.wait_for(text, 10, times=times + 1)


@pytest.fixture
def rounds(tmp_path: Path, seed: int) -> Iterator[Rounds]:
    """Two processes that have brought an etcd in step."""
    with Rounds(tmp_path, seed) as rounds:
        yield rounds


def test_restored_from_a_snapshot(rounds: Rounds) -> None:
    """A writer that slept while etcd was restored and another took over at the same revision
    writes nothing when it wakes up; nor does one that was at work."""
    for number in range(FEW):
        rounds.round(is_frozen=number % 2 == 0)

    assert rounds.faults == []
    assert rounds.repeated > 0


@pytest.mark.faults
def test_restored_again_and_again(rounds: Rounds, figures: Figures) -> None:
    """The same in many rounds."""
    started = time.monotonic()
    for number in range(1, MANY + 1):
        rounds.round(is_frozen=number % 3 > 0)
        figures.progress("restored from a snapshot", number, MANY)
    figures.count("rounds of an etcd restored from a snapshot beside two processes", MANY)
    figures.count("of these, with a writer key of the same create revision", rounds.repeated)
    print(f"took {time.monotonic() - started:.0f} s")

    assert rounds.faults == []


def test_lower_revision_is_a_lost_lease(
    start_etcd: Callable[..., EmbeddedEtcd], connect: Callable[..., Etcd3Store], tmp_path: Path
) -> None:
    """A server whose revision is lower than one that was seen before has other data: the writer key
    is lost even if its key and lease are in the snapshot."""
    server = start_etcd()
    store = connect(server.endpoint)
    writer = store.acquire("n1", "the test", ttl=60)
    assert writer is not None
    snapshot = save(server, tmp_path / "snapshot")
    store.put("/srv6kv/n1/a", "1")
    restore(server, snapshot)
    held = store.holder("n1")

    assert held == "the test"
    assert writer.lost.is_set()
