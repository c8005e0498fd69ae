"""Pods by name and by address: whose network namespace an endpoint's address leads to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from srv6kv.kube.model import Pod, PodWiring, Ref


@dataclass(slots=True)
class Pods:
    """All pods that are known; those of other nodes do no harm.

    Attributes:
        contested: addresses of more than one pod: one that is going and one that has come.
    """

    contested: set[str] = field(default_factory=set)
    _pods: dict[Ref, Pod] = field(default_factory=dict)
    _at: dict[str, set[Ref]] = field(default_factory=dict)

    def __contains__(self, address: object) -> bool:
        return address in self._at

    def put(self, pod: Pod) -> set[str]:
        """Add or replace a pod; the addresses that this concerns."""
        if self._pods.get(pod.ref) == pod:
            return set()
        touched = self.remove(pod.ref)
        self._pods[pod.ref] = pod
        for address in pod.addresses:
            self._at.setdefault(address, set()).add(pod.ref)
        touched.update(pod.addresses)
        self._count(touched)
        return touched

    def remove(self, ref: Ref) -> set[str]:
        """Forget a pod; the addresses that this concerns. An unknown one is no error."""
        pod = self._pods.pop(ref, None)
        if pod is None:
            return set()
        for address in pod.addresses:
            self._at[address].discard(ref)
            if not self._at[address]:
                del self._at[address]
        touched = set(pod.addresses)
        self._count(touched)
        return touched

    def _count(self, touched: set[str]) -> None:
        several = {address for address in touched if len(self._at.get(address, ())) > 1}
        self.contested = (self.contested - touched) | several

    def wirings(self, address: str, node: str) -> set[PodWiring]:
        """What the pods of a node with this address say about their wiring; usually one thing."""
        pods = (self._pods[ref] for ref in self._at.get(address, ()))
        return {pod.wiring for pod in pods if pod.node == node and pod.wiring is not None}

    def intercepted(
        self, address: str, node: str, named: Callable[[], Iterable[Ref]]
    ) -> Pod | None:
        """The pod of a node that an address leads to, if a mesh owns its rule chains.

        Args:
            named: which pods the slices name for the address; asked only if it is contested. Of
                several pods those count that are named; in doubt one with a mesh.
        """
        pods = (self._pods[ref] for ref in sorted(self._at.get(address, ())))
        found = [pod for pod in pods if pod.node == node]
        if len(found) > 1:
            chosen = set(named())
            found = [pod for pod in found if pod.ref in chosen] or found
        return next((pod for pod in found if pod.mesh), None)

    def intercepted_by_name(self, refs: Iterable[Ref]) -> Pod | None:
        """One of the pods of these names, if a mesh owns its rule chains."""
        pods = (self._pods[ref] for ref in sorted(refs) if ref in self._pods)
        return next((pod for pod in pods if pod.mesh), None)
