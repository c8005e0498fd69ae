"""The flow hash by which VPP chooses a bucket: ``ip6_compute_flow_hash`` and its twin for IPv4.

Rule: addresses and ports are loaded as they stand in the packet by a little-endian machine (x86,
arm64). VPP's router id is taken as 0, its default, and a path without any other load balance in
front of the policy's (VPP rule V6).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from srv6kv.net.addresses import is_ipv4, to_int

FIVE_TUPLE = frozenset({"src", "dst", "sport", "dport", "proto"})
"""What the start-up commands of ``vpp-exec`` set: 0x1f, VPP's default up to 21.01."""
WITH_FLOW_LABEL = FIVE_TUPLE | {"flowlabel"}
"""VPP's default since 21.06: 0x9f."""
BITS = ("src", "dst", "sport", "dport", "proto", "reverse", "symmetric", "flowlabel")
"""VPP's words for a flow hash, lowest bit first."""
PROTOCOLS = {"TCP": 6, "UDP": 17, "SCTP": 132}
FRAGMENT = 44
"""Protocol of an IPv6 header that a fragment header follows."""
_WITH_PORTS = (PROTOCOLS["TCP"], PROTOCOLS["UDP"])
_STEPS = ((43, 9, 8), (38, 23, 5), (35, 49, 11), (12, 18, 22))
_TURNS = (4, 6, 8, 16, 19, 4)
_LAST_TURNS = (14, 11, 25, 16, 4, 14, 24)
_64 = (1 << 64) - 1
_32 = (1 << 32) - 1

Loader = Callable[[str], int]
"""An address as the number that is mixed."""


@dataclass(frozen=True, slots=True)
class Flow:
    """What of a packet goes into its hash.

    Attributes:
        protocol: its number; ports count only with TCP and UDP.
        label: the IPv6 flow label, 20 bits.
    """

    source: str
    destination: str
    protocol: int
    source_port: int
    port: int
    label: int = 0


def config_of(text: str) -> frozenset[str]:
    """The words of a flow hash, as in VPP's ``set ip6 flow-hash``, or the number VPP prints.

    Raises:
        ValueError: it is none.
    """
    words = text.replace(",", " ").split()
    if len(words) == 1 and words[0][0].isdigit():
        try:
            number = int(words[0], 0)
        except ValueError:
            number = 0
        if not 0 < number < 1 << len(BITS):
            raise ValueError(f"{text!r} is not a flow hash of {', '.join(BITS)}")
        return frozenset(word for bit, word in enumerate(BITS) if number >> bit & 1)
    unknown = [word for word in words if word not in BITS]
    if unknown or not words:
        raise ValueError(f"{' '.join(unknown)!r} is none of {', '.join(BITS)}")
    return frozenset(words)


def flow_hash(flow: Flow, config: frozenset[str] = FIVE_TUPLE) -> int:
    """The 32 bits that VPP computes of a packet.

    Raises:
        ValueError: an address is none, the two are of different families, or it is an IPv4 packet
            of which not both ports count: there versions of VPP differ.
    """
    if is_ipv4(flow.source) != is_ipv4(flow.destination):
        raise ValueError(f"{flow.source} and {flow.destination} are of different families")
    if not is_ipv4(flow.source):
        source, destination, ports = _words(_folded, flow, config)
        label = flow.label if "flowlabel" in config else 0
        return _mix64(source, destination, ports ^ label) & _32
    if flow.protocol not in _WITH_PORTS or not {"sport", "dport"} <= config:
        raise ValueError("versions of VPP differ in the hash of IPv4 without ports")
    return _finish(*_mix32(*_words(_little4, flow, config)))


def _words(load: Loader, flow: Flow, config: frozenset[str]) -> tuple[int, int, int]:
    """Both addresses, the second with the protocol, then both ports: what is mixed."""
    has_ports = flow.protocol in _WITH_PORTS
    source = load(flow.source) if "src" in config else 0
    destination = load(flow.destination) if "dst" in config else 0
    from_port = _swapped(flow.source_port) if has_ports and "sport" in config else 0
    to_port = _swapped(flow.port) if has_ports and "dport" in config else 0
    is_turned = "reverse" in config
    if is_turned:
        source, destination = destination, source
    if "symmetric" in config:
        source, destination = sorted((source, destination))
        from_port, to_port = sorted((from_port, to_port))
    if is_turned:
        from_port, to_port = to_port, from_port
    protocol = flow.protocol if "proto" in config else 0
    return source, destination ^ protocol, to_port << 16 | from_port


def _swapped(port: int) -> int:
    return int.from_bytes(port.to_bytes(2, "big"), "little")


def _folded(address: str) -> int:
    octets = to_int(address).to_bytes(16, "big")
    return int.from_bytes(octets[:8], "little") ^ int.from_bytes(octets[8:], "little")


def _little4(address: str) -> int:
    return int.from_bytes((to_int(address) & _32).to_bytes(4, "big"), "little")


def _mix64(a: int, b: int, c: int) -> int:
    """Bob Jenkins' mix of three 64-bit words; the third of the result."""
    for first, second, third in _STEPS:
        a = (a - b - c & _64) ^ c >> first
        b = (b - c - a & _64) ^ a << second & _64
        c = (c - a - b & _64) ^ b >> third
    return c


def _turned(value: int, bits: int) -> int:
    return (value << bits | value >> 32 - bits) & _32


def _mix32(a: int, b: int, c: int) -> tuple[int, int, int]:
    """Bob Jenkins' lookup3 mix of three 32-bit words: they take turns."""
    for bits in _TURNS:
        a, c = (a - c & _32) ^ _turned(c, bits), c + b & _32
        a, b, c = b, c, a
    return a, b, c


def _finish(a: int, b: int, c: int) -> int:
    """The end of lookup3; the third word, which is worked on first and last."""
    for bits in _LAST_TURNS:
        c = (c ^ b) - _turned(b, bits) & _32
        a, b, c = b, c, a
    return b
