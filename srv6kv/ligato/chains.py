"""Names of srv6kv's rule chains in a pod: a built-in chain that jumps to two copies of the rules.

Rule (decision 0040): the agent empties a chain before it writes it, and a built-in one at every
resync. So the built-in chain never changes, and its rules are in two custom chains, of which one
works while the other one is changed.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple, Self

from srv6kv.ligato import keys

COPIES = ("a", "b")
"""In the order in which packets meet them."""


def custom_name(copy: str) -> str:
    """The name of a copy of the rules in iptables, the same in every pod and table."""
    return keys.OUR_RULE_CHAIN + copy


JUMPS = tuple(f"-j {custom_name(copy)}" for copy in COPIES)
"""The rules of each built-in chain."""
_IPV4 = "-IPv4"


class Hook(Enum):
    """A built-in chain of ours: its table, its name, and what its rules do.

    Their keys must be in this order as text, the copies before the chain that jumps to them: so the
    agent creates them at a resync (agent rule A40), and a jump to a chain that is not there fails.
    """

    TRANSLATE = ("NAT", "PREROUTING", "DNAT")
    NOT_TRACK = ("RAW", "OUTPUT", "NOTRACK")

    def __init__(self, table: str, chain: str, rules: str) -> None:
        self.table = table
        self.chain = chain
        self.rules = rules


class ChainName(NamedTuple):
    """A name of a chain of ours.

    Attributes:
        copy: of the rules; "": the built-in chain.
    """

    sandbox: str
    hook: Hook
    copy: str = ""
    is_ipv4: bool = False

    @property
    def text(self) -> str:
        """The name in the agent."""
        part = f"{self.hook.rules}-{self.copy}" if self.copy else self.hook.chain
        return f"{keys.OUR_RULE_CHAIN}{self.sandbox}-{part}{_IPV4 if self.is_ipv4 else ''}"

    @property
    def key(self) -> keys.Key:
        """The key of the chain."""
        return keys.rule_chain(self.text)

    @property
    def builtin(self) -> Self:
        """The built-in chain that packets come from, or that it is."""
        return self._replace(copy="")

    @property
    def copies(self) -> tuple[Self, Self]:
        """The two copies of the same rules, in order."""
        first, second = COPIES
        return self._replace(copy=first), self._replace(copy=second)

    @classmethod
    def of(cls, key: str) -> Self | None:
        """The name behind a key (short form); None: it is none of ours."""
        found = _NAME.fullmatch(key)
        if found is None:
            return None
        hook = _BY_PART[found["chain"] or found["rules"]]
        return cls(found["sandbox"], hook, found["copy"] or "", bool(found["ipv4"]))


_BY_PART = {part: hook for hook in Hook for part in (hook.chain, hook.rules)}
_NAME = re.compile(
    re.escape(keys.RULE_CHAIN + keys.OUR_RULE_CHAIN)
    + r"(?P<sandbox>.+)-"
    + rf"(?:(?P<chain>{'|'.join(hook.chain for hook in Hook)})"
    + rf"|(?P<rules>{'|'.join(hook.rules for hook in Hook)})-(?P<copy>{'|'.join(COPIES)}))"
    + rf"(?P<ipv4>{_IPV4})?"
)


def is_builtin(key: str) -> bool:
    """Whether a key (short form) is that of a built-in chain of ours, which jumps to others."""
    name = ChainName.of(key)
    return name is not None and not name.copy


def is_copy(key: str) -> bool:
    """Whether a key (short form) is that of a copy of the rules, beside which there is another."""
    name = ChainName.of(key)
    return name is not None and bool(name.copy)
