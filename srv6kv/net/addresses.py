"""IPv6 addresses and prefixes as the agent and VPP print them.

Rule: an address in srv6kv is a ``str`` in RFC 5952 form, lower case, never IPv4-mapped: the agent
and VPP compare addresses as text. Whatever enters from outside passes through ``canonical`` once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

ALL_ONES = (1 << 128) - 1
_MAPPED = 0xFFFF  # the 96 bits before an IPv4 address
_DOTTED_BY_LIBC = 1 << 48  # ::a.b.c.d and ::ffff:a.b.c.d, the two forms libc prints with dots


@lru_cache(maxsize=65536)
def to_int(text: str) -> int:
    """The 128 bits of an address, an IPv4 one as mapped (rule N1); ValueError for anything else."""
    if is_ipv4(text):
        return _MAPPED << 32 | int.from_bytes(inet_pton(AF_INET, text), "big")
    try:
        return int.from_bytes(inet_pton(AF_INET6, text), "big")
    except (OSError, UnicodeError, ValueError):
        raise ValueError(f"{text!r} is not an IPv6 address") from None


def ipv4_text(bits: int) -> str:
    """Dotted text of the low 32 bits."""
    return inet_ntop(AF_INET, (bits & 0xFFFFFFFF).to_bytes(4, "big"))


@lru_cache(maxsize=65536)
def to_text(bits: int) -> str:
    """RFC 5952 text of 128 bits, hexadecimal throughout, as VPP prints it."""
    if bits < _DOTTED_BY_LIBC:
        return _hexadecimal(bits)
    return inet_ntop(AF_INET6, bits.to_bytes(16, "big"))


def _hexadecimal(bits: int) -> str:
    # Addresses below ::1:0:0:0 only: their longest zero run is always the leading one.
    groups = f"{bits:012x}"
    low = [int(groups[i : i + 4], 16) for i in (0, 4, 8)]
    while low and low[0] == 0:
        low.pop(0)
    return "::" + ":".join(f"{group:x}" for group in low)


@lru_cache(maxsize=65536)
def canonical(text: str) -> str:
    """The one spelling of an IPv6 address; ValueError if it is mapped (agent rule 2), or none."""
    if is_ipv4(text):
        raise ValueError(f"{text!r} is not an IPv6 address")
    bits = to_int(text)
    if bits >> 32 == _MAPPED:
        raise ValueError(f"{text!r} is an IPv4-mapped address")
    return to_text(bits)


def canonical_of_any(text: str) -> str:
    """The one spelling of an address of either family; ValueError if it is none, or IPv4-mapped."""
    return text if is_ipv4(text) else canonical(text)


def is_canonical(text: str) -> bool:
    """Whether a text is an address in its one spelling."""
    try:
        return canonical(text) == text
    except ValueError:
        return False


def is_ipv4(text: str) -> bool:
    """Whether the text is a dotted IPv4 address."""
    if "." not in text:
        return False
    try:
        inet_pton(AF_INET, text)
    except (OSError, UnicodeError, ValueError):
        return False
    return True


def host_length(address: str) -> int:
    """Length of the prefix that holds one canonical address and no other."""
    return 32 if "." in address else 128


def network_of(destination: str) -> str:
    """``network/length`` of a destination that is one address, or such a text already."""
    if "/" in destination:
        return destination
    return f"{destination}/{host_length(destination)}"


def is_ordinary(text: str) -> bool:
    """Whether a canonical address can be a pod, node or service: unicast beyond its own link."""
    address = ip_address(text)
    return not (
        address.is_unspecified
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
    )


@dataclass(frozen=True, slots=True)
class Prefix:
    """An IPv6 prefix: its network bits and its length."""

    network: int
    length: int

    @classmethod
    def parse(cls, text: str) -> Prefix:
        """The IPv6 prefix of ``address/length``, host bits cleared as by Go's ParseCIDR; or
        ValueError."""
        address, slash, length = text.partition("/")
        if not slash or not length.isascii() or not length.isdigit() or int(length) > 128:
            raise ValueError(f"{text!r} is not an IPv6 prefix")
        canonical(address)
        return cls(to_int(address) & mask(int(length)), int(length))

    @classmethod
    def parse_any(cls, text: str) -> Prefix:
        """The prefix of either family, one of IPv4 as that of the mapped addresses; or
        ValueError."""
        address, slash, length = text.partition("/")
        if not is_ipv4(address):
            return cls.parse(text)
        if not slash or not length.isascii() or not length.isdigit() or int(length) > 32:
            raise ValueError(f"{text!r} is not an IPv4 prefix")
        return cls(to_int(address) & mask(96 + int(length)), 96 + int(length))

    @property
    def is_ipv4(self) -> bool:
        """Whether it holds IPv4 addresses."""
        return self.length >= 96 and self.network >> 32 == _MAPPED

    def __str__(self) -> str:
        if self.is_ipv4:
            return f"{ipv4_text(self.network)}/{self.length - 96}"
        return f"{to_text(self.network)}/{self.length}"

    def __contains__(self, address: object) -> bool:
        return isinstance(address, str) and to_int(address) & mask(self.length) == self.network

    def covers(self, other: Prefix) -> bool:
        """Whether every address of the other prefix lies in this one."""
        return other.length >= self.length and other.network & mask(self.length) == self.network

    def host(self, number: int) -> str:
        """The address with this host number; ValueError if the number does not fit."""
        if not 0 <= number < 1 << (128 - self.length):
            raise ValueError(f"{self} has no host number {number}")
        return (ipv4_text if self.is_ipv4 else to_text)(self.network | number)


EVERY_IPV4 = Prefix(_MAPPED << 32, 96)
EVERY_ADDRESS = (Prefix(0, 0), EVERY_IPV4)
"""Of both families."""


@lru_cache(maxsize=129)
def mask(length: int) -> int:
    """The network mask of a prefix length, 128 bits wide."""
    return ALL_ONES ^ (ALL_ONES >> length)
