"""Why a service looks as it does from one node: what ``explain`` answers, as plain values.

A key is in short form (``config/...``). A rule is a name of docs/rules: S1, E8, C2b, ...
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from msgspec import UNSET, UnsetType

from srv6kv.notes import Reason

IN_ETCD, MISSING, DIFFERS, TO_GO = "in etcd", "missing", "differs", "to be deleted"
LIMITS = frozenset(
    {
        Reason.ADDRESS_DENIED,
        Reason.BSID_EXHAUSTED,
        Reason.CLUSTER_IP_OUTSIDE_SERVICE_CIDR,
        Reason.ENDPOINT_PORT_IGNORED,
        Reason.EXTERNAL_ADDRESS_INVALID,
        Reason.EXTERNAL_ENDPOINT_UNSUPPORTED,
        Reason.EXTERNAL_IP_DENIED,
        Reason.FAMILY_NOT_SERVED,
        Reason.HOST_FAMILY_UNSUPPORTED,
        Reason.HOST_ENDPOINT_NEEDS_KUBE_PROXY,
        Reason.HOST_ENDPOINT_NEEDS_MASQUERADE,
        Reason.HOST_NOT_ATTACHED,
        Reason.IPV4_NOT_RENDERED,
        Reason.INVALID_VALUE,
        Reason.NODE_PORT_LEFT_TO_KUBE_PROXY,
        Reason.NODE_UNKNOWN,
        Reason.POD_CHAINS_OWNED_BY_MESH,
        Reason.POD_NOT_ATTACHED,
        Reason.PORT_ENDPOINTS_DIFFER,
        Reason.PORT_WITHOUT_ENDPOINTS,
        Reason.SERVICE_IP_CONFLICT,
        Reason.SERVICE_PORT_CONFLICT,
        Reason.SESSION_AFFINITY_UNSUPPORTED,
        Reason.SOURCE_RANGES_UNSUPPORTED,
    }
)
"""The reasons that ``docs/limits.md`` has a heading for; ``docs/warnings.md`` has all."""


def link_of(reason: Reason) -> str:
    """Where a reason is explained."""
    return f"docs/limits.md#{reason.lower()}" if reason in LIMITS else reason.anchor


def page_of(rule: str) -> str:
    """Where a rule of selection stands, such as ``E8``."""
    page = {"S": "services", "E": "endpoints", "C": "selection"}[rule[0]]
    return f"docs/rules/{page}.md#{rule.lower()}"


@dataclass(frozen=True, slots=True)
class Said:
    """What the agent reports of a key; the state is ``unknown`` if it reports nothing."""

    state: str
    error: str = ""
    waits_for: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.waits_for:
            return f"{self.state}, waits for {', '.join(self.waits_for)}"
        return f"{self.state}, {self.error}" if self.error else self.state


@dataclass(frozen=True, slots=True)
class Key:
    """A key that should be there.

    Attributes:
        state: ``in etcd``, ``missing``, ``differs``, or ``to be deleted`` for one that should not
            be there; "" where etcd was not asked.
        agent: what the agent reports of it; absent where it reports nothing at all.
    """

    key: str
    state: str = ""
    agent: Said | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Path:
    """A segment list of a policy and the endpoints behind it, none for the discard SID."""

    segments: tuple[str, ...]
    weight: int
    endpoints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """One VRF in which an address is steered.

    Attributes:
        vrf: ``pod`` or ``main``.
        policy: the traffic policy that governs there, ``Cluster`` or ``Local``.
        outcome: what happens to packets, in words.
        bsid: "" if there is none.
    """

    vrf: str
    vrf_id: int
    policy: str
    outcome: str
    bsid: str
    keys: tuple[Key, ...]
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Address:
    """An address that a service asks for; the problem is why it is not rendered, "" if it is."""

    address: str
    field: str
    shared_with: tuple[str, ...]
    problem: str
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why an endpoint is kept or dropped.

    Attributes:
        policy: ``Cluster`` or ``Local``; "" where it is dropped whatever the policy is.
        ports: of the service, as ``name protocol number``.
    """

    policy: str
    ports: tuple[str, ...]
    kept: bool
    rule: str
    why: str


@dataclass(frozen=True, slots=True)
class ReceiveSide:
    """What this node has for an endpoint of its own.

    Attributes:
        problem: why there is no localsid, or something is left out; "" if all is there.
        translations: what it answers for, as ``address protocol port -> target port``.
    """

    keys: tuple[Key, ...]
    problem: str
    translations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EndpointPart:
    """An endpoint as one slice lists it.

    Attributes:
        what: ``local pod``, ``remote pod``, ``local host``, ``remote host`` or ``outside``.
        problem: the reason why no packet can be sent to it; "" if it can.
        receive_side: None if it is not on this node.
    """

    address: str
    node: str
    pod: str
    what: str
    conditions: tuple[str, ...]
    problem: str
    verdicts: tuple[Verdict, ...]
    receive_side: ReceiveSide | None


@dataclass(frozen=True, slots=True)
class Unused:
    """A part of a slice, or all of it (place ""), that no node can use, and the rule."""

    place: str
    rule: str
    why: str


@dataclass(frozen=True, slots=True)
class SlicePart:
    """A slice of the service."""

    name: str
    unused: tuple[Unused, ...]
    endpoints: tuple[EndpointPart, ...]


@dataclass(frozen=True, slots=True)
class Remark:
    """A warning, and where its reason is explained."""

    subject: str
    reason: str
    text: str
    link: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """A service as one node sees it.

    Attributes:
        rule: by which rule nothing of it is rendered, and why; "" if something may be.
        rules: the page of every rule that is named.
    """

    service: str
    node: str
    rule: str
    ports: tuple[str, ...]
    addresses: tuple[Address, ...]
    slices: tuple[SlicePart, ...]
    warnings: tuple[Remark, ...]
    rules: dict[str, str]


def rules_in(
    rule: str, addresses: Iterable[Address], slices: Iterable[SlicePart]
) -> dict[str, str]:
    """The pages of all rules that an explanation names."""
    named = [rule, *(item.problem for item in addresses)]
    for item in slices:
        named += [part.rule for part in item.unused]
        named += [verdict.rule for part in item.endpoints for verdict in part.verdicts]
    found = {match[0] for text in named if (match := re.match(r"[SEC]\d+[a-c]?\b", text))}
    return {name: page_of(name) for name in sorted(found)}
