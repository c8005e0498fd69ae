"""``srv6kv run`` killed again and again in the middle of its work."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from history import History
from invariants import broken
from processes import CHANGED_SERVICE, Bench, drop_writer, service, srv6kv

from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store

ROUNDS = 12
SEED_OF_CHANCE = 20261122
PODS = [f"2001:0:0:1::{number}" for number in (2, 3, 5, 6)]


@pytest.fixture
def bench(tmp_path: Path, etcd: EmbeddedEtcd, store: Etcd3Store, label: str) -> Iterator[Bench]:
    """A node with its wiring in the shared etcd."""
    bench = Bench(tmp_path / "bench", etcd, label)
    bench.load_agent_state(store)
    bench.settings("srv6kv:", "  replaceWindow: 20ms")
    yield bench
    bench.end()


def edit(bench: Bench, chance: random.Random) -> None:
    """Save, change or remove a manifest."""
    match chance.randrange(6):
        case 0:
            bench.edit("myservice.yaml", CHANGED_SERVICE.read_text())
        case 1:
            bench.restore()
        case 2:
            (bench.manifests / "myservice.yaml").unlink(missing_ok=True)
        case 3:
            bench.edit("hosthere.yaml", service("hosthere", "2096::5ce9", ["fd00::101"]))
        case 4:
            bench.edit("hosthere.yaml", service("hosthere", "2096::5ce9", []))
        case _:
            number = chance.randrange(6)
            pods = chance.sample(PODS, chance.randrange(5))
            bench.edit(f"extra-{number}.yaml", service(f"extra-{number}", f"2096::e{number}", pods))


def has_begun(history: History, tenures: int) -> bool:
    """Whether a process has the writer key that did not have it before."""
    return len(history.tenures()) > tenures


def test_killed_at_any_moment(
    bench: Bench,
    store: Etcd3Store,
    etcd: EmbeddedEtcd,
    tmp_path: Path,
) -> None:
    """A process that is killed at any moment, again and again, leaves a state from which a restart
    comes to the bytes of an undisturbed run, and a recording that replays to them."""
    chance = random.Random(SEED_OF_CHANCE)
    history = History(store, bench.label)
    record = tmp_path / "run.txn"
    killed = []
    for number in range(ROUNDS):
        tenures = len(history.tenures())
        process = bench.run("--record", record, "--log-level", "warning")
        if number % 4:
            history.wait(partial(has_begun, history, tenures))
        seen = history.last()
        deadly = threading.Timer(chance.uniform(0.0, 0.9), process.kill)
        deadly.start()
        while process.is_running:
            edit(bench, chance)
            history.wait_for_news(0.05)
        deadly.join()
        drop_writer(store, bench.label)
        killed.append(history.last() - seen)
    last = bench.run("--record", record, "--once")

    assert last.wait() == 0

    history.wait_for(bench.expected())
    print(f"{ROUNDS} kills, of which {sum(map(bool, killed))} after something was written")

    undisturbed = Bench(tmp_path / "other", etcd, f"{bench.label}-undisturbed")
    shutil.rmtree(undisturbed.manifests)
    shutil.copytree(bench.manifests, undisturbed.manifests)
    undisturbed.load_agent_state(store)

    assert undisturbed.run("--once").wait() == 0

    History(store, undisturbed.label).wait_for(history.state())

    assert broken(bench, history) == []
    assert sum(map(bool, killed)) > 2

    replayed = f"{bench.label}-replayed"
    done = srv6kv("replay", record, "--label", replayed, "--etcd", etcd.endpoint)

    assert done.returncode == 0, done.stderr

    ours = {key: value for key, value in history.state().items() if key not in bench.foreign}
    History(store, replayed).wait_for(ours)
