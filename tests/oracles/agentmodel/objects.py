"""What is in a VPP, and how it says no."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")


class Call(NamedTuple):
    """One message that VPP got.

    Attributes:
        name: localsid_add, localsid_del, policy_add, policy_del, list_add, list_del,
            steering_add, steering_del, encap_source, cli, plain_add or plain_del.
        about: the address, BSID, prefix, command or key.
        code: VPP's return value.
    """

    name: str
    about: str
    code: int = 0


class VppError(Exception):
    """VPP's return value, as the agent prints it (agent rule A47)."""

    def __init__(self, code: int) -> None:
        text = _TEXTS.get(code, "")
        super().__init__(f"VPPApiError: {text} ({code})" if text else f"VPPApiError: {code}")
        self.code = code


_TEXTS = {
    -1: "Unspecified Error",
    -2: "Invalid sw_if_index",
    -3: "No such FIB / VRF",
    -4: "No such inner FIB / VRF",
    -12: "System call error #2",
    -13: "System call error #3",
}


@dataclass(slots=True)
class Pool(Generic[Item]):
    """VPP's pool: an index that was given back is used again, the last one first."""

    items: list[Item | None] = field(default_factory=list)
    free: list[int] = field(default_factory=list)

    def add(self, item: Item) -> int:
        """The index that it gets."""
        if self.free:
            index = self.free.pop()
            self.items[index] = item
            return index
        self.items.append(item)
        return len(self.items) - 1

    def remove(self, index: int) -> None:
        """Give an index back."""
        self.items[index] = None
        self.free.append(index)

    def all(self) -> list[tuple[int, Item]]:
        """What is there, by index."""
        return [(index, item) for index, item in enumerate(self.items) if item is not None]


@dataclass(frozen=True, slots=True)
class Localsid:
    """One of "my localsids"; the installation table is never shown (VPP rule V12)."""

    address: str
    vrf: int
    behaviour: str
    interface: str = ""
    next_hop: str = ""
    table: int = 0
    psp: bool = False


@dataclass(frozen=True, slots=True)
class SegmentList:
    """A list of a policy; its encap source is the one of its birth (VPP rule V10)."""

    segments: tuple[str, ...]
    weight: int
    source: str


@dataclass(slots=True)
class Policy:
    """A policy; its lists have indexes of one pool for all policies, in the order of their use."""

    bsid: str
    vrf: int
    is_encap: bool
    is_spray: bool
    lists: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Steering:
    """What an address, length and table lead to, by the policy's BSID (VPP rule V3)."""

    vrf: int
    prefix: str
    interface: str
    bsid: str


@lru_cache(maxsize=65536)
def canonical(text: str) -> str:
    """An IPv6 address as VPP prints it; IPv4 text is mapped, as Go's parser does."""
    address = IPv6Address(f"::ffff:{text}" if ":" not in text else text)
    return str(address)
