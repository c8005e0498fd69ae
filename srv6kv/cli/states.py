"""The agent's states of what etcd holds, for commands that show both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from srv6kv.cli import terminal
from srv6kv.cli.options import rest_of, store_of

if TYPE_CHECKING:
    from srv6kv.agent.status import ValueStatus
    from srv6kv.cluster.cluster import Cluster
    from srv6kv.etcd.values import KeyValue


def asked(agent_rest: str | None) -> dict[str, ValueStatus] | None:
    """The states that the agent's REST server tells; None: it is not to be asked.

    Raises:
        InputError: the URL is none.
        Unavailable: it does not answer.
    """
    rest = rest_of(agent_rest)
    return rest.statuses() if rest is not None else None


def learn_wiring(cluster: Cluster, agent_rest: str | None) -> None:
    """Let a cluster know how pods hang on VPP by the agent's REST server, if it is to be asked;
    before it is told what etcd has, which comes first.

    Raises:
        InputError: the URL is none.
        Unavailable: it does not answer.
    """
    rest = rest_of(agent_rest)
    if rest is not None:
        cluster.learn(rest.wiring(), ())


def read(
    options: Mapping[str, Any], prefixes: Sequence[str], agent: str, agent_rest: str | None
) -> tuple[list[KeyValue], dict[str, ValueStatus] | None]:
    """All keys below these prefixes at one revision, and the states that the agent tells.

    States are those of the REST server if there is one to ask, else those that are published in
    etcd; None: none are, or they may not be read.

    Args:
        options: those of ``etcd_options``.
        agent: ``/vnf-agent/<label>/``.

    Raises:
        InputError: a file cannot be read, an endpoint is none, or the URL is none.
        Unavailable: etcd is out of reach, or the agent.
        Refused: etcd does not let us read.
    """
    from srv6kv.agent.view import View
    from srv6kv.errors import Refused

    states = asked(agent_rest)
    view = View(agent)
    store = store_of(options)
    try:
        entries = store.read(prefixes).entries
        if states is None:
            with suppress(Refused):
                view.reset(store.read(view.prefixes).entries)
    finally:
        store.close()
    for why in view.unreadable.values():
        terminal.say(f"note: {why}", err=True)
    if states is None and view.has_states:
        states = view.statuses
    return entries, states
