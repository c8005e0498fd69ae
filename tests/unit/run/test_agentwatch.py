"""Whose answers count when the agent is looked for where agents answer by default."""

from __future__ import annotations

import pytest
from booted import started, wiring

from srv6kv.agent.poll import Polled
from srv6kv.agent.rest import AgentRest
from srv6kv.agent.status import State, ValueStatus
from srv6kv.ligato import keys
from srv6kv.notes import Reason
from srv6kv.run.agentwatch import AgentWatch
from srv6kv.sync.reconciler import Reconciler

OWN = [key for key in started("", wiring(5)).actual.entries if key.startswith(keys.ARP)]
SHARED = "config/vpp/v2/vrf-table/id/1/protocol/IPV6"


def looking(reconciler: Reconciler | None = None) -> AgentWatch:
    """A watch whose agent may answer over REST or not."""
    found = reconciler or started("", wiring(5))
    return AgentWatch(found, AgentRest("http://127.0.0.1:1"), is_optional=True)


def answer(*keys: str) -> Polled:
    """An agent that has these keys."""
    return Polled({key: ValueStatus(key, State.CONFIGURED) for key in keys})


def test_the_labels_agent_counts() -> None:
    """An agent that has keys of the label; from then on it is warned of one that is away."""
    watch = looking()
    watch.receive(answer(*OWN))
    assert watch.view.is_polled
    assert watch.view.state_of(OWN[0]) is State.CONFIGURED
    assert not watch.notes
    watch.receive(Polled({}, "refused"))
    assert [note.reason for note in watch.notes] == [Reason.AGENT_UNAVAILABLE]


@pytest.mark.parametrize("polled", [Polled({}, "refused"), answer(OWN[0], SHARED), answer()])
def test_another_agent_or_none_changes_nothing(polled: Polled) -> None:
    """No answer, another label's agent, and one that has nothing yet: what is published counts. The
    same address may be on two nodes, but not most of them."""
    watch = looking()

    assert not watch.receive(polled)
    assert (watch.view.is_polled, watch.view.has_states, watch.notes) == (False, False, ())


def test_nobody_is_taken_before_etcd_was_read() -> None:
    """Only etcd's keys tell whose agent it is."""
    reconciler = started("", ())
    watch = looking(reconciler)
    watch.receive(answer(*OWN))
    assert not watch.view.is_polled
    reconciler.reset(wiring(5))
    watch.judge()
    assert watch.view.is_polled
