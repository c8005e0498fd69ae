"""A pod's rule chains among the keys of an agent: a built-in chain jumps to two copies of rules.
Written by hand, as the product's names are what is to be shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PREFIX = "config/linux/iptables/v2/rulechain/"
COPIES = {"PREROUTING": ("DNAT-a", "DNAT-b"), "OUTPUT": ("NOTRACK-a", "NOTRACK-b")}
JUMPS = ["-j srv6kv-a", "-j srv6kv-b"]


def chain_keys(sandbox: str, family: str = "") -> list[str]:
    """All keys of a pod's chains, in the order in which they are put.

    Args:
        family: ``-IPv4`` for those of IPv4.
    """
    parts = [*COPIES["PREROUTING"], *COPIES["OUTPUT"], "OUTPUT", "PREROUTING"]
    return [f"{PREFIX}srv6kv-{sandbox}-{part}{family}" for part in parts]


def rules_of(
    values: Mapping[str, Any], sandbox: str, chain: str = "PREROUTING", family: str = ""
) -> list[str]:
    """The rules that a packet meets in a built-in chain of a pod, the same in both copies."""
    start = f"{PREFIX}srv6kv-{sandbox}-"
    first, second = (values[f"{start}{copy}{family}"] for copy in COPIES[chain])

    assert values[f"{start}{chain}{family}"]["rules"] == JUMPS
    assert (first["chain_name"], second["chain_name"]) == ("srv6kv-a", "srv6kv-b")
    assert first["rules"] == second["rules"]
    rules: list[str] = first["rules"]
    return rules
