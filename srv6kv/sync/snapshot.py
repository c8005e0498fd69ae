"""A read of etcd, sorted by the owners of its keys."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from srv6kv.agent.view import ReadKey
from srv6kv.cluster import noderecords
from srv6kv.plan.actual import Actual, Entry


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All keys that concern one agent.

    Attributes:
        agent: its configuration, by short key.
        ledger: our notes about ourselves, by their names.
        node_ids: Contiv's records of nodes, by full key.
    """

    agent: dict[str, Entry] = field(default_factory=dict)
    ledger: dict[str, bytes] = field(default_factory=dict)
    node_ids: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Iterable[ReadKey], agent_prefix: str, own_prefix: str) -> Snapshot:
        """Sort what was read."""
        found = cls()
        for item in entries:
            if item.value is None:
                continue
            if item.key.startswith(own_prefix):
                found.ledger[item.key.removeprefix(own_prefix)] = item.value
            elif item.key.startswith(noderecords.PREFIX):
                found.node_ids[item.key] = item.value
            elif item.key.startswith(agent_prefix):
                key = item.key.removeprefix(agent_prefix)
                found.agent[key] = Entry(item.value, item.mod_revision)
        return found

    def differing(self, actual: Actual) -> set[str]:
        """Find the agent's keys (short form) that are not in etcd as ``actual`` has them."""
        return {key for key, _ in self.agent.items() ^ actual.entries.items()}
