"""An agent beside ``srv6kv run``: one that works, or one that says what it is told to; and what
etcd went through meanwhile."""

from __future__ import annotations

import json
import re

from agentmodel import LiveAgent
from history import POLICY, STEERING, History
from processes import Bench

from srv6kv.agent.status import status_key
from srv6kv.etcd.store import Etcd3Store
from srv6kv.etcd.values import Change

COPY = re.compile("/srv6kv-.*-(DNAT|NOTRACK)-[ab]$")
TABLE = "config/vpp/v2/vrf-table/id/0/protocol/IPV6"
HOST_END = "config/vpp/v2/interfaces/tap-vpp2"


def live_agent(bench: Bench, store: Etcd3Store, history: History, publishes: bool) -> LiveAgent:
    """The bench's agent, with all that its node needs."""
    bench.put_foreign(store, HOST_END, '{"name":"tap-vpp2","type":"TAP","enabled":true}')
    wire(bench, history)
    address = bench.server.endpoint.removeprefix("http://")
    return LiveAgent(address, bench.label, publishes_status=publishes)


class Writer:
    """Publishes what an agent would, by hand."""

    def __init__(self, bench: Bench, store: Etcd3Store) -> None:
        self._prefix = bench.prefix
        self._store = store

    def say(self, key: str, state: str | int, **more: object) -> None:
        """The state of a value."""
        body = {"key": key, "state": state, **more}
        self._store.put(self._prefix + status_key(key), json.dumps(body))

    def check(self, name: str, **body: object) -> None:
        """What the agent says of itself."""
        self._store.put(f"{self._prefix}check/status/v1/{name}", json.dumps(body))


def configured(history: History) -> dict[str, bytes]:
    """What etcd holds of the agent's configuration."""
    return {key: value for key, value in history.state().items() if key.startswith("config/")}


def settle(bench: Bench, history: History) -> None:
    """Return when etcd holds what it should."""
    expected = bench.expected()
    history.wait(lambda: configured(history) == expected)


def wire(bench: Bench, history: History) -> int:
    """Return when the history has all that is there before the start, with its last revision."""
    history.wait(lambda: configured(history) == bench.foreign)
    return history.last()


def written(history: History, after: int = 0) -> list[tuple[int, list[Change]]]:
    """Revisions that changed configuration."""
    found = []
    for number, changes in history.revisions(after):
        ours = [change for change in changes if change.key.startswith("config/")]
        if ours:
            found.append((number, ours))
    return found


def without_copies(revisions: list[tuple[int, list[Change]]]) -> list[tuple[int, list[Change]]]:
    """The revisions without those in which only copies of a pod's rules follow the other ones."""
    return [
        (number, changes)
        for number, changes in revisions
        if not all(COPY.search(change.key) and change.value for change in changes)
    ]


def phase_of(change: Change) -> str:
    """Which phase a change belongs to."""
    if change.value is None:
        return "gone"
    return "send" if change.key.startswith((POLICY, STEERING)) else "receive"


def phases(revisions: list[tuple[int, list[Change]]]) -> list[set[str]]:
    """The phases in each revision."""
    return [{phase_of(change) for change in changes} for _, changes in revisions]
