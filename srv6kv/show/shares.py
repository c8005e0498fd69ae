"""What ``simulate`` answers as lines and tables for a terminal of 100 columns, or for a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from srv6kv.show.paths import heading
from srv6kv.show.tables import framed_table
from srv6kv.simulate.answer import Answer
from srv6kv.simulate.draw import Balanced, Draw, Endpoint
from srv6kv.simulate.moves import Moves, Shift, Shifts
from srv6kv.trace.hops import End

if TYPE_CHECKING:
    from rich.table import Table


def lines(answer: Answer) -> Iterator[str]:
    """The question and what the flow gets."""
    port = f" with source port {answer.source_port}" if answer.source_port is not None else ""
    yield f"{heading(answer.question)}{port}"
    found = answer.balanced
    if found is None:
        yield from (f"=> {end}" for end in answer.ends)
        return
    order = "VPP's order" if found.is_order_known else "the order of a fresh create"
    yield f"policy {found.bsid} on {found.node}, lists in {order}"
    yield f"    {found.key}"
    if answer.flow is None:
        client = "source port" if answer.question.source else "client's address and port"
        yield f"=> it depends on the {client}: see the shares"
    else:
        yield from _drawn(found, answer.flow, answer.flow_hash)


def _drawn(found: Balanced, flow: Draw, words: tuple[str, ...]) -> Iterator[str]:
    yield f"hash 0x{flow.hash:08x} of {' '.join(words)}"
    if flow.bucket is None or flow.endpoint is None:
        bucket = "no bucket" if flow.bucket is None else f"bucket {flow.bucket} is empty"
        yield f"=> dropped at {found.node}: {bucket}"
        return
    endpoint = found.endpoints[flow.endpoint]
    yield f"bucket {flow.bucket} of {found.buckets}: < {', '.join(endpoint.segments)} >"
    yield from (f"=> {end}" for end in endpoint.ends)


def then_line(answer: Answer) -> str | None:
    """What the flow gets after the change; None: nothing is known of it."""
    found, flow, then = answer.balanced, answer.flow, answer.then
    if found is None or flow is None or then is None:
        return None
    if not then:
        return "after the change the flow is dropped"
    before = found.endpoints[flow.endpoint].segments if flow.endpoint is not None else ()
    if before == then:
        return "after the change the flow has the same endpoint"
    return f"after the change the flow goes to < {', '.join(then)} >"


def shares_table(found: Balanced) -> Table:
    """Every endpoint of a policy, in the order of its lists."""
    rows = [_endpoint(item, found.buckets) for item in found.endpoints]
    columns = ("segment list", "endpoint", "weight", "buckets", "share", "fair share", "off by")
    return framed_table(f"Shares of policy {found.bsid}", columns, rows, columns[:1])


def _endpoint(item: Endpoint, buckets: int) -> tuple[str, ...]:
    return (
        ", ".join(item.segments),
        "\n".join(map(_who, item.ends)),
        str(item.weight),
        f"{item.buckets} of {buckets}",
        _percent(item.share),
        _percent(item.fair_share),
        f"{item.share / item.fair_share - 1:+.0%}" if item.fair_share else "",
    )


def _who(end: End) -> str:
    match end.kind:
        case "pod":
            return f"pod {end.address} port {end.port} on {end.node}"
        case "host":
            return f"host of {end.node}"
    return str(end)


def change_table(found: Shifts) -> Table:
    """The policies that a change touches, with the flows that it moves."""
    columns = ("address", "VRF", "policy", "lists", "moved of all", "of kept endpoints")
    rows = map(_shift, found.policies)
    return framed_table(
        "Flows that the change moves", (*columns, "worst moment"), rows, columns[:1]
    )


def _shift(item: Shift) -> tuple[str, ...]:
    bsids = " to ".join(dict.fromkeys(text for text in (item.before, item.after) if text))
    final, worst = item.change.final, item.change.worst
    return (
        item.prefix,
        str(item.vrf),
        f"{bsids}\n{item.how}",
        f"{len(item.held)} to {len(item.then)}",
        _percent(final.of_all.share) if final.of_all.of else "no flows",
        _kept(final),
        f"{_kept(worst)}, after call {item.change.worst_call} of {item.change.calls}"
        if item.change.calls
        else "",
    )


def _kept(moves: Moves) -> str:
    return _percent(moves.of_kept.share) if moves.of_kept.of else "none kept"


def change_line(found: Shifts) -> str:
    """How many policies are touched at all."""
    touched = len(found.policies)
    return f"the change touches {touched} of {touched + found.unchanged} policies on {found.node}"


def _percent(share: float) -> str:
    return f"{share:.1%}"
