"""iptables rules of a pod, as far as srv6kv writes them."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from srv6kv.cluster.attachment import sandbox_of
from srv6kv.ligato.chains import JUMPS, ChainName
from srv6kv.ligato.values import Namespace, RuleChain
from srv6kv.net.addresses import Prefix, is_ipv4
from srv6kv.trace.hops import Packet

_ADDRESS = r"[0-9a-f.:]+"
_DNAT = re.compile(
    rf"-d (?P<destination>{_ADDRESS}/\d+) -p (?P<protocol>\w+) -m (?P=protocol)"
    rf" --dport (?P<port>\d+)(?::(?P<last>\d+) -j DNAT --to-destination (?P<pods>{_ADDRESS})"
    rf"| -j DNAT --to-destination \[?(?P<pod>{_ADDRESS}?)\]?:(?P<target>\d+))"
)
_NOTRACK = re.compile(rf"-d (?P<destination>{_ADDRESS}/\d+) -j CT --notrack")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        destination: of the packets that it takes; None: it is a rule of another kind.
        protocol: of these packets; "" for all.
        ports: of these packets.
        target: address and port that take the place of the destination; port 0: they keep theirs.
            None: CT --notrack.
    """

    text: str
    destination: Prefix | None = None
    protocol: str = ""
    ports: range = range(0)
    target: tuple[str, int] | None = None

    def takes(self, packet: Packet) -> bool:
        """Whether a packet meets it; a rule of another kind is not asked."""
        return (
            self.destination is not None
            and packet.destination in self.destination
            and (
                not self.protocol
                or (self.protocol == packet.protocol and packet.port in self.ports)
            )
        )


@dataclass(frozen=True, slots=True)
class Chain:
    """The rules of a chain of iptables in one namespace.

    Attributes:
        chain: its name; of a built-in one its type.
    """

    key: str
    namespace: Namespace
    table: str
    chain: str
    is_ipv4: bool
    is_builtin: bool
    rules: tuple[Rule, ...]

    def is_in(self, namespace: Namespace, interface: str, packet: Packet) -> bool:
        """Whether a packet of a pod meets it.

        Args:
            namespace: of the pod; without a reference the chain's name decides.
            interface: VPP's interface to the pod.
        """
        if self.is_ipv4 != is_ipv4(packet.destination):
            return False
        if namespace.reference:
            return self.namespace == namespace
        name = ChainName.of(self.key)
        return name is not None and name.sandbox == sandbox_of(interface)


def first_met(
    chains: Collection[Chain],
    place: tuple[str, str],
    namespace: Namespace,
    interface: str,
    packet: Packet,
) -> tuple[str, Rule] | None:
    """The first rule that a packet meets, or might meet because it is of another kind; in a chain
    that a built-in one jumps to as well.

    Args:
        chains: of all namespaces.
        place: table and chain.

    Returns:
        The key of its chain and the rule.
    """
    for chain in chains:
        if (chain.table, chain.chain) == place and chain.is_in(namespace, interface, packet):
            for rule in chain.rules:
                if chain.is_builtin and rule.text in JUMPS:
                    to = (chain.table, rule.text.removeprefix("-j "))
                    met = first_met(chains, to, namespace, interface, packet)
                    if met is not None:
                        return met
                elif rule.destination is None or rule.takes(packet):
                    return chain.key, rule
    return None


def chain_of(key: str, value: RuleChain) -> Chain:
    """The chain behind a key."""
    is_custom = value.chain_type in ("", "CUSTOM")
    return Chain(
        key,
        value.namespace,
        value.table,
        value.chain_name if is_custom else value.chain_type,
        value.protocol.upper() != "IPV6",
        not is_custom,
        tuple(map(_rule, value.rules)),
    )


def _rule(text: str) -> Rule:
    found = _DNAT.fullmatch(text) or _NOTRACK.fullmatch(text)
    if found is None:
        return Rule(text)
    parts = found.groupdict()
    try:
        destination = Prefix.parse_any(parts["destination"])
        if "port" not in parts:
            return Rule(text, destination)
        first = int(parts["port"])
        ports = range(first, int(parts["last"] or first) + 1)
        target = (parts["pod"] or parts["pods"], int(parts["target"] or 0))
        return Rule(text, destination, parts["protocol"].upper(), ports, target)
    except ValueError:
        return Rule(text)
