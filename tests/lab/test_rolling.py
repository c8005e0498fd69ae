"""A rolling update of three pods and scaling, under 100 new connections a second from another pod.

What moves a connection is VPP's table of a policy, which has no memory: one that is under way when
an endpoint comes or goes may meet a pod that does not know it, which resets it. docs/limits.md has
the figures.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import pytest
from figures import Figures

from lab.cluster import HTTP, Service
from lab.lab import Lab
from lab.topology import pod
from lab.traffic import Call, Ending, Load, Tally, Target
from srv6kv.ligato import keys

ADDRESS = "2096::60"
POLICY = keys.policy("5555::60")
CLIENT_NODE = 1
RATE = 100
OLD = ("web-1a", "web-2a", "web-2b")
NEW = ("web-1b", "web-1c", "web-2c")
NOTICED = 0.15
"""From a pod that is ready to the end of the one that it replaces, as controllers do it."""
GRACE = 2.0
"""A pod goes on serving so long after SIGTERM."""
STEP = 1.0
CLOCKS = 0.01
"""A call's times and the agent's are of different clocks, read one after the other."""
MOST_LATE = 0.02
"""Of all calls, on a machine with other work: a node's policy may know a pod before that pod's node
has made its rules."""


class Pods:
    """The pods behind one service."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._ended = set[str]()
        self.now = list[str]()

    def set(self, names: Iterable[str]) -> None:
        """Save the service with these endpoints."""
        self.now = list(names)
        service = Service("rolling", (ADDRESS,), tuple(self.now), (HTTP,))
        self._lab.apply(service.name, service.objects())

    def add(self, name: str) -> None:
        """A pod becomes ready."""
        if name in self._ended:
            self._ended.remove(name)
            self._lab.servers.add(self._lab.place(name), name, pod(name).ports)
        self.set([*self.now, name])

    def remove(self, name: str) -> None:
        """A pod gets SIGTERM, ends after its grace, and is gone."""
        self.set(f"{one}-" if one == name else one for one in self.now)
        time.sleep(GRACE)
        self._ended.add(name)
        self._lab.servers.remove(name)
        time.sleep(0.2)
        self.set(one for one in self.now if one != f"{name}-")

    def close(self) -> None:
        """All of them serve, and the service is gone."""
        for name in sorted(self._ended):
            self.add(name)
        self._lab.remove("rolling")
        self._lab.wait_until_programmed()


@pytest.fixture
def pods(lab: Lab) -> Iterator[Pods]:
    """The service with the old pods."""
    made = Pods(lab)
    made.set(OLD)
    lab.wait_until_programmed()
    yield made
    made.close()


@pytest.fixture
def load(lab: Lab, pods: Pods) -> Load:
    """The calls of one pod."""
    return Load(lab.place("client-1"), Target(ADDRESS, 80), RATE)


def _spans(lab: Lab) -> list[tuple[float, float]]:
    """When VPP of the client's node had the policy changed, by the monotonic clock."""
    offset = time.monotonic() - time.time()
    return [
        (start + offset, end + offset)
        for start, end in lab.nodes[CLIENT_NODE].agent.times_of(POLICY)
    ]


def _was_under_way(call: Call, spans: list[tuple[float, float]]) -> bool:
    return any(
        call.began <= end + CLOCKS and start <= call.began + call.seconds + CLOCKS
        for start, end in spans
    )


def _check(what: str, lab: Lab, tally: Tally, figures: Figures) -> None:
    """Nothing is lost, and what is reset was under way when the policy changed."""
    figures.count(what, str(tally))
    resets = [call for call in tally.bad if call.ending is Ending.RESET]
    spans = _spans(lab)

    assert tally.endings[Ending.LOST] == 0, str(tally)
    assert [call for call in resets if not _was_under_way(call, spans)] == []
    assert tally.endings[Ending.SLOW] <= tally.total * MOST_LATE, str(tally)


def test_nothing_happens_without_a_change(load: Load, figures: Figures) -> None:
    """All calls are answered at once or late."""
    with load:
        time.sleep(10)
    figures.count("no change", str(load.tally))

    assert load.tally.answered == load.tally.total


def test_a_rolling_update(lab: Lab, pods: Pods, load: Load, figures: Figures) -> None:
    """Of three pods, one after the other, each of which ends in good order."""
    with load:
        for old, new in zip(OLD, NEW, strict=True):
            pods.add(new)
            time.sleep(NOTICED)
            pods.remove(old)
            time.sleep(STEP)

    _check("a rolling update of 3 pods", lab, load.tally, figures)


def test_scaling(lab: Lab, pods: Pods, load: Load, figures: Figures) -> None:
    """From three pods to six and down to two, one by one."""
    with load:
        for name in NEW:
            pods.add(name)
            time.sleep(STEP)
        for name in (*NEW, OLD[-1]):
            pods.remove(name)
            time.sleep(STEP)

    _check("scaling 3 -> 6 -> 2, 7 changes", lab, load.tally, figures)
