"""``repair``, ``adopt`` and ``cleanup``, killed at any moment or frozen beside a rival.

What they must not break are the invariants of ``run``; only that a repair takes away and puts again
what is there is its work. Whoever comes after them ends at the bytes of an undisturbed run.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pytest
from contivs import left_by_contiv
from figures import Figures
from history import POLICY, History, State
from invariants import SHARED, broken, in_tenures, usurped
from processes import Bench, Process, drop_writer
from repaired import begin, write
from repairing import moved_alike, renamed
from tcp_proxy import TcpProxy

from srv6kv.agent.needs import Means
from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store
from srv6kv.repair.ground import Ground
from srv6kv.repair.means import plan_repair
from srv6kv.repair.repairer import Repairer

COMMANDS = {
    "adopt": ("adopt", "--from", "contiv"),
    "cleanup": ("cleanup",),
    "recreate": ("repair", "--means", "recreate", "--batch", "2", "--pause", "0.1"),
    "rebind": ("repair", "--means", "rebind"),
    "rewrite": ("repair", "--means", "rewrite"),
    "resend": ("repair", "--means", "resend"),
}
DELAY = 0.02
"""Seconds that the network takes one way, so that there are moments between the steps."""
LONGEST = {"recreate": 1.5, "rebind": 1.0, "rewrite": 3.0}
"""Seconds of work, roughly; of the others it is a third of one."""
KILLS = 20
FREEZES = 10


@dataclass(slots=True)
class Field:
    """Where ordeals take place: a real etcd."""

    folder: Path
    etcd: EmbeddedEtcd
    store: Etcd3Store
    label: str


class Ordeal:
    """One node, and a command at work on it.

    Attributes:
        is_hit: whether the command had the writer key when it was struck, and was not done.
    """

    def __init__(self, name: str, field: Field, seed: str) -> None:
        self.name = name
        self.is_hit = False
        self._store = field.store
        self._chance = random.Random(f"{name} {seed}")
        self._commands: list[Process] = []
        self._proxy = TcpProxy(field.etcd.endpoint)
        self._proxy.delay = DELAY
        label = f"{field.label}-{name}-{seed.replace(' ', '-')}"
        self.bench = Bench(field.folder / label, field.etcd, label)
        self.bench.settings("srv6kv:", "  replaceWindow: 0s")
        self.bench.load_agent_state(field.store)
        self.history = History(field.store, label)
        self._theirs: frozenset[str] = frozenset()
        if name == "adopt":
            self._theirs = left_by_contiv(self.bench, field.store, self.history)
        else:
            write(self.bench, field.store)

    def close(self) -> None:
        """End what is still running."""
        self.bench.end()
        self._proxy.close()

    def kill(self) -> None:
        """The command is killed at any moment, and its lease runs out."""
        command = self._strike()
        command.kill()
        drop_writer(self._store, self.bench.label)

    def freeze(self, *, rival_stays: bool) -> int:
        """The command is frozen at any moment, for longer than its lease, and wakes up when a rival
        has written for a cluster that has changed, and goes on to write or has ended.

        Returns:
            The exit code of the command.
        """
        command = self._strike()
        if command.is_running:
            command.send(signal.SIGSTOP)
        drop_writer(self._store, self.bench.label)
        (self.bench.manifests / "myservice.yaml").unlink()
        rival = self.bench.run()
        self._reach()
        if not rival_stays:
            assert rival.stop() == 0
        if command.is_running:
            command.send(signal.SIGCONT)
        code = command.wait(60)
        if rival_stays:
            self._reach()
            assert rival.stop() == 0
        self.history.catch_up()
        assert usurped(self.history, rival) == []
        return code

    def recover(self) -> None:
        """Do again what was not done, then let a sidecar look; nothing is left to do."""
        if self.name in ("adopt", "cleanup"):
            again = self._command()
            assert again.wait(60) == 0, again.lines
            self.history.wait(lambda: self._state().keys().isdisjoint(self._theirs))
        if self.name == "cleanup":
            self.history.wait(lambda: self._state().keys() <= self.bench.foreign.keys() | SHARED)
        sidecar = self.bench.run("--once")
        assert sidecar.wait(60) == 0, sidecar.lines
        self._reach()
        before = self.history.last()
        write(self.bench, self._store)
        self.history.catch_up()
        assert self.history.last() == before

    def breaches(self) -> list[str]:
        """Every breach of an invariant."""
        repairs = self._commands if COMMANDS[self.name][0] == "repair" else []
        return broken(self.bench, self.history, repairs=repairs, theirs=self._theirs)

    def written(self) -> int:
        """How many revisions the commands have made."""
        revisions = self.history.revisions()
        return sum(len(in_tenures(self.history, one, revisions)) for one in self._commands)

    def _strike(self) -> Process:
        """The command, at some moment of its work or of its beginning."""
        command = self._command()
        seconds = LONGEST.get(self.name, 0.3)
        if self._chance.random() < 0.2:
            seconds = 1.0
        else:
            while command.is_running and not self._is_writer(command):
                self.history.wait_for_news(0.02)
        until = time.monotonic() + self._chance.uniform(0.0, seconds)
        while command.is_running and (left := until - time.monotonic()) > 0:
            self.history.wait_for_news(min(left, 0.05))
        self.is_hit = command.is_running and self._is_writer(command)
        return command

    def _command(self) -> Process:
        word, *more = COMMANDS[self.name]
        etcd = ("--etcd", self._proxy.endpoint)
        options = [*self.bench.options()[:-2], *etcd] if word == "adopt" else []
        process = Process(word, *(options or ("--label", self.bench.label, *etcd)), *more)
        self.bench.processes.append(process)
        self._commands.append(process)
        return process

    def _is_writer(self, process: Process) -> bool:
        tenures = self.history.tenures()
        return (
            bool(tenures)
            and tenures[-1][2] is None
            and tenures[-1][0].split("/")[1] == str(process.pid)
        )

    def _state(self) -> State:
        return self.history.state()

    def _reach(self) -> None:
        """Return when etcd holds what the manifests say, but for BSIDs that were moved and for what
        only adopt takes away."""

        def is_reached() -> bool:
            state, wanted = self._state(), self.bench.expected()
            if self.name == "rebind":
                wanted = renamed(wanted, moved_alike(wanted, state))
            found = state.keys() & self._theirs
            return state == wanted | {key: state[key] for key in found}

        self.history.wait(is_reached, 30)
        self.history.catch_up()


@pytest.fixture
def field(tmp_path: Path, etcd: EmbeddedEtcd, store: Etcd3Store, label: str) -> Field:
    """The shared etcd."""
    return Field(tmp_path, etcd, store, label)


def killed(name: str, field: Field, seed: str) -> Ordeal:
    """A command is killed; what comes after it ends well."""
    ordeal = Ordeal(name, field, f"kill {seed}")
    try:
        ordeal.kill()
        ordeal.recover()
    finally:
        ordeal.close()
    return ordeal


def frozen(name: str, field: Field, seed: str, *, rival_stays: bool) -> Ordeal:
    """A command is frozen; what comes after it ends well."""
    ordeal = Ordeal(name, field, f"freeze {seed} {rival_stays}")
    try:
        code = ordeal.freeze(rival_stays=rival_stays)
        assert code in (0, 1, 3)
        ordeal.recover()
    finally:
        ordeal.close()
    return ordeal


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_killed(name: str, field: Field, seed: int) -> None:
    """Whatever moment a command is killed at, no invariant is broken at any revision, and what was
    begun is completed by the next."""
    assert killed(name, field, str(seed)).breaches() == []


@pytest.mark.parametrize("rival_stays", [True, False], ids=["rival-writes", "rival-has-ended"])
@pytest.mark.parametrize("name", ["cleanup", "rewrite", "resend"])
def test_frozen(name: str, field: Field, seed: int, *, rival_stays: bool) -> None:
    """A command that has slept while a rival wrote breaks nothing that the rival has made."""
    assert frozen(name, field, str(seed), rival_stays=rival_stays).breaches() == []


def test_sleeper_does_not_bring_back_what_has_gone(
    bench: Bench, store: Etcd3Store, history: History
) -> None:
    """A repair that is frozen while a key is away does not put it back if another process has
    written meanwhile: its service may be gone, and the localsid that it needs too."""
    write(bench, store)
    key = f"{POLICY}5555::d765"
    history.wait_for(bench.expected())
    process = begin(bench, "--means", "rewrite", "--key", key)
    history.wait(lambda: key not in history.state())
    process.send(signal.SIGSTOP)
    drop_writer(store, bench.label)
    (bench.manifests / "myservice.yaml").unlink()
    assert bench.run("--once").wait() == 0
    history.wait_for(bench.expected())
    before = history.last()
    process.send(signal.SIGCONT)

    assert process.wait() == 3
    assert process.said("2 keys may not be put back, ")
    assert process.said("another process has written for")
    assert process.said("'srv6kv run' writes them again")
    history.catch_up()
    assert history.last() == before
    assert broken(bench, history, repairs=[process]) == []


def test_what_goes_before_it_has_the_writer_key_is_no_leftover(
    bench: Bench, store: Etcd3Store, history: History
) -> None:
    """A key that is deleted between a repair's first look and its turn to write is not taken for
    one that only the agent has: nothing is put there to clear it."""
    write(bench, store)
    ground = Ground(bench.label)
    snapshot = store.read(ground.prefixes)
    ground.read(snapshot.entries, snapshot.revision)
    task = {Means.RESEND: frozenset(ground.ours())}
    (bench.manifests / "myservice.yaml").unlink()
    write(bench, store)
    history.wait_for(bench.expected())
    before = history.state()
    gone = f"{POLICY}5555::d765"
    repairer = Repairer(
        store,
        ground,
        states=lambda: None,
        pause=0.0,
        came=[],
        begins=lambda _: None,
        advances=lambda _: None,
    )
    repairer.begin()
    repairer.do(task, plan_repair)
    repairer.end()
    history.catch_up()

    assert repairer.commits == 1
    assert history.state() == before
    assert [value is None for value in history.values(gone)] == [False, True]


@pytest.mark.faults
def test_by_the_hundred(field: Field, figures: Figures, seed: int) -> None:
    """The same for many moments of each command."""
    lock, done = threading.Lock(), [0]
    tasks = [
        (name, kind, n)
        for name in COMMANDS
        for kind in ("kill", "freeze")
        for n in range(KILLS if kind == "kill" else FREEZES)
    ]

    def ordeal(task: tuple[str, str, int]) -> Ordeal:
        name, kind, number = task
        if kind == "kill":
            found = killed(name, field, f"{seed} {number}")
        else:
            found = frozen(name, field, f"{seed} {number}", rival_stays=number % 2 == 0)
        with lock:
            done[0] += 1
            figures.progress("commands killed or frozen", done[0], len(tasks))
        return found

    with ThreadPoolExecutor(3) as pool:
        ordeals = list(pool.map(ordeal, tasks))
    hits = [one for one in ordeals if one.is_hit]
    figures.count(f"repair, adopt and cleanup killed, seed {seed}", KILLS * len(COMMANDS))
    figures.count("the same frozen beside a rival", FREEZES * len(COMMANDS))
    figures.count("of these while it had the writer key and was not done", len(hits))
    figures.count("revisions that the commands have made", sum(one.written() for one in ordeals))

    assert list(chain.from_iterable(one.breaches() for one in ordeals)) == []
    assert len(hits) > len(ordeals) / 3
