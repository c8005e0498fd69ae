"""Pods by name and by address: whose network namespace an endpoint's address leads to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from srv6kv.cluster.attachment import Claim, claims_of
from srv6kv.cluster.index import Index
from srv6kv.kube.model import Pod, PodAttachment, Ref


@dataclass(slots=True)
class Pods:
    """All pods that are known; those of other nodes do no harm.

    Attributes:
        ambiguous: addresses of more than one pod: one that is going and one that has come.
    """

    ambiguous: set[str] = field(default_factory=set)
    annotated: dict[Ref, Pod] = field(default_factory=dict)
    _pods: dict[Ref, Pod] = field(default_factory=dict)
    _at: Index[str, Ref] = field(default_factory=Index)
    _claiming: Index[Claim, Ref] = field(default_factory=Index)

    def __contains__(self, address: object) -> bool:
        return address in self._at

    def put(self, pod: Pod) -> set[str]:
        """Add or replace a pod; the addresses that this concerns."""
        if self._pods.get(pod.ref) == pod:
            return set()
        affected = self.remove(pod.ref)
        self._pods[pod.ref] = pod
        if pod.attachment is not None:
            self.annotated[pod.ref] = pod
        return affected | self._update(pod, self._at.add, self._claiming.add)

    def remove(self, ref: Ref) -> set[str]:
        """Forget a pod; the addresses that this concerns. An unknown one is no error."""
        pod = self._pods.pop(ref, None)
        if pod is None:
            return set()
        self.annotated.pop(ref, None)
        return self._update(pod, self._at.discard, self._claiming.discard)

    def _update(
        self,
        pod: Pod,
        at: Callable[[str, Ref], None],
        claiming: Callable[[Claim, Ref], None],
    ) -> set[str]:
        claims = claims_of(pod.attachment) if pod.attachment is not None else []
        for claim in claims:
            claiming(claim, pod.ref)
        for address in pod.addresses:
            at(address, pod.ref)
        several = {address for address in pod.addresses if len(self._at.get(address, ())) > 1}
        self.ambiguous = self.ambiguous.difference(pod.addresses) | several
        return {*pod.addresses, *self.addresses_claiming(claims)}

    def addresses_claiming(self, claims: Iterable[Claim]) -> set[str]:
        """The addresses of the pods whose annotations name one of these."""
        refs = self._claimants(claims)
        return {address for ref in refs for address in self._pods[ref].addresses}

    def addresses_concerned(self, claims: Iterable[Claim]) -> set[str]:
        """The addresses of those pods, and of all that name something else together with them."""
        refs = self._claimants(claims)
        theirs = (self.annotated[ref].attachment for ref in refs)
        return self.addresses_claiming({c for said in theirs if said for c in claims_of(said)})

    def _claimants(self, claims: Iterable[Claim]) -> set[Ref]:
        return {ref for claim in claims for ref in self._claiming.get(claim, ())}

    def claiming(self, claim: Claim, node: str) -> list[Pod]:
        """The pods of a node whose annotations name an interface or a namespace."""
        return self._on(node, self._claiming.get(claim, set()))

    def at(self, address: str, node: str) -> list[Pod]:
        """The pods of a node with an address; usually one."""
        return self._on(node, self._at.get(address, set()))

    def _on(self, node: str, refs: set[Ref]) -> list[Pod]:
        return [pod for ref in sorted(refs) if (pod := self._pods[ref]).node == node]

    def annotated_attachments(self, address: str, node: str) -> set[PodAttachment]:
        """Return the attachments in annotations of the pods of a node with this address."""
        return {pod.attachment for pod in self.at(address, node) if pod.attachment is not None}

    def intercepted(
        self, address: str, node: str, named: Callable[[], Iterable[Ref]]
    ) -> Pod | None:
        """The pod of a node that an address leads to, if a mesh owns its rule chains.

        Args:
            named: which pods the slices name for the address; asked only if it is ambiguous. Of
                several pods those count that are named; if none is, one with a mesh.
        """
        found = self.at(address, node)
        if len(found) > 1:
            chosen = set(named())
            found = [pod for pod in found if pod.ref in chosen] or found
        return next((pod for pod in found if pod.mesh), None)

    def intercepted_by_name(self, refs: Iterable[Ref]) -> Pod | None:
        """One of the pods of these names, if a mesh owns its rule chains."""
        pods = (self._pods[ref] for ref in sorted(refs) if ref in self._pods)
        return next((pod for pod in pods if pod.mesh), None)
