"""The objects that VPP's ``show sr ...`` prints, as values.

Rule: an address is text in one spelling, RFC 5952 without dots for IPv6, dotted for IPv4, so equal
addresses are equal texts.
"""

from __future__ import annotations

from dataclasses import dataclass

from srv6kv.ligato.endfunctions import END_FUNCTIONS
from srv6kv.net import addresses

SECTIONS = ("localsids", "policies", "steerings")
COMMANDS = ("show sr localsids", "show sr policies", "show sr steering-policies")
"""What VPP is asked for each."""
_LINES = {"outgoing_interface": "Iface", "next_hop": "Next hop", "vrf_id": "Table"}
BUILT_IN: dict[str, tuple[str, ...]] = {
    **{
        row.keyword: tuple(_LINES[field] for field in row.needs)
        for row in END_FUNCTIONS.values()
        if not row.is_plugin
    },
    "uN": (),
    "uA": ("Iface", "Next hop"),
}
"""VPP's own behaviours and the lines that say where each leads; the others are plugins'."""
UNSET = "::"
"""The encap source of a VPP that was given none."""
DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class SegmentList:
    """One path of a policy.

    Attributes:
        weight: as printed; VPP before 20.05 may print digits behind it that are none of it.
    """

    segments: tuple[str, ...]
    weight: int
    index: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy.

    Attributes:
        kind: ``Default``, ``Spray`` or ``TEF``; older versions print TEF as Spray.
        encap_source: None if this VPP does not print it (before 23.06, or no encapsulation).
        index: in VPP's pool.
    """

    bsid: str
    is_encap: bool
    kind: str
    table: int
    lists: tuple[SegmentList, ...]
    encap_source: str | None = None
    index: int = 0


@dataclass(frozen=True, slots=True)
class Localsid:
    """A localsid; no VPP prints in which table it is.

    Attributes:
        length: of its prefix; None where it is not printed, always so before 20.05.
        behaviour: VPP's keyword: ``End``, ``DX6``, ``uN``, ``End.AD``.
        interface: VPP's name, or ``DELETED``, with a number behind it in the newest.
        table: id of the table that is looked up; before 20.05 it may be VPP's index of it.
    """

    sid: str
    length: int | None
    behaviour: str
    interface: str | None = None
    next_hop: str | None = None
    table: int | None = None
    has_psp: bool = False
    details: tuple[str, ...] = ()

    @property
    def is_deleted(self) -> bool:
        """Whether the interface that it sends to is no more."""
        return (self.interface or "").partition(" ")[0] == DELETED


@dataclass(frozen=True, slots=True)
class Steering:
    """A steering; no VPP prints in which table it is.

    Attributes:
        traffic: an interface, or ``address/length`` with the host bits that VPP holds.
    """

    kind: str
    traffic: str
    bsid: str


@dataclass(frozen=True, slots=True)
class ShowSr:
    """What VPP has; None: that output is not there.

    Attributes:
        unsupported: localsids that VPP can not print (DX2 with a VLAN tag).
        elided: outputs of which a part was cut out.
    """

    localsids: tuple[Localsid, ...] | None = None
    policies: tuple[Policy, ...] | None = None
    steerings: tuple[Steering, ...] | None = None
    encap_source: str | None = None
    unsupported: int = 0
    elided: frozenset[str] = frozenset()

    @property
    def may_be_old(self) -> bool:
        """Whether nothing in it shows that this VPP is 20.05 or later: weights may have digits that
        are none, tables of localsids may be indexes."""
        return (
            self.encap_source is None
            and all(item.length is None for item in self.localsids or ())
            and all(item.encap_source is None for item in self.policies or ())
        )


def address_of(text: str) -> str:
    """The one spelling of an address, however it is written.

    Raises:
        ValueError: it is none.
    """
    return text if addresses.is_ipv4(text) else addresses.to_text(addresses.to_int(text))


def prefix_of(text: str) -> str:
    """The one spelling of ``address/length``; host bits stay, as VPP's API does not mask them.

    Raises:
        ValueError: it is none.
    """
    address, _, length = text.partition("/")
    plain = address_of(address)
    is_number = length.isascii() and length.isdigit() and len(length) <= 3
    if not is_number or int(length) > addresses.host_length(plain):
        raise ValueError(f"{text[:60]!r} is not a prefix")
    return f"{plain}/{int(length)}"
