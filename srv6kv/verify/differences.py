"""Differences between etcd, the agent and VPP, and what is compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from srv6kv import foreign
from srv6kv.agent.connection import REMEDY
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
        where: of ``PLACES``.
        reason: stable CamelCase name; ``docs/verify.md`` lists them.
        cause: the likely one.
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


_NOTHING = Remedy(None, "nothing, unless it should not be there")
_CASES: dict[tuple[str, str], tuple[str, Remedy]] = {
    (ETCD, "Unreadable"): (
        "its writer spells the agent's JSON in another way",
        Remedy(None, "put a value that the agent can read; until then it keeps an old one, if any"),
    ),
    (ETCD, "KeyMismatch"): (
        "key and value were written apart; the agent refuses the pair, and at a resync the agent"
        " drops all keys because of it",
        Remedy(None, "delete this key, and put the value under the right one"),
    ),
    (ETCD, "Invalid"): (
        "the agent or VPP refuses such a value",
        Remedy(None, "correct the value; what an earlier one made stays in VPP until then"),
    ),
    (ETCD, "BsidPrefix"): (
        "the agent looks a BSID up by its beginning in VPP's text, and may find the other",
        Remedy(Means.REBIND, f"give one of them another BSID: {COMMAND}"),
    ),
    (ETCD, "SharedPrefix"): (
        "VPP has one entry for both: the last one that was written counts, and deleting either"
        " deletes it",
        Remedy(Means.REWRITE, f"delete one of the keys, then {COMMAND}"),
    ),
    (AGENT, "AgentReadsNothing"): (
        "it reads another etcd or another label, has not begun, or dropped a resync in which one"
        " key did not fit its value",
        Remedy(
            None,
            "compare the agent's MICROSERVICE_LABEL and etcd.conf with --label and --etcd; see its"
            " log",
        ),
    ),
    (AGENT, "LostVpp"): (
        "VPP has crashed, or was away for longer than the agent waits (3 to 20 s)",
        Remedy(None, f"{REMEDY}; nothing written to etcd helps"),
    ),
    (AGENT, "NotInAgent"): (
        "it has missed the change, has not come to it yet, its state was lost on the way to etcd,"
        " or its image has no plugin for it",
        Remedy(Means.RESEND, f"{COMMAND}, which writes the key as it is; then ask again"),
    ),
    (AGENT, "Invalid"): (
        "the agent refuses the value; what an earlier value of the key made stays in VPP, and the"
        " agent has forgotten it",
        Remedy(
            None, "correct the value; if VPP had an object of this key, restart VPP and the agent"
        ),
    ),
    (AGENT, "Unimplemented"): (
        "this image of the agent has no plugin for it",
        Remedy(None, "use an image with the plugin; docs/install.md names them"),
    ),
    (AGENT, "NotInEtcd"): (
        "it has missed the deletion, or failed in it",
        Remedy(Means.RESEND, f"{COMMAND}, which writes the key and deletes it again"),
    ),
    (AGENT, FOREIGN): ("another source of the agent wrote it, such as Contiv or gRPC", _NOTHING),
    (VPP, FOREIGN): ("another writer made it", _NOTHING),
    (VPP, "PolicyDiffers"): (
        "a change failed half-way and the agent takes it for done, VPP had an older one before the"
        " agent came, or it was changed in VPP by hand",
        Remedy(Means.RECREATE),
    ),
    (VPP, "EncapSourceUnset"): (
        "the agent makes policies before srv6-global at every resync, and a policy keeps the source"
        " with which it was made",
        Remedy(
            Means.RECREATE,
            "put 'srv6kv vpp-exec' into VPP's start-up exec file; now 'vppctl set sr encaps source"
            f" addr ADDRESS', then {COMMAND}",
        ),
    ),
    (VPP, "EncapSourceDiffers"): (
        "srv6-global was changed after it was made, or VPP's start-up file sets another one",
        Remedy(Means.RECREATE, f"set both to the same, then {COMMAND}"),
    ),
    (VPP, "LocalsidDiffers"): (
        "VPP had an older one before the agent came, a change failed (the agent ignores one of"
        " PSP), or it was changed in VPP by hand",
        Remedy(Means.REWRITE),
    ),
    (VPP, "InterfaceDeleted"): (
        "the interface was deleted under it: its packets are lost, or reach the pod that gets the"
        " interface's number",
        Remedy(Means.REWRITE, f"see that the interface is there, then {COMMAND}"),
    ),
    (VPP, "StaleSteering"): (
        "the policy was deleted under the steering: all its packets are dropped",
        Remedy(Means.REWRITE),
    ),
}
"""The likely cause and the remedy, by place and reason, where these decide them."""


def explained(subject: str, where: str, reason: str, what: str) -> Difference:
    """A difference whose cause and remedy follow from its place and reason."""
    return Difference(subject, where, reason, what, *_CASES[where, reason])


class Interface(msgspec.Struct, frozen=True):
    """An interface's value, as far as VPP's name of it follows."""

    type: str | int = ""


@dataclass(frozen=True, slots=True)
class DesiredKeys:
    """The content of etcd for one agent. Keys are in short form.

    Attributes:
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
