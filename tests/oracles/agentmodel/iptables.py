"""The rule chains of all network namespaces, as iptables keeps them.

Rule: agent rules A32 and A50, measured on the real agent with iptables 1.8.9.
"""

from __future__ import annotations

from collections.abc import Iterable

Table = tuple[str, str, str]
"""Namespace, family, table."""
_BUILT_IN = {
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "raw": ("PREROUTING", "OUTPUT"),
    "security": ("INPUT", "FORWARD", "OUTPUT"),
}
_TARGETS = ("ACCEPT", "DROP", "DNAT", "CT", "REDIRECT", "RETURN", "QUEUE")


class IptablesError(Exception):
    """A command that iptables refuses."""


class Iptables:
    """What is there.

    Attributes:
        moments: after each command, the table, its built-in chain and the rules that a packet meets
            in it, those of the chains that it jumps to in their places.
    """

    def __init__(self) -> None:
        self.moments: list[tuple[Table, str, tuple[str, ...]]] = []
        self._tables: dict[Table, dict[str, list[str]]] = {}

    def rules(self, table: Table, chain: str) -> tuple[str, ...]:
        """``-S`` of one chain, without its own name."""
        policy = (f"-P {chain} ACCEPT",) if chain in _BUILT_IN[table[2]] else ()
        return (*policy, *self._chains(table)[chain])

    def met(self, table: Table, chain: str) -> tuple[str, ...]:
        """The rules that a packet meets in a chain."""
        found: list[str] = []
        for rule in self._chains(table)[chain]:
            target = _target(rule)
            found += [rule] if target in _TARGETS else self.met(table, target)
        return tuple(found)

    def new(self, table: Table, chain: str) -> None:
        """``-N``."""
        self._chains(table).setdefault(chain, [])

    def flush(self, table: Table, chain: str) -> None:
        """``-F``."""
        self._chains(table)[chain].clear()
        self._note(table)

    def append(self, table: Table, chain: str, rules: Iterable[str]) -> None:
        """``-A``, for each of the rules."""
        for rule in rules:
            target = _target(rule)
            if target not in _TARGETS and target not in self._chains(table):
                raise IptablesError(f"ip6tables: Chain '{target}' does not exist")
            self._chains(table)[chain].append(rule)
            self._note(table)

    def delete(self, table: Table, chain: str) -> None:
        """``-X``."""
        users = (rule for rules in self._chains(table).values() for rule in rules)
        if any(_target(rule) == chain for rule in users):
            command = f"running [/usr/sbin/ip6tables -t {table[2]} -X {chain} --wait]"
            why = f"CHAIN_DEL failed (Device or resource busy): chain {chain}"
            text = f"{command}: exit status 4: ip6tables v1.8.9 (nf_tables):  {why}\n"
            raise IptablesError(text)
        self._chains(table).pop(chain, None)

    def _chains(self, table: Table) -> dict[str, list[str]]:
        if table not in self._tables:
            self._tables[table] = {chain: [] for chain in _BUILT_IN[table[2]]}
        return self._tables[table]

    def _note(self, table: Table) -> None:
        self.moments += [(table, chain, self.met(table, chain)) for chain in _BUILT_IN[table[2]]]


def _target(rule: str) -> str:
    return rule.partition("-j ")[2].partition(" ")[0]
