"""The SID formula and the constant SIDs of a node (rule N1)."""

from __future__ import annotations

from functools import lru_cache

from srv6kv.net.addresses import Prefix, mask, to_int, to_text

DISCARD_HOST = "::dead"
"""Low bits of the discard SID (rule R10)."""


@lru_cache(maxsize=65536)
def sid_of(prefix: Prefix, address: str) -> str:
    """``(prefix & mask) | (address & ~mask)``: the SID or BSID of an address; IPv4 as mapped."""
    return to_text(prefix.network | (to_int(address) & ~mask(prefix.length)))


def host_sid(prefix: Prefix, *, ipv4: bool = False) -> str:
    """The SID of a node's host, the same on all nodes: the prefix on ``::1``. What decapsulates
    IPv4 is another end function and needs another SID, that of ``0.0.0.1``."""
    return sid_of(prefix, "0.0.0.1" if ipv4 else "::1")


def discard_sid(node_prefix: Prefix) -> str:
    """A SID of ours that no localsid answers: the node SID prefix on ``::dead``."""
    return sid_of(node_prefix, DISCARD_HOST)
