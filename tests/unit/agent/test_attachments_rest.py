"""AttachmentKeys over the agent's REST server, as it answers on loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from agentmodel import Agent, FakeVpp, serve
from clusters import base_keys, pod_address, pod_keys, sandbox_of
from figures import Figures, Timed
from test_agent_rest import Server, reply

from srv6kv.agent import poll as polling
from srv6kv.agent.attachments import STEADY_SECONDS
from srv6kv.agent.poll import AttachmentPoll
from srv6kv.agent.rest import AgentRest
from srv6kv.cluster.attachment import Attachment, AttachmentKeys
from srv6kv.errors import Unavailable

POD = pod_address(1, 5)
ARP = f"config/vpp/v2/arp/vpp-tap-{sandbox_of(POD)}/{POD}"
KEYS = base_keys(1, "fe10:f00d::1") | pod_keys(POD)


def texts(number: int = 1) -> dict[str, bytes]:
    """The wiring of so many pods."""
    found = KEYS
    for host in range(5, 5 + number):
        found = found | pod_keys(pod_address(1, host))
    return {key: json.dumps(value).encode() for key, value in found.items()}


@dataclass
class Node:
    """An agent that is configured in process."""

    agent: Agent
    rest: AgentRest

    def poll(self) -> AttachmentPoll:
        return AttachmentPoll(self.rest)

    def ask(self, poll: AttachmentPoll) -> dict[str, bytes]:
        """One round of questions."""
        return dict(poll.ask(self.rest.statuses()).values)


@contextmanager
def node(
    version: tuple[int, int] = (3, 5), given: dict[str, bytes] | None = None
) -> Iterator[Node]:
    """A node whose agent has lived long enough."""
    agent = Agent(FakeVpp(), "v3" if version >= (3, 0) else "v2", version)
    agent.resync({})
    agent.give(texts() if given is None else given)
    agent.born = int(time.time() - STEADY_SECONDS) - 1
    lock = threading.RLock()
    with serve(agent, lock) as url:
        yield Node(agent, AgentRest(url))


@pytest.mark.parametrize("version", [(2, 5), (3, 1), (3, 2), (3, 5)])
def test_the_values_of_every_agent(version: tuple[int, int]) -> None:
    """In whatever form it answers, the pod hangs where etcd's keys would say."""
    with node(version) as found:
        values = found.rest.attachments()

    wiring = AttachmentKeys()
    for key, value in values.items():
        wiring.apply(key, value, 1)
    assert values.keys() == texts().keys()
    assert isinstance(wired := wiring.of(POD), Attachment)
    assert wired.interface == f"vpp-tap-{sandbox_of(POD)}"
    assert wired.namespace.reference == f"/run/netns/{sandbox_of(POD)}"


def test_what_was_asked_for_counts() -> None:
    """As with keys of etcd also what waits: what VPP has comes and goes with VPP."""
    with node(given={ARP: texts()[ARP]}) as found:
        assert found.rest.attachments().keys() == {ARP}
        assert found.rest.dump("config/vpp/v2/arp/") == []
        found.agent.give({ARP: None})
        assert found.rest.attachments() == {}


def test_an_agent_without_a_plugin_has_no_values_of_it() -> None:
    """A prefix that it does not know is no trouble; any other refusal is."""
    with serving(reply(b'{"Error":"unknown key prefix"}', "500 Internal Server Error")) as server:
        assert AgentRest(server.url).attachments() == {}
    with serving(reply(b'{"Error":"closed"}', "500 Internal Server Error")) as server:
        rest = AgentRest(server.url)
        assert rest.process() is None
        with pytest.raises(Unavailable, match="closed"):
            rest.attachments()
    with serving(reply(b'{"a":1}')) as server, pytest.raises(Unavailable, match="scheduler/dump"):
        AgentRest(server.url).attachments()


@contextmanager
def serving(answer: bytes) -> Iterator[Server]:
    """A server with one answer to everything."""
    server = Server(lambda connection: connection.sendall(answer))
    try:
        yield server
    finally:
        server.stop()


def test_the_first_round_tells_all() -> None:
    """Two answers that agree, of an agent that has lived long enough."""
    with node() as found:
        table = found.poll().ask(found.rest.statuses())

    assert table.values.keys() == texts().keys()
    assert (table.is_complete, table.trouble) == (True, "")


def test_values_are_asked_for_when_states_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """A calm agent is asked for states only; a new pod makes the difference."""
    monkeypatch.setattr(polling, "LEAST_SECONDS", 0.0)
    asked = 0

    class Counting(AgentRest):
        def attachments(self) -> dict[str, bytes]:
            nonlocal asked
            asked += 1
            return super().attachments()

    with node() as found:
        poll = AttachmentPoll(Counting(found.rest.url))
        first = found.ask(poll)
        number = asked
        for _ in range(5):
            assert found.ask(poll) == first
        assert asked == number
        found.agent.give(texts(2))
        assert found.ask(poll).keys() == texts(2).keys()
        assert asked == number + 1


def test_what_vanishes_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until a second answer says so too."""
    monkeypatch.setattr(polling, "LEAST_SECONDS", 0.0)
    with node(given=texts(2)) as found:
        poll = found.poll()
        found.ask(poll)
        found.agent.give(dict.fromkeys(texts(2).keys() - texts(1).keys(), None))
        assert found.ask(poll).keys() == texts(2).keys()
        assert found.ask(poll).keys() == texts(1).keys()


def test_an_agent_that_goes_and_comes_back_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known stays while it is away, and while it is not yet configured again."""
    monkeypatch.setattr(polling, "LEAST_SECONDS", 0.0)
    with node() as found:
        poll = found.poll()
        before = found.ask(poll)
        assert poll.ask(None).values == before
        found.agent.restart({})
        found.agent.born = int(time.time())
        for _ in range(4):
            assert found.ask(poll) == before
        found.agent.give(texts())
        assert found.ask(poll).keys() == before.keys()
    table = poll.ask({})
    assert table.values.keys() == before.keys()
    assert table.trouble


def test_cost(figures: Figures, timed: Timed) -> None:
    """What a dump of 200 pods weighs, and what a round costs where nothing has changed."""
    with node(given=texts(200)) as found:
        poll = found.poll()
        found.ask(poll)
        states = found.rest.statuses()
        size = sum(map(len, found.rest.attachments().values()))
        began = time.perf_counter()
        found.rest.attachments()
        dump = time.perf_counter() - began
        began = time.perf_counter()
        for _ in range(100):
            poll.ask(states)
        calm = (time.perf_counter() - began) / 100

    figures.say(
        f"wiring of 200 pods: {size / 1024:.0f} KiB of values, {1000 * dump:.0f} ms with the model,"
        f" {1000 * calm:.2f} ms a calm round"
    )
    assert size < 1 << 20
    timed("a calm round of 200 pods", calm, 0.02)
