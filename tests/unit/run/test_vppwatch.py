"""When VPP is looked at, and what it is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from queue import SimpleQueue
from typing import cast

import pytest

from srv6kv.agent.rest import AgentRest
from srv6kv.agent.status import ValueStatus
from srv6kv.errors import Unavailable
from srv6kv.run.vppwatch import Look, VppWatch
from srv6kv.vpp.uptime import CLOCK, INTERFACES

SECONDS = 15.0
TURNS = 50
POLICIES = "show sr policies"
SOURCE = "show sr encaps source addr"


class FakeRest:
    """An agent with an empty VPP; the test says of which command there is no answer."""

    url = "http://agent"

    def __init__(self, failing: str = "") -> None:
        self.failing = failing
        self.uptime, self.source = 100.0, "fe10::1"
        self.asked: list[str] = []
        self.turns: SimpleQueue[None] = SimpleQueue()

    def statuses(self) -> dict[str, ValueStatus]:
        """None."""
        self.asked.append("statuses")
        return {}

    def vpp_command(self, command: str) -> str:
        """What VPP prints."""
        self.asked.append(command)
        if command == CLOCK:
            self.turns.put(None)
        if command == self.failing:
            raise Unavailable("no answer")
        return {
            CLOCK: f"Time now {self.uptime}",
            INTERFACES: "eth0 1 up 9000/0/0/0\n",
            POLICIES: "SR policies:\n",
            "show sr localsids": "SRv6 - My LocalSID Table:\n=====\n",
            "show sr steering-policies": "SR steering policies:\nTraffic\t\tSR policy BSID\n",
            SOURCE: f"SR encaps source addr = {self.source}\n",
        }[command]


class Bench:
    """A watch and what it has found."""

    def __init__(self) -> None:
        self.watches: list[VppWatch] = []
        self.looks: SimpleQueue[Look] = SimpleQueue()

    def begin(self, rest: FakeRest) -> VppWatch:
        """Ask this agent, without pauses."""
        self.watches.append(VppWatch(cast(AgentRest, rest), self.looks.put, 0.001))
        return self.watches[-1]


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Watches that end with the test."""
    bench = Bench()
    yield bench
    for watch in bench.watches:
        watch.stop()


def test_policies_are_asked_for_last(bench: Bench) -> None:
    """VPP 23.06 leaks memory by it, so that it is not done where anything else fails."""
    rest = FakeRest()
    bench.begin(rest)
    bench.looks.get(timeout=SECONDS)
    last = rest.asked.index(POLICIES)

    assert rest.asked[1:3] == ["statuses", INTERFACES]
    assert {"show sr localsids", "show sr steering-policies"} <= set(rest.asked[:last])


def test_a_look_that_fails_is_not_repeated_at_once(bench: Bench) -> None:
    """VPP's uptime is asked as ever; the rest after a second, two, four."""
    rest = FakeRest(failing=POLICIES)
    watch = bench.begin(rest)
    for _ in range(TURNS):
        rest.turns.get(timeout=SECONDS)
    count = Counter(rest.asked)

    assert count[CLOCK] >= TURNS
    assert count[POLICIES] <= 2
    assert not watch.is_blind
    rest.failing = ""
    assert bench.looks.get(timeout=SECONDS).interfaces == 1


def test_a_watch_that_fails_for_long_is_blind(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was seen before counts no more; until a look succeeds."""
    monkeypatch.setattr("srv6kv.run.vppwatch.BLIND_SECONDS", 0.0)
    rest = FakeRest(failing=CLOCK)
    watch = bench.begin(rest)
    for _ in range(2):
        rest.turns.get(timeout=SECONDS)
    before = watch.is_blind
    rest.failing = ""
    bench.looks.get(timeout=SECONDS)

    assert before
    assert not watch.is_blind


def test_another_labels_agent_is_not_asked_for_its_vpp(bench: Bench) -> None:
    """Its states say whose it is."""
    rest = FakeRest(failing=CLOCK)
    watch = bench.begin(rest)
    watch.own = frozenset({"config/ours"})
    rest.failing = ""
    look = bench.looks.get(timeout=SECONDS)

    assert look.shown is None
    assert POLICIES not in rest.asked


def test_a_vpp_without_encap_source_is_asked_for_that_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it has one everything is asked for again."""
    monkeypatch.setattr("srv6kv.run.vppwatch.LEAST_SECONDS", 0.01)
    rest = FakeRest()
    rest.source = "::"
    bench.begin(rest)
    bench.looks.get(timeout=SECONDS)
    for _ in range(TURNS):
        rest.turns.get(timeout=SECONDS)
    count = Counter(rest.asked)
    rest.source = "fe10::1"
    look = bench.looks.get(timeout=SECONDS)

    assert count[POLICIES] == 1
    assert count[SOURCE] > 1
    assert look.shown is not None
    assert look.shown.encap_source == "fe10::1"
