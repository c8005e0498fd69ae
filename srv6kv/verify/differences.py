"""Differences between etcd, the agent and VPP, and what is compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from srv6kv import foreign
from srv6kv.agent.needs import Means
from srv6kv.ligato import keys
from srv6kv.plan import ownership
from srv6kv.plan.ownership import Ranges
from srv6kv.sync.ledgerkeys import ledger_of

SRV6 = "config/vpp/srv6/v2/"
SRV6_GLOBAL = SRV6 + "srv6-global"
FOREIGN = "Foreign"
ETCD, AGENT, VPP = PLACES = ("etcd", "agent", "VPP")

COMMAND = "{command}"
"""Stands in a remedy's text for the command that does it."""
FOREIGN_KEY = {
    Means.REWRITE: "have its writer delete it, wait 2 s and put it again",
    Means.RECREATE: "have its writer delete it, wait 2 s and put it again",
    Means.REBIND: "have its writer give it another BSID",
    Means.RESEND: "have its writer put it again",
}
"""What stands for a command where the key is not srv6kv's."""

Json = Mapping[str, Any]
Decode = Callable[[str, bytes], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to do about a difference.

    Attributes:
        means: of ``srv6kv repair``; None: it has none for it.
        text: in words; with a means ``COMMAND`` stands in it until the key is known.
    """

    means: Means | None
    text: str = COMMAND

    def of(self, label: str, key: str | None, *, is_ours: bool) -> Remedy:
        """Name the command for a key of a label; None: for all keys."""
        if self.means is None:
            return self
        command = f"srv6kv repair --means {self.means} --label {label}"
        if key is not None:
            command = f"{command} --key {key}" if is_ours else FOREIGN_KEY[self.means]
        return replace(self, text=self.text.replace(COMMAND, command))


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which the agent or VPP differs from etcd, or etcd from what the agent accepts.

    Attributes:
        subject: a key (``config/...``) of etcd, of the agent, or that the object would have; a
            steering of VPP without a key: ``steering <prefix>``.
        where: ``etcd``, ``agent`` or ``VPP``: where it was found.
        reason: stable CamelCase name; ``docs/verify.md`` lists them.
        what: the difference itself.
        cause: the likely one.
        remedy: what to do.
    """

    subject: str
    where: str
    reason: str
    what: str
    cause: str
    remedy: Remedy

    @property
    def is_foreign(self) -> bool:
        """Whether the object is of another writer, so that nothing is wrong with it."""
        return self.reason == FOREIGN


class Interface(msgspec.Struct, frozen=True):
    """An interface's value, as far as VPP's name of it follows."""

    type: str | int = ""


@dataclass(frozen=True, slots=True)
class DesiredKeys:
    """The content of etcd for one agent. Keys are in short form.

    Attributes:
        label: of the agent.
        keys: all below ``config/``.
        values: those of SRv6 that the agent can decode, with canonical names.
        unreadable: those of SRv6 that it cannot, and why.
        interfaces: by logical name.
        ranges: what srv6kv has noted as its own.
        shared: keys that srv6kv made because others lacked them.
    """

    label: str = ""
    keys: frozenset[str] = frozenset()
    values: Mapping[str, Json] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    interfaces: Mapping[str, Interface] = field(default_factory=dict)
    ranges: Ranges = field(default_factory=Ranges)
    shared: frozenset[str] = frozenset()

    def concerns(self, key: str) -> bool:
        """Whether a key is compared: all of SRv6, and whatever is srv6kv's."""
        return key.startswith(SRV6) or key in self.shared or self.ranges.owns(key)


def desired_of(label: str, entries: Mapping[str, bytes], decode: Decode) -> DesiredKeys:
    """Read the content of etcd.

    Args:
        entries: all keys (full form) below ``/vnf-agent/<label>/config/`` and ``/srv6kv/<label>/``.
        decode: a value as the agent reads it, or ValueError if it cannot.
    """
    prefix, own_prefix = keys.agent_prefix(label), ownership.own_prefix(label)
    noted = {k.removeprefix(own_prefix): v for k, v in entries.items() if k.startswith(own_prefix)}
    below = {k.removeprefix(prefix): v for k, v in entries.items() if k.startswith(prefix)}
    ledger = ledger_of(noted)
    values, unreadable = {}, {}
    for key in (key for key in below if key.startswith(SRV6)):
        try:
            values[key] = decode(key, below[key])
        except ValueError as error:
            unreadable[key] = str(error).removeprefix(f"{key}: ")
    return DesiredKeys(
        label,
        frozenset(key for key in below if key.startswith(keys.CONFIG)),
        values,
        unreadable,
        _interfaces(below),
        ledger.ranges,
        frozenset(key for key in ledger.shared if key in below),
    )


def _interfaces(entries: Mapping[str, bytes]) -> dict[str, Interface]:
    found = {}
    for key, value in entries.items():
        if key.startswith(keys.INTERFACE):
            try:
                name = key.removeprefix(keys.INTERFACE)
                found[name] = foreign.decode(value, Interface)
            except foreign.Unreadable:  # then VPP's name of it is unknown
                continue
    return found
