"""Plans the way from Contiv's keys in an agent's etcd to the desired state.

Rule: most of it is planning, because where a service has one ClusterIP both write the same keys and
values (rule N2), and BSIDs stay with their addresses. What remains are keys that Contiv
wrote under names of its own: of those only the exact forms below go, and only with the content that
Contiv gave them. A pod's loopback is the CNI's: service addresses on it are taken off only on
request.

A deleted rule chain empties the pod's built-in chain (agent rule A32), so Contiv's goes
immediately before ours of the same place comes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from srv6kv import foreign
from srv6kv.errors import Conflict
from srv6kv.etcd.values import KeyValue
from srv6kv.ligato import keys
from srv6kv.ligato.chains import ChainName
from srv6kv.net import addresses, sids
from srv6kv.notes import Reason
from srv6kv.plan import ownership
from srv6kv.plan.plan import Plan, split
from srv6kv.settings import Settings
from srv6kv.sync.reconciler import Reconciler
from srv6kv.txn.transaction import FullKey, Operation, Transaction

_FORWARD = re.compile(
    rf"{keys.RULE_CHAIN}port-forward-([0-9A-Za-z]+)-(PREROUTING|OUTPUT)\Z"
)  # rule N2
_REDIRECT = re.compile(
    r"-d [0-9a-f:.]+/(128|32) -p (tcp|udp) -m (tcp|udp) --dport \d+ -j REDIRECT --to-ports \d+\Z"
)
_TUNNEL = re.compile(
    rf"{keys.STEERING}forNodeToNodeTunneling-"
    r"(lookupInPodVRF|lookupInMainVRF|usingPolicyWithBSID-[0-9a-f:]+-and-podCrossconnection)\Z"
)  # rules N6 and N7
_LOOPBACK = f"{keys.LINUX_INTERFACE}linux-loop-"


@dataclass(frozen=True, slots=True)
class Adoption:
    """The way from Contiv's keys to ours; all keys are in short form.

    Attributes:
        kept: keys of Contiv's that stay byte for byte.
        changed: keys that stay with another value.
        removed: keys of Contiv's that go.
        loopbacks: service addresses on pods' loopbacks, by key.
        lost: localsids in use that would go because their target is unknown, with the reason.
        steps: the transactions, each with what is noted about us.
        followers: the chains that wait for others.
    """

    plan: Plan
    kept: tuple[str, ...]
    changed: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    loopbacks: Mapping[str, tuple[str, ...]]
    lost: tuple[str, ...]
    steps: tuple[tuple[Transaction, tuple[Operation, ...]], ...]
    followers: frozenset[str]


class EndpointsLost(Conflict):
    """Endpoints that Contiv serves would be lost; nothing is written."""

    def __init__(self, adoption: Adoption) -> None:
        super().__init__(f"{len(adoption.lost)} endpoints would be lost; nothing is written")
        self.adoption = adoption


def adopt(
    reconciler: Reconciler, entries: Iterable[KeyValue], *, strips_loopbacks: bool
) -> Adoption:
    """Plan the way for the cluster that the reconciler knows.

    Args:
        reconciler: of the node; it is reset with what etcd holds.
        entries: what etcd holds below the reconciler's prefixes.
        strips_loopbacks: take service addresses off the loopbacks of pods.
    """
    actual = {e.key.removeprefix(reconciler.prefix): e for e in entries}
    theirs = tuple(sorted(k for k, entry in actual.items() if _is_theirs(k, entry, reconciler)))
    reconciler.reset(_as_noted(actual, theirs, reconciler))
    plan = reconciler.plan()
    loopbacks = dict(_loopbacks(actual, reconciler))
    extra = list(_stripped(actual, loopbacks)) if strips_loopbacks else []
    plan = replace(plan, transactions=_in_order(plan, theirs, reconciler, extra))
    there = {key: actual[key].value for key in plan.values if key in actual}
    put = {key: value for key, value in plan.values.items() if value is not None}
    return Adoption(
        plan,
        kept=tuple(sorted(key for key in put if there.get(key) == put[key])),
        changed=tuple(sorted(k for k in put if k in there and there[k] != put[k])),
        added=tuple(sorted(put.keys() - there.keys())),
        removed=tuple(sorted(there.keys() - put.keys())),
        loopbacks=loopbacks,
        lost=tuple(_lost(plan, there, reconciler)),
        steps=tuple(_steps(plan, reconciler)),
        followers=frozenset(reconciler.prefix + key for key in plan.order.followers),
    )


def _steps(
    plan: Plan, reconciler: Reconciler
) -> Iterator[tuple[Transaction, tuple[Operation, ...]]]:
    for index, transaction in enumerate(plan.transactions or (Transaction(()),)):
        notes = reconciler.bookkeeping(plan, index)
        if transaction or notes:
            yield transaction, notes


def _is_theirs(key: str, entry: KeyValue, reconciler: Reconciler) -> bool:
    """Whether a key is of a form that only Contiv's renderer wrote, and reads like it."""
    if _TUNNEL.match(key):
        return reconciler.settings.has_tunnels
    return _FORWARD.match(key) is not None and _only_redirects(entry.value)


def _only_redirects(value: bytes) -> bool:
    body = _decoded(value)
    rules = body.get("rules", [])
    return isinstance(rules, list) and all(
        isinstance(rule, str) and _REDIRECT.match(rule) for rule in rules
    )


def _decoded(value: bytes) -> dict[str, Any]:
    """A JSON object; an unreadable one has a rule that is no redirect."""
    try:
        return foreign.plain(value, dict[str, Any], is_unique=True)
    except foreign.Unreadable:
        return {"rules": [None]}


def _as_noted(
    actual: Mapping[str, KeyValue], theirs: tuple[str, ...], reconciler: Reconciler
) -> Iterator[KeyValue]:
    """What etcd holds, as if Contiv's keys had been noted as ours."""
    name = f"{reconciler.own_prefix}ranges"
    noted = ownership.load(actual[name].value if name in actual else None)
    yield KeyValue(FullKey(name), (noted | ownership.Ranges(keys=theirs)).dump(), 0)
    yield from (entry for key, entry in actual.items() if key != name)


def _in_order(
    plan: Plan, theirs: tuple[str, ...], reconciler: Reconciler, extra: list[Operation]
) -> tuple[Transaction, ...]:
    """The plan's transactions with each chain of Contiv's before ours of the same pod."""
    prefix, limits = reconciler.prefix, reconciler.limits
    chains = {prefix + key for key in theirs if key.startswith(keys.RULE_CHAIN)}
    going = {o.key: o for t in plan.transactions for o in t.operations if o.key in chains}
    found = []
    for transaction in plan.transactions:
        operations: list[Operation] = []
        for operation in transaction.operations:
            if operation.key in chains:
                continue
            if operation.is_put:
                operations += _of_the_same_place(operation.key, going, prefix)
            operations.append(operation)
        found.append(operations)
    rest = [*going.values(), *extra]
    if rest:
        found = [*found[:-1], [*(found[-1] if found else []), *rest]]
    return tuple(
        transaction
        for operations in found
        for transaction in split(operations, limits.planned, limits.size)
    )


def _of_the_same_place(key: str, going: dict[FullKey, Operation], prefix: str) -> list[Operation]:
    """Contiv's chains, whose names hold a sandbox's whole id, that are in a built-in chain of ours;
    they are taken out."""
    name = ChainName.of(key.removeprefix(prefix))
    if name is None or name.copy:
        return []
    start = f"{prefix}{keys.RULE_CHAIN}port-forward-{name.sandbox}"
    listed = (one for one in sorted(going) if one.startswith(start))
    return [going.pop(one) for one in listed if one.endswith(f"-{name.hook.chain}")]


def _loopbacks(
    actual: Mapping[str, KeyValue], reconciler: Reconciler
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The service addresses that Contiv has put on the loopbacks of pods."""
    desired = reconciler.renderer.desired
    steered = {address for _, address in desired.steered}
    for key, entry in sorted(actual.items()):
        if key.startswith(_LOOPBACK):
            listed = _decoded(entry.value).get("ip_addresses", [])
            texts = [t for t in listed if isinstance(t, str)] if isinstance(listed, list) else []
            found = [t for t in texts if _is_service(t, steered, reconciler.settings)]
            if found:
                yield key, tuple(found)


def _is_service(text: str, steered: set[str], settings: Settings) -> bool:
    """Whether an interface's address is one of a service."""
    address, _, length = text.partition("/")
    try:
        address = addresses.canonical_of_any(address)
    except ValueError:
        return False
    if length != str(addresses.host_length(address)):
        return False
    return address in steered or any(address in prefix for prefix in settings.service_cidrs)


def _stripped(
    actual: Mapping[str, KeyValue], loopbacks: Mapping[str, tuple[str, ...]]
) -> Iterator[Operation]:
    """The loopbacks without these addresses, and otherwise as they are."""
    for key, found in loopbacks.items():
        body = _decoded(actual[key].value)
        left = [text for text in body["ip_addresses"] if text not in found]
        value = msgspec.json.encode({**body, "ip_addresses": left})
        yield Operation(actual[key].key, value, actual[key].mod_revision)


def _lost(plan: Plan, there: Mapping[str, bytes], reconciler: Reconciler) -> Iterator[str]:
    """Find Contiv's localsids that would go because an endpoint's attachment is unknown."""
    prefixes = reconciler.settings.sid
    for note in sorted(reconciler.notes()):
        if note.reason is Reason.POD_ATTACHMENT_UNKNOWN:
            sid = sids.sid_of(prefixes.pod, str(note.subject.ref))
        elif note.reason is Reason.HOST_ATTACHMENT_UNKNOWN:
            sid = sids.host_sid(prefixes.host)
        else:
            continue
        key = keys.localsid(sid)
        if key in there and plan.values.get(key) is None:
            yield str(note)
