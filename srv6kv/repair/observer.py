"""Observes the agent and VPP for a repair."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from srv6kv.agent.connection import REMEDY, Health, loss_of
from srv6kv.agent.needs import History
from srv6kv.agent.rest import AgentRest
from srv6kv.agent.status import ValueStatus
from srv6kv.agent.view import View
from srv6kv.errors import Unavailable
from srv6kv.etcd.values import Reader
from srv6kv.ligato import keys
from srv6kv.repair.choose import Known
from srv6kv.verify.vppask import ask

CONNECT_SECONDS = 60
"""A first connection to VPP is there by then."""


@dataclass(slots=True)
class Observer:
    """Asks the agent's REST server if there is one, else reads the states in etcd.

    Attributes:
        has_states: whether there are states at all; the first look finds out, because a label
            without any may also be one whose agent has just ended.
    """

    store: Reader
    label: str
    rest: AgentRest | None
    has_states: bool | None = None
    history: History = field(default_factory=History)

    def known(self) -> Known:
        """Observe all that can be known now.

        Raises:
            Unavailable: the agent is away, or has lost VPP, which no means repairs.
        """
        health = Health() if self.rest is None else self.rest.health()
        _refuse_lost(loss_of(health.vpp, time.time()))
        states = self._states()
        if self.has_states is None:
            self.has_states = bool(states)
        shown = None if self.rest is None else ask(self.rest.vpp_command, self.rest.url)
        return Known(states if self.has_states else None, shown)

    def states(self) -> dict[str, ValueStatus] | None:
        """Read the states; None if there are none, or not now."""
        try:
            return self._states() if self.has_states else None
        except Unavailable:
            return None

    def _states(self) -> dict[str, ValueStatus]:
        if self.rest is not None:
            return self.rest.statuses()
        view = View(keys.agent_prefix(self.label))
        view.reset(self.store.read(view.prefixes).entries)
        view.judge(time.time())
        _refuse_lost(view.vpp_lost)
        self.history = view.history
        return view.statuses

    def remark(self) -> str:
        """Tell what stays hidden, "" if nothing does: an agent does not know what VPP has lost."""
        if self.rest is not None:
            return ""
        text = "VPP was not asked, --agent-rest does that"
        if self.history.vpp_change > self.history.start_time + CONNECT_SECONDS:
            text += (
                "; the agent has connected to VPP again since it began: if VPP has restarted"
                " and nothing was rewritten since, it takes --means rewrite"
            )
        return text


def _refuse_lost(loss: str) -> None:
    """Refuse to go on with an agent that has lost VPP."""
    if loss:
        raise Unavailable(f"the agent: {loss}: {REMEDY}")
