"""Which services a pod's rule chains have no room for.

Rule: a chain is one value of etcd, written whole or not at all. Of the services that do not fit the
largest are left out, with all of their ports: a small one never yields to a large one, and no pod
answers for half of a service.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from srv6kv.cluster.attachment import Attachment
from srv6kv.kube.model import Ref
from srv6kv.ligato.chains import COPIES, custom_name
from srv6kv.ligato.values import encode
from srv6kv.net.addresses import is_ipv4
from srv6kv.render import endpoint
from srv6kv.render.endpoint import Translation

_MOST_RULE_BYTES = 256
"""No rule of ours is longer, so a chain of few rules need not be measured."""

Answering = Mapping[str, Mapping[Ref, tuple[Translation, ...]]]
"""The translations of the pods behind one interface: by the pod's address and the service."""


class Excess(NamedTuple):
    """A service for which a chain has no room: the chain's key, the bytes it takes, the room."""

    key: str
    size: int
    room: int


def left_out(attachment: Attachment, answering: Answering, most_bytes: int) -> dict[Ref, Excess]:
    """Choose the services that are left out of the chains of one interface.

    Args:
        most_bytes: of a chain's key (short form) and its value together.
    """
    found: dict[Ref, Excess] = {}
    for ipv4 in sorted({is_ipv4(pod) for pod in answering}):
        mine = {pod: listed for pod, listed in answering.items() if is_ipv4(pod) == ipv4}
        if _is_small(mine, most_bytes):
            continue
        first = custom_name(COPIES[0])  # both copies are equally long
        chains = endpoint.rule_chains(attachment, dict.fromkeys(mine, ()))
        chains = (chain for chain in chains if chain.chain_name == first)
        for chain, sizes in zip(chains, (_translations(mine), _addresses(mine)), strict=True):
            room = most_bytes - len(chain.key) - len(encode(chain))
            kept = {ref: size for ref, size in sizes.items() if ref not in found}
            excess = sum(kept.values()) - room
            for size, ref in sorted(((size, ref) for ref, size in kept.items()), reverse=True):
                if excess <= 0:
                    break
                found[ref] = Excess(chain.key, size, room)
                excess -= size
    return found


def _is_small(answering: Answering, most_bytes: int) -> bool:
    listed = [items for by_service in answering.values() for items in by_service.values()]
    rules = sum(item.ports for items in listed for item in items)
    return (rules + 1) * _MOST_RULE_BYTES < most_bytes


def _translations(answering: Answering) -> Counter[Ref]:
    """The bytes of each service's rules for packets that come in."""
    listed = [
        (ref, pod, item)
        for pod, by_service in answering.items()
        for ref, items in by_service.items()
        for item in items
    ]
    is_long = endpoint.is_long(item for _, _, item in listed)
    sizes = Counter[Ref]()
    for ref, pod, item in listed:
        sizes[ref] += endpoint.size_of(pod, item, is_long=is_long)
    return sizes


def _addresses(answering: Answering) -> Counter[Ref]:
    """The bytes of each service's rules for packets that go out."""
    addresses: dict[Ref, set[str]] = {}
    for by_service in answering.values():
        for ref, items in by_service.items():
            addresses.setdefault(ref, set()).update(item.address for item in items)
    return Counter(
        {ref: sum(map(endpoint.notrack_size_of, found)) for ref, found in addresses.items()}
    )
