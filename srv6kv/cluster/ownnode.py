"""The own Node: whether it has been seen and takes traffic, and the warning while it has not.

Rule: pure. Nothing is written or deleted for a node whose Node object this process has never seen
(rule M6): without it every pod looks remote. Once seen, its last good version stays while it
is away, so ``kube.intake`` never removes it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from srv6kv.cluster.cluster import Cluster
from srv6kv.cluster.intake import Intake
from srv6kv.kube.model import Identity
from srv6kv.notes import Kind, Note, Reason, Subject

MOST_NEAR = 3


def warning(name: str, near: Iterable[str], problem: str = "") -> Note:
    """Return the warning while the own Node has not been seen.

    Args:
        near: the names of Nodes that may be meant.
        problem: what is wrong with the Node of that name; "": there is none.
    """
    if problem:
        what = f"never seen well-formed: {problem}"
    else:
        names = ", ".join(near)
        what = "there is no Node of this name" + (f"; near it: {names}" if names else "")
        what += '; give --node the name that "kubectl get nodes" shows'
    text = f"{what}; nothing is written or deleted for it until it has been seen"
    return Note(Subject(Kind.NODE, name), Reason.OWN_NODE_UNKNOWN, text)


def near_names(name: str, names: Iterable[str]) -> tuple[str, ...]:
    """The names that may be meant: in another case, with or without a domain, or mistyped."""
    hosts: dict[str, list[str]] = {}
    for one in sorted(names):
        hosts.setdefault(_host_of(one), []).append(one)
    sought = _host_of(name)
    close = [sought] if sought in hosts else difflib.get_close_matches(sought, hosts, MOST_NEAR)
    found = [one for host in sorted(close) for one in hosts[host]]
    return tuple(sorted(found, key=lambda one: one.casefold() != name.casefold())[:MOST_NEAR])


def _host_of(name: str) -> str:
    return name.casefold().partition(".")[0]


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
            self._near = near_names(self._name, names)
        problem = "it has neither spec.podCIDR nor status.addresses yet"
        if self._name not in self._cluster.nodes:
            problem = self._intake.problem_of(self._identity)
        return warning(self._name, self._near, problem)
