"""Writers that sleep for longer than their lease and wake up beside a rival, by the hundred."""

from __future__ import annotations

import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from figures import Figures
from history import History
from invariants import broken
from processes import CHANGED_SERVICE, SEED, Bench, Process, service

from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store

PAIRS = 10
ROUNDS = 20
TEXTS = [CHANGED_SERVICE.read_text(), (SEED / "manifests" / "myservice.yaml").read_text()]

pytestmark = pytest.mark.faults


class Pair:
    """Two processes for one label, of which the one that writes is frozen again and again."""

    def __init__(self, bench: Bench, store: Etcd3Store, seed: int) -> None:
        self.bench = bench
        self.history = History(store, bench.label)
        self.takeovers: list[float] = []
        self._chance = random.Random(seed)
        self._edits = 0
        self._processes = (bench.run(), bench.run())
        self.history.wait_for(bench.expected(), 60)

    def edit(self) -> None:
        """Save something else than before, twice over."""
        self._edits += 1
        self.bench.edit("myservice.yaml", TEXTS[self._edits % 2])
        extra = service("extra", f"2096::e{self._edits % 4}", ["2001:0:0:1::6"], self._edits)
        self.bench.edit("extra.yaml", extra)

    def round(self) -> None:
        """The writer is frozen at any moment of its work, sleeps until the other has written, and
        wakes up with something to write."""
        sleeper, other = self._roles()
        tenures = len(self.history.tenures())
        self.edit()
        self.history.wait_for_news(self._chance.uniform(0.0, 0.6))
        sleeper.send(signal.SIGSTOP)
        frozen = time.monotonic()
        taken = self.history.wait(lambda: self._writes(other, tenures), 30)
        self.takeovers.append(taken - frozen)
        self.edit()
        self.history.wait_for(self.bench.expected(), 30)
        said = len(sleeper.said("standby: "))
        self.edit()
        sleeper.send(signal.SIGCONT)
        self.history.wait_for(self.bench.expected(), 30)
        sleeper.wait_for("standby: ", 30, times=said + 1)

    def _writes(self, process: Process, tenures: int) -> bool:
        """Whether that process has the writer key since more than so many changes of hands."""
        found = self.history.tenures()
        return len(found) > tenures and found[-1][0].split("/")[1] == str(process.pid)

    def _roles(self) -> tuple[Process, Process]:
        """Who writes, and who does not."""
        one, two = self._processes
        return (one, two) if self._writes(one, 0) else (two, one)


def test_frozen_for_longer_than_the_lease(
    tmp_path: Path, etcd: EmbeddedEtcd, store: Etcd3Store, label: str, figures: Figures, seed: int
) -> None:
    """A writer that is frozen at any moment, for longer than its lease, writes nothing when it
    wakes up beside the one that took over, in 200 rounds; every revision has one author."""
    done, lock = [0], threading.Lock()
    benches = [Bench(tmp_path / str(n), etcd, f"{label}-{n}") for n in range(PAIRS)]

    def rounds(number: int) -> Pair:
        bench = benches[number]
        bench.load_agent_state(store)
        bench.settings("srv6kv:", "  replaceWindow: 0s")
        pair = Pair(bench, store, seed + number)
        for _ in range(ROUNDS):
            pair.round()
            with lock:
                done[0] += 1
                figures.progress("frozen writer", done[0], PAIRS * ROUNDS)
        return pair

    try:
        with ThreadPoolExecutor(PAIRS) as pool:
            pairs = list(pool.map(rounds, range(PAIRS)))
    finally:
        for bench in benches:
            bench.end()
    tenures = [len(pair.history.tenures()) for pair in pairs]
    figures.count("rounds of a writer frozen for longer than its lease, beside a rival", done[0])
    figures.count("revisions in them", sum(len(pair.history.revisions()) for pair in pairs))
    figures.seconds(
        "a rival has taken over after a writer was frozen",
        [spent for pair in pairs for spent in pair.takeovers],
    )

    assert tenures == [ROUNDS + 1] * PAIRS
    assert [fault for pair in pairs for fault in broken(pair.bench, pair.history)] == []
