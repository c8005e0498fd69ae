"""The path of a packet as lines of text.

Rule: no key and no address is ever cut or wrapped, so that a line can be copied into ``etcdctl``.
"""

from __future__ import annotations

from collections.abc import Iterator

from srv6kv.trace.hops import Hop, Packet, Question, Trace


def text_of(trace: Trace) -> str:
    """The tree of hops, one hop a line with its key; the packet wherever its headers change."""
    lines = [heading(trace.question), *_hops(trace.path, "  ", None)]
    ways = list(trace.path.ways())
    if len(ways) > 1:
        lines.append(f"{len(ways)} ways:")
        lines += [f"  {way.weight} of {way.of}: {way.end}" for way in ways]
    return "".join(f"{line}\n" for line in lines)


def heading(question: Question) -> str:
    """What is asked, in one line."""
    sender = {
        "pod": f"pod {question.source} on {question.node}",
        "host": f"the host of {question.node}",
        "outside": f"{question.source or 'a client'} outside, at the uplink of {question.node},",
    }[question.sender]
    return f"{sender} sends {question.protocol} port {question.port} to {question.destination}"


def _hops(hop: Hop, indent: str, before: Packet | None) -> Iterator[str]:
    if hop.packet != before:
        yield f"{indent}[ {_packet(hop.packet)} ]"
    yield f"{indent}{hop.node} {hop.place}: {_decision(hop)}"
    if hop.key:
        yield f"{indent}    {hop.key}"
    if hop.end is not None:
        yield f"{indent}=> {hop.end}"
        if hop.end.reply:
            yield f"{indent}   reply {hop.end.reply}"
    several = len(hop.branches) > 1
    for branch in hop.branches:
        if several:
            yield f"{indent}{branch}"
        yield from _hops(branch.hop, indent + "  " * several, hop.packet)


def _decision(hop: Hop) -> str:
    match hop.kind:
        case "send" | "receive":
            return hop.does
        case "choice":
            return f"{hop.does} for {hop.what}"
    return f"{NAMES[hop.kind]}{hop.what}: {hop.does}"


NAMES = {
    "rules": "rule ",
    "steering": "steering ",
    "policy": "policy ",
    "localsid": "localsid ",
    "route": "route ",
    "drop": "drop route ",
    "lost": "",
}


def _packet(packet: Packet) -> str:
    """The headers of a packet, outer ones first."""
    inner = " ".join(packet.headers)
    outer = packet.outer
    if outer is None:
        return inner
    text = f"{outer.source} > {outer.destination}"
    if outer.segments:
        text += f" | SRH {', '.join(outer.segments)}, {outer.left} left"
    return f"{text} [ {inner} ]"
