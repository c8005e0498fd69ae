"""``srv6kv run`` while etcd is away, frozen or not there yet."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from figures import Timed
from history import History
from invariants import broken
from processes import Bench, Process

from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store

Connect = Callable[..., Etcd3Store]
TRYING = "trying again"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedEtcd]:
    """An etcd of the test's own that does not run yet."""
    server = EmbeddedEtcd(tmp_path / "etcd")
    yield server
    server.resume()
    server.kill()


@pytest.fixture
def bench(tmp_path: Path, server: EmbeddedEtcd) -> Iterator[Bench]:
    """A node whose etcd does not run yet."""
    bench = Bench(tmp_path, server, "node1")
    yield bench
    bench.end()


def load(bench: Bench, connect: Connect) -> None:
    """Start etcd and give the node its wiring."""
    bench.server.start()
    bench.load_agent_state(connect(bench.server.endpoint))


def in_step(bench: Bench, connect: Connect) -> History:
    """All that etcd has gone through, as soon as it holds what it should."""
    history = History(connect(bench.server.endpoint), bench.label)
    history.wait_for(bench.expected())
    return history


def running(bench: Bench, connect: Connect) -> Process:
    """A process that has brought a fresh etcd in step."""
    load(bench, connect)
    process = bench.run()
    in_step(bench, connect)
    return process


def test_away_at_start(bench: Bench, connect: Connect) -> None:
    """If etcd is away at the start, it waits, says so once, and goes on when etcd is there."""
    load(bench, connect)
    bench.server.stop()
    process = bench.run()
    process.wait_for(TRYING)
    bench.server.start()
    history = in_step(bench, connect)

    assert len(process.said(TRYING)) == 1
    assert process.said(TRYING)[0].count("\n") == 0
    assert len(history.revisions()) == len(bench.foreign) + 1


def test_away_later(bench: Bench, connect: Connect, timed: Timed) -> None:
    """What changes while etcd is away is written when it is back, in one revision."""
    load(bench, connect)
    process = bench.run()
    before = in_step(bench, connect).last()
    bench.server.kill()
    process.wait_for(TRYING)
    bench.change()
    (bench.manifests / "podthere.yaml").unlink()
    bench.server.start()
    started = time.monotonic()
    history = in_step(bench, connect)
    spent = time.monotonic() - started

    timed("in sync after etcd is back", spent, 3.0)
    assert len(history.revisions(after=before)) == 1
    assert len(process.said(TRYING)) == 1
    assert broken(bench, history) == []


def test_away_for_longer_than_the_lease(bench: Bench, connect: Connect, timed: Timed) -> None:
    """A process that gave its writer key up for lost does not wait for itself when etcd is back."""
    process = running(bench, connect)
    bench.server.kill()
    process.wait_for("no longer the writer")
    bench.change()
    bench.server.start()
    started = time.monotonic()
    history = in_step(bench, connect)
    spent = time.monotonic() - started

    timed("in sync after etcd is back, later than the lease", spent, 3.0)
    assert process.said("standby") == []
    assert [identity.split("/")[1] for identity, _, _ in history.tenures()] == [
        str(process.pid)
    ] * 2


def test_frozen(bench: Bench, connect: Connect) -> None:
    """An etcd that answers nothing for a while is an etcd that is away."""
    process = running(bench, connect)
    bench.server.pause()
    bench.change()
    process.wait_for(TRYING)
    bench.server.resume()
    history = in_step(bench, connect)

    assert broken(bench, history) == []


def test_fresh_etcd(bench: Bench, connect: Connect, tmp_path: Path) -> None:
    """If etcd comes back empty, everything of ours is written again."""
    process = running(bench, connect)
    bench.server.kill()
    process.wait_for(TRYING)
    (tmp_path / "etcd" / "data").rename(tmp_path / "old")
    bench.foreign.clear()
    bench.server.start()
    history = in_step(bench, connect)

    assert len(history.revisions()) == 1


def test_stop_while_etcd_is_away(bench: Bench, timed: Timed) -> None:
    """SIGTERM ends it with exit code 0, also while it waits for etcd."""
    process = bench.run()
    process.wait_for(TRYING)

    started = time.monotonic()

    assert process.stop() == 0
    timed("the end after SIGTERM while etcd is away", time.monotonic() - started, 2.0)


def test_stop_while_etcd_is_frozen(bench: Bench, connect: Connect, timed: Timed) -> None:
    """SIGTERM ends it with exit code 0, also while etcd answers nothing, then or later."""
    process = running(bench, connect)
    bench.server.pause()
    bench.change()
    process.wait_for(TRYING)

    started = time.monotonic()

    assert process.stop() == 0
    timed("the end after SIGTERM while etcd is frozen", time.monotonic() - started, 2.0)


def test_interrupt(bench: Bench, connect: Connect) -> None:
    """SIGINT ends it as SIGTERM does."""
    process = running(bench, connect)
    process.send(signal.SIGINT)

    assert process.wait() == 0


@pytest.mark.faults
def test_older_etcd(bench: Bench, connect: Connect, tmp_path: Path) -> None:
    """If etcd comes back with older data, whose revisions and leases are of the past, everything is
    brought in step again."""
    process = running(bench, connect)
    data = tmp_path / "etcd" / "data"
    bench.server.stop()
    shutil.copytree(data, tmp_path / "older")
    bench.server.start()
    bench.change()
    in_step(bench, connect)
    bench.server.kill()
    shutil.rmtree(data)
    (tmp_path / "older").rename(data)
    bench.server.start()
    history = in_step(bench, connect)
    code = process.stop()

    assert code == 0
    assert broken(bench, history) == []
