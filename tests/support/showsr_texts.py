"""VPP's ``show sr ...`` as every version prints it, and as terminals and people spoil it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from srv6kv.vpp.showsr_values import (
    Localsid,
    Policy,
    SegmentList,
    ShowSr,
    Steering,
    address_of,
    prefix_of,
)

_COUNTER = "[3 packets : 312 bytes]"
_TEXTS = {
    "End": "End",
    "X": "X (Endpoint with Layer-3 cross-connect)",
    "T": "T (Endpoint with specific IPv6 table lookup)",
    "DX2": "DX2 (Endpoint with decapulation and Layer-2 cross-connect)",
    "DX4": "DX4 (Endpoint with decapsulation and IPv4 cross-connect)",
    "DX6": "DX6 (Endpoint with decapsulation and IPv6 cross-connect)",
    "DT4": "DT4 (Endpoint with decapsulation and specific IPv4 table lookup)",
    "DT6": "DT6 (Endpoint with decapsulation and specific IPv6 table lookup)",
    "uA": "uA [End with uSID and Layer-3 cross-connect]",
    "End.AD": "End.AD (Endpoint with dynamic proxy to SR-unaware appliance)",
}
_TABLES = {"T": "\tTable:  \t", "DT4": "\tTable: \t", "DT6": "\tTable: "}
NEWEST = 26.06


@dataclass(frozen=True)
class Dialect:
    """How a text comes to us.

    Attributes:
        version: of VPP, 19.04 to 26.06.
        junk: what old versions print behind a weight.
        spoil: what the way here does to the text.
    """

    version: float = 23.06
    junk: str = ""
    spoil: Callable[[str], str] = str

    @property
    def has_lengths(self) -> bool:
        """Whether localsids but for End have their length."""
        return self.version >= 20.05


def shown(what: ShowSr, dialect: Dialect, order: str = "lpse") -> str:
    """All outputs one after the other, in this order."""
    sections = {
        "l": None if what.localsids is None else _localsids(what, dialect),
        "p": None if what.policies is None else _policies(what.policies, dialect),
        "s": None if what.steerings is None else _steerings(what.steerings),
        "e": f"SR encaps source addr = {what.encap_source}" if what.encap_source else None,
    }
    return dialect.spoil("".join(f"{sections[name]}\n" for name in order if sections[name]))


def _policies(policies: tuple[Policy, ...], dialect: Dialect) -> str:
    lines = ["SR policies:"]
    for policy in policies:
        kind = "TEF (Timestamp, Encapsulate, and Forward)" if policy.kind == "TEF" else policy.kind
        lines += [
            f"[{policy.index}].-\tBSID: {policy.bsid}",
            f"\tBehavior: {'Encapsulation' if policy.is_encap else 'SRH insertion'}",
            *([f"\tEncapSrcIP: {policy.encap_source}"] if policy.encap_source else []),
            f"\tType: {kind}",
            f"\tFIB table: {policy.table}",
            "\tSegment Lists:",
            *(_list(item, dialect.junk) for item in policy.lists),
            "-" * 11,
        ]
    return "\n".join(lines)


def _list(item: SegmentList, junk: str) -> str:
    segments = "".join(f"{segment}, " for segment in item.segments)
    return f"  \t[{item.index}].- < {segments}\b\b > weight: {item.weight}{junk}"


def _localsids(what: ShowSr, dialect: Dialect) -> str:
    title = "SRv6 - My LocalSID Table:"
    lines = [title, "=" * len(title)]
    for localsid in what.localsids or ():
        length = "" if localsid.length is None else f"/{localsid.length}"
        psp = ["\tPSP: \tTrue"] if localsid.has_psp else []
        lines += [f"\tAddress: \t{localsid.sid}{length}", *_behaviour(localsid, dialect), *psp]
        lines += [f"\tGood traffic: \t{_COUNTER}", f"\tBad traffic:  \t{_COUNTER}", "-" * 20]
    for _ in range(what.unsupported):
        lines += [
            "Unsupported yet. (DX2 with egress VLAN rewrite)",
            f"\tGood traffic: \t{_COUNTER}",
        ]
        lines += [f"\tBad traffic:  \t{_COUNTER}", "-" * 20]
    return "\n".join(lines)


def _behaviour(localsid: Localsid, dialect: Dialect) -> list[str]:
    name = localsid.behaviour
    if name == "uN":
        old = f"End [uSID:\t{localsid.sid}/32, length: 16]"
        return [f"\tBehavior: \t{'uN [End with uSID]' if dialect.version >= 25.02 else old}"]
    lines = [f"\tBehavior: \t{_TEXTS[name]}"]
    if localsid.interface is not None:
        lines.append(f"\tIface:  \t{localsid.interface}")
    if localsid.next_hop is not None:
        lines.append(f"\tNext hop: \t{localsid.next_hop}")
    if localsid.table is not None:
        lines.append(f"{_TABLES[name]}{localsid.table}")
    return [*lines, *(f"\t{line}" for line in localsid.details)]


def _steerings(steerings: tuple[Steering, ...]) -> str:
    lines = [f"{item.kind} {item.traffic}\t{item.bsid}" for item in steerings]
    return "\n".join(["SR steering policies:", "Traffic\t\tSR policy BSID", *lines])


def terminal(text: str) -> str:
    """As copied from a terminal: no backspaces, no tabs, lines end as they do there."""
    return text.replace(", \b\b", "").replace("\b\b", "").replace("\t", "  ").replace("\n", "\r\n")


def stripped(text: str) -> str:
    """As the sample of Contiv's page: no blanks at the beginning of a line."""
    return "\n".join(" ".join(line.split()) for line in terminal(text).split("\n"))


def coloured(text: str) -> str:
    """With ANSI sequences, and the pager's word for more."""
    return "".join(
        f"\x1b[1m-- more -- ({n}-{n + 23}/99)\x1b[0m\r\x1b[K{line}\x1b[0m\r\n"
        if n % 3
        else line + "\n"
        for n, line in enumerate(text.removesuffix("\n").split("\n"))
    )


def session(text: str) -> str:
    """An interactive session: a banner, and a prompt with a command before every output."""
    for header, command in (
        ("SRv6 - My LocalSID Table:", "vpp# show sr localsids"),
        ("SR policies:", "DBGvpp# sh sr policies"),
        ("SR steering policies:", "root@node1:~# vppctl show sr steering-policies"),
        ("SR encaps source", "vpp# show sr encaps source addr"),
    ):
        text = text.replace(header, f"{command}\n{header}")
    return f"    _______    _\n __/ __/ _ \\  (_)__\n\n{text}vpp# "


SPOILS = (str, terminal, stripped, coloured, session, lambda text: session(terminal(text)))

_groups = st.integers(0, 2**128 - 1) | st.integers(0, 0xFFFF).map(lambda low: 0x5555 << 112 | low)
ADDRESSES = _groups.map(
    lambda bits: address_of(":".join(f"{bits:032x}"[i : i + 4] for i in range(0, 32, 4)))
)
IPV4 = st.integers(0, 2**32 - 1).map(
    lambda bits: ".".join(str(bits >> shift & 255) for shift in (24, 16, 8, 0))
)
INTERFACES = st.sampled_from(["tap4", "host-eth0", "memif0/0", "x.100", "loop0", "DELETED"])
WEIGHTS = st.integers(0, 2**32 - 1)
_PREFIXES = st.builds("{}/{}".format, ADDRESSES, st.integers(0, 128)) | st.builds(
    "{}/{}".format, IPV4, st.integers(0, 32)
)
JUNK = st.text(
    st.characters(codec="utf-8", exclude_characters="\n0123456789"), max_size=8
) | st.sampled_from(["\x00\x01", "�\b\b�", "x5", "\x1b[9"])


def _sized(items: st.SearchStrategy[SegmentList]) -> st.SearchStrategy[tuple[SegmentList, ...]]:
    return st.lists(items, min_size=1, max_size=4).map(tuple)


_LISTS = _sized(
    st.builds(
        SegmentList,
        st.lists(ADDRESSES, min_size=1, max_size=3).map(tuple),
        WEIGHTS,
        st.integers(0, 999),
    )
)


@st.composite
def localsids(draw: st.DrawFn, version: float) -> Localsid:
    """What this version could show."""
    names = [name for name in _TEXTS if name != "uA" or version >= 25.02]
    name = draw(st.sampled_from([*names, *(["uN"] if version >= 20.05 else [])]))
    has_length = version >= 25.02 or (version >= 20.05 and name not in ("End", "uN"))
    interface = name in ("X", "DX2", "DX4", "DX6", "uA")
    hop = {"DX4": IPV4, "X": ADDRESSES, "DX6": ADDRESSES, "uA": ADDRESSES}.get(name)
    return Localsid(
        draw(ADDRESSES),
        draw(st.sampled_from([0, 128])) if has_length else None,
        name,
        draw(INTERFACES) if interface else None,
        None if hop is None else draw(hop),
        draw(st.integers(0, 2**32 - 1)) if name in _TABLES else None,
        draw(st.booleans()),
        ("Next-hop: 2001::1", "Outgoing iface: tap1") if name == "End.AD" else (),
    )


@st.composite
def outputs(draw: st.DrawFn) -> tuple[ShowSr, Dialect]:
    """What a VPP has, and how it says so."""
    version = draw(
        st.sampled_from([19.04, 19.08, 20.01, 20.05, 21.06, 22.10, 23.06, 25.02, NEWEST])
    )
    junk = draw(JUNK) if version in (19.04, 19.08, 20.01) else ""
    kinds = ["Default", "Spray", *(["TEF"] if version >= 22.10 else [])]
    policies = st.builds(
        Policy,
        ADDRESSES,
        st.booleans(),
        st.sampled_from(kinds),
        st.integers(0, 2**32 - 1),
        _LISTS,
        ADDRESSES if version >= 23.06 else st.none(),
        st.integers(0, 999),
    ).map(lambda one: one if one.is_encap else replace(one, encap_source=None))
    l3 = st.builds(Steering, st.just("L3"), _PREFIXES.map(prefix_of), ADDRESSES)
    l2 = st.builds(Steering, st.just("L2"), INTERFACES, ADDRESSES)
    what = ShowSr(
        draw(st.none() | st.lists(localsids(version), max_size=4).map(tuple)),
        draw(st.lists(policies, max_size=4).map(tuple)),
        draw(st.none() | st.lists(l3 | l2, max_size=4).map(tuple)),
        draw(ADDRESSES) if version >= 21.01 else None,
        0,
    )
    if what.localsids is not None and version <= 26.02:
        what = replace(what, unsupported=draw(st.integers(0, 2)))
    return what, Dialect(version, junk, draw(st.sampled_from(SPOILS)))


def shuffled(seed: int) -> str:
    """An order of the outputs."""
    letters = list("lpse")
    random.Random(seed).shuffle(letters)
    return "".join(letters)
