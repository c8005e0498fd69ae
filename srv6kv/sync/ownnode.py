"""The own Node as the source reports it: whether it has been seen, and whether it takes traffic."""

from __future__ import annotations

from srv6kv.cluster import ownnode
from srv6kv.cluster.cluster import Cluster
from srv6kv.cluster.intake import Intake
from srv6kv.kube.model import Identity
from srv6kv.notes import Note


class OwnNode:
    """Looks for the own Node in what is known of the cluster."""

    def __init__(self, name: str, identity: Identity, cluster: Cluster, intake: Intake) -> None:
        self._name = name
        self._identity = identity
        self._cluster = cluster
        self._intake = intake
        self._near: tuple[str, ...] = ()
        self._compared: frozenset[str] = frozenset()

    @property
    def is_eligible(self) -> bool:
        """Whether it is there, well-formed, and stays."""
        node = self._cluster.nodes.get(self._name)
        intake = self._intake
        is_whole = intake.incomplete is None and not intake.is_malformed(self._identity)
        is_there = is_whole and not intake.is_kept_away and self.is_seen
        return node is not None and is_there and not node.is_leaving

    @property
    def is_seen(self) -> bool:
        """Whether it was seen well-formed; nothing is written before.

        One that has neither a pod CIDR nor an address is not registered yet.
        """
        node = self._cluster.nodes.get(self._name)
        return node is not None and bool(node.pod_cidrs or node.addresses)

    @property
    def is_source_silent(self) -> bool:
        """Whether the source reports nothing at all: no cluster is without a Node."""
        cluster = self._cluster
        nodes = len(cluster.nodes) - self._intake.is_kept_away
        return not (cluster.services or cluster.slices or nodes > 0)

    def warn(self) -> Note | None:
        """Make the warning while it has not been seen, with the names that were near it at first:
        one line, however nodes come and go."""
        if self.is_seen:
            return None
        names = frozenset(self._cluster.nodes)
        if not self._near and names != self._compared:
            self._compared = names
            self._near = ownnode.near_names(self._name, names)
        return ownnode.warning(self._name, self._near, self._problem())

    def _problem(self) -> str:
        """Say what is wrong with it; "": there is none, or nothing."""
        if self._name in self._cluster.nodes:
            return "it has neither spec.podCIDR nor status.addresses yet"
        return self._intake.problem_of(self._identity)
