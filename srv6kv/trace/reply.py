"""The way of an answer, in one line: it never meets the service's policy, but may ride a tunnel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from srv6kv.trace.hops import Branch, End, Hop


def with_replies(path: Hop, back: Callable[[End], Hop | None]) -> Hop:
    """The path, with the reply in each end that has the packet.

    Args:
        path: without replies.
        back: the path of an answer from an end; None if it is not known where to.
    """
    if path.end is not None and path.end.is_delivered:
        return replace(path, end=replace(path.end, reply=line_of(back(path.end))))
    branches = tuple(
        Branch(one.weight, one.of, one.text, with_replies(one.hop, back)) for one in path.branches
    )
    return replace(path, branches=branches)


def line_of(path: Hop | None) -> str:
    """A path without forks in one line."""
    if path is None:
        return "to the client outside by the network's own routes, not encapsulated"
    packet = path.packet
    parts = list(_parts(path)) or ["plain route"]
    return f"{packet.source} to {packet.destination}: {', '.join(parts)}"


def _parts(path: Hop) -> Iterator[str]:
    hop = path
    is_tunnelled = False
    while hop.branches:
        if hop.kind == "policy":
            is_tunnelled = True
            yield f"tunnel {hop.what} from {hop.node}"
        elif hop.kind == "localsid":
            yield f"ends at {hop.what} on {hop.node}"
        hop = hop.branches[0].hop
    if not is_tunnelled:
        yield "plain routes"
    yield str(hop.end) if hop.end is None or not hop.end.is_delivered else _whom(hop.end)


def _whom(end: End) -> str:
    return f"to pod {end.address}" if end.kind == "pod" else f"to the host of {end.node}"
