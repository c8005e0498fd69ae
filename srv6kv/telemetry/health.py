"""Whether the loop lives, is ready and keeps up: read from one snapshot of what it has done.

The rules are those of kube-proxy (rule M8).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from srv6kv.agent.digest import AgentShown

LIVE_SECONDS = 60.0
"""A turn takes seconds at most, even if no member of etcd answers."""
KEEPS_UP_SECONDS = 60.0
"""Twice kube-proxy's sync period."""


@dataclass(frozen=True, slots=True)
class State:
    """What the loop has done up to now; a new value for each step.

    Attributes:
        doing: what it does now, in words.
        turned: monotonic time of its last turn.
        waits_since: monotonic time of the oldest change that is not in etcd yet.
        last_sync: Unix time when desired and actual were last found equal; None: never yet.
        revision: of the last commit.
        has_cluster: the first complete list of the cluster has arrived.
        holder: who else had the writer key when etcd was last asked; "" unless we are standby.
        trouble: the last error of etcd, "" since it answers.
        node_warning: why nothing may be written: the own Node was never seen; "": it was, or the
            complete list of the cluster has not arrived yet.
        is_node_eligible: the own Node is there and is not being removed.
        warnings: how many warnings hold, by reason.
    """

    doing: str = "starting"
    turned: float = 0.0
    waits_since: float | None = None
    last_sync: float | None = None
    syncs: int = 0
    commits: int = 0
    revision: int = 0
    has_cluster: bool = False
    is_writer: bool = False
    holder: str = ""
    trouble: str = ""
    node_warning: str = ""
    is_node_eligible: bool = True
    warnings: Mapping[str, int] = field(default_factory=dict)
    agent: AgentShown = field(default_factory=AgentShown)


def is_live(state: State, now: float) -> bool:
    """Whether the loop turns; whether etcd or the cluster answers does not matter."""
    return now - state.turned < LIVE_SECONDS


def is_ready(state: State) -> bool:
    """Whether all was in etcd once, or another process writes and we could take over at once."""
    could_take_over = state.holder != "" and state.has_cluster and not state.node_warning
    return state.syncs > 0 or could_take_over


def keeps_up(state: State, now: float) -> bool:
    """Whether no change has been waiting for too long; nothing is late before it has come."""
    return state.waits_since is None or now - state.waits_since < KEEPS_UP_SECONDS


def is_healthy(state: State, now: float) -> bool:
    """Whether changes reach etcd and traffic may be sent to this node."""
    return keeps_up(state, now) and state.is_node_eligible
