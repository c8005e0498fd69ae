"""What an agent reports, for commands that end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing, suppress

from srv6kv.agent.rest import AgentRest
from srv6kv.agent.status import ValueStatus
from srv6kv.agent.view import View
from srv6kv.cluster.cluster import Cluster
from srv6kv.errors import Refused
from srv6kv.etcd.store import Etcd3Store
from srv6kv.etcd.values import KeyValue
from srv6kv.offline.reading import Warn


def add_attachments(cluster: Cluster, rest: AgentRest | None) -> None:
    """Add the pod attachments that the agent's REST server reports, if there is one to ask.

    This comes before the cluster reads what etcd has, which counts first."""
    if rest is not None:
        cluster.replace_reported(rest.attachments(), ())


def read(
    store: Etcd3Store, prefixes: Sequence[str], agent: str, rest: AgentRest | None, warn: Warn
) -> tuple[list[KeyValue], dict[str, ValueStatus] | None]:
    """Read all keys below these prefixes at one revision, and the states that the agent reports.

    States are those of the REST server if there is one to ask, else those that are published in
    etcd; None: none are, or they may not be read.

    Args:
        store: it is closed again.
        agent: ``/vnf-agent/<label>/``.
        warn: gets the status keys that cannot be read.
    """
    view = View(agent)
    with closing(store):
        states = rest.statuses() if rest is not None else None
        entries = store.read(prefixes).entries
        if states is None:
            with suppress(Refused):
                view.reset(store.read(view.prefixes).entries)
                view.judge(time.time())
    warn([*view.unreadable.values(), *([f"the agent: {view.silence}"] if view.silence else ())])
    if states is None and view.has_states:
        states = view.statuses
    return entries, states
