"""What VPP needs before it has any SR policy."""

from __future__ import annotations


def commands(source: str, main_vrf: int) -> str:
    """The commands for VPP's start-up exec file, one a line (decision 0033).

    Without the first, encapsulated packets have the source ``::``. The second takes the flow label
    out of the hash that chooses an endpoint: a client that changes it, as Linux does after a lost
    packet, would go on at another endpoint.

    Args:
        source: the node's address.
        main_vrf: the VRF of the policies. VPP starts with VRF 0 only, so another one is left as
            it is.
    """
    lines = [f"set sr encaps source addr {source}\n"]
    if main_vrf == 0:
        lines.append("set ip6 flow-hash table 0 src dst sport dport proto\n")
    return "".join(lines)
