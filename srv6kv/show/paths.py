"""The path of a packet as lines of text.

Rule: no key and no address is ever cut or wrapped, so that a line can be copied into ``etcdctl``.
"""

from __future__ import annotations

from collections.abc import Iterator

from srv6kv.trace.hops import End, Hop, Packet, Question, Trace


def text_of(trace: Trace) -> str:
    """The tree of hops, one hop a line with its key; the packet wherever its headers change."""
    lines = [heading(trace.question), *_hops(trace.path, "  ", None)]
    ways = trace.ways()
    if len(ways) > 1:
        lines.append(f"{len(ways)} ways:")
        lines += [f"  {way.weight} of {way.of}: {way.end}" for way in ways]
    return "".join(f"{line}\n" for line in lines)


def heading(question: Question) -> str:
    """What is asked, in one line."""
    port = _port(question.protocol, question.port)
    return f"{_sender(question)} sends {port} to {question.destination}"


def _sender(question: Question) -> str:
    match question.sender:
        case "pod":
            return f"pod {question.source} on {question.node}"
        case "host":
            return f"the host of {question.node}"
    return f"{question.source or 'a client'} outside, at the uplink of {question.node},"


def _port(protocol: str, port: int) -> str:
    return f"{protocol} port {port}"


def _hops(hop: Hop, indent: str, before: Packet | None) -> Iterator[str]:
    if hop.packet != before:
        yield f"{indent}[ {packet_text(hop.packet)} ]"
    yield f"{indent}{hop.node} {hop.place}: {_decision(hop)}"
    if hop.key:
        yield f"{indent}    {hop.key}"
    if hop.end is not None:
        yield from _end(hop.end, indent)
    several = len(hop.branches) > 1
    for branch in hop.branches:
        if several:
            yield f"{indent}weight {branch.weight} of {branch.of}: {branch.text}"
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


def _end(end: End, indent: str) -> Iterator[str]:
    yield f"{indent}=> {end}"
    if end.reply:
        yield f"{indent}   reply {end.reply}"


def packet_text(packet: Packet) -> str:
    """The headers of a packet, outer ones first."""
    inner = (
        f"{packet.source or 'client'} > {packet.destination} {_port(packet.protocol, packet.port)}"
    )
    outer = packet.outer
    if outer is None:
        return inner
    text = f"{outer.source} > {outer.destination}"
    if outer.segments:
        text += f" | SRH {', '.join(outer.segments)}, {outer.left} left"
    return f"{text} [ {inner} ]"
