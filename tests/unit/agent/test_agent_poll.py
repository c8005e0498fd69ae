"""The agent is asked again and again by a thread that no answer stops."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

import pytest
from booted import started, wiring
from etcd_server import SECONDS
from test_agent_rest import STATUS, Server, reply

from srv6kv.agent import poll
from srv6kv.agent.poll import Poll, Polled
from srv6kv.agent.rest import AgentRest
from srv6kv.run.agentwatch import AgentWatch
from srv6kv.sync import rollout

GOOD = reply(json.dumps([STATUS]).encode())


class Heard:
    """What was called back, for a test to wait for."""

    def __init__(self) -> None:
        self.answers: list[Polled] = []
        self._condition = threading.Condition()

    def __call__(self, answer: Polled) -> None:
        with self._condition:
            self.answers.append(answer)
            self._condition.notify_all()

    def wait(self, number: int) -> None:
        """Return when that many answers have come."""
        with self._condition:
            if not self._condition.wait_for(lambda: len(self.answers) >= number, SECONDS):
                raise AssertionError(f"only {len(self.answers)} came: {self.answers}")


@contextmanager
def polling(
    serve: Callable[[socket.socket], None], timeout: float = 1.0
) -> Iterator[tuple[Server, Poll, Heard]]:
    """A server that is asked."""
    server, heard = Server(serve), Heard()
    asking = Poll(AgentRest(server.url, timeout=timeout), heard)
    try:
        yield server, asking, heard
    finally:
        asking.stop()
        server.stop()


@pytest.fixture(autouse=True)
def hurried_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls a hundred times as often."""
    for name in ("POLL_SECONDS", "HURRY_SECONDS", "MOST_SECONDS"):
        monkeypatch.setattr(poll, name, getattr(poll, name) / 100)


def test_the_same_answer_is_told_once() -> None:
    """Unless a change waits for it: then every answer is, with the time when it was asked for."""
    with polling(lambda connection: connection.sendall(GOOD)) as (server, asking, heard):
        assert asking.has_answered.wait(SECONDS)
        server.wait(5)
        assert len(heard.answers) == 1
        asking.hurry(True)
        heard.wait(4)
        asking.hurry(False)

    assert all(one == heard.answers[0] for one in heard.answers)
    times = [one.asked for one in heard.answers]
    assert times == sorted(set(times))


def test_an_agent_that_is_away_and_comes_back() -> None:
    """The outage is told once, and its end; meanwhile it is asked less and less often."""
    is_away = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.sendall(reply(b"{}", "503 Away") if is_away.is_set() else GOOD)

    with polling(serve) as (server, _, heard):
        heard.wait(1)
        is_away.set()
        heard.wait(2)
        asked = len(server.asked)
        server.wait(asked + 4)
        told = len(heard.answers)
        is_away.clear()
        heard.wait(3)

    assert told == 2
    assert [bool(one.trouble) for one in heard.answers] == [False, True, False]
    assert "503 Away" in heard.answers[1].trouble


def test_it_is_not_hurried_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may write no more after a part of a plan makes no next plan, and still asks only as
    long as something is waited for."""
    monkeypatch.setattr(poll, "POLL_SECONDS", 60.0)
    monkeypatch.setattr(rollout, "CONFIRM_SECONDS", 0.2)
    server = Server(lambda connection: connection.sendall(GOOD))
    answers: SimpleQueue[Polled] = SimpleQueue()
    reconciler = started("", wiring(5))
    watch = AgentWatch(reconciler, AgentRest(server.url, timeout=1.0))
    watch.start(answers)
    try:
        watch.receive(answers.get(timeout=SECONDS))
        part = watch.next_part(reconciler.plan())
        watch.committed(part.plan.transactions[0], 6)
        is_calm = falls_silent(answers, watch)
    finally:
        watch.stop()
        server.stop()

    assert not part.is_last
    assert is_calm
    assert len(server.asked) > 3


def falls_silent(answers: SimpleQueue[Polled], watch: AgentWatch) -> bool:
    """Whether answers, which are taken in, stop coming."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            watch.receive(answers.get(timeout=0.5))
        except Empty:
            return True
    return False


def test_it_ends_at_once(no_thread_is_left: None) -> None:
    """A question that is under way is not waited for, and nothing is told after the end."""
    release = threading.Event()

    def hang(_connection: socket.socket) -> None:
        release.wait(SECONDS)

    with polling(hang, timeout=SECONDS) as (server, asking, heard):
        server.wait(1)
        asking.stop()
        assert "srv6kv-agent" in {one.name for one in threading.enumerate()}
        release.set()
        asking.join()

    assert heard.answers == []
