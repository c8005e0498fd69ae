"""Why a service looks as it does from one node: what ``explain`` answers, as plain values.

A key is in short form (``config/...``). A rule is a name of spec/services.md: S1, E8, C2b, ...
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import UNSET, UnsetType

IN_ETCD, MISSING, DIFFERS, TO_GO = "in etcd", "missing", "differs", "to be deleted"


LIMITS = frozenset(
    {
        "AddressDenied",
        "BsidExhausted",
        "ClusterIPOutsideServiceCIDR",
        "EndpointPortIgnored",
        "ExternalAddressInvalid",
        "ExternalBackendUnsupported",
        "ExternalIPDenied",
        "FamilyNotServed",
        "HostFamilyUnsupported",
        "HostNetworkBackendNeedsKubeProxy",
        "HostNetworkBackendNeedsMasquerade",
        "HostNotWired",
        "IPv4NotRendered",
        "InvalidValue",
        "NodePortLeftToKubeProxy",
        "NodeUnknown",
        "PodChainsOwnedByMesh",
        "PodNotWired",
        "PortBackendsDiffer",
        "PortWithoutEndpoints",
        "ServiceIPConflict",
        "ServicePortConflict",
        "SessionAffinityUnsupported",
        "SourceRangesUnsupported",
    }
)
"""The reasons that ``docs/limits.md`` has a heading for; ``docs/notes.md`` has all."""


def link_of(reason: str) -> str:
    """Where a reason is explained."""
    return f"docs/limits.md#{reason.lower()}" if reason in LIMITS else "docs/notes.md"


@dataclass(frozen=True, slots=True)
class Said:
    """What the agent says of a key.

    Attributes:
        state: its name for it; ``unknown`` if it says nothing.
        waits_for: unmet dependencies, in words where they are known.
    """

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
        agent: what the agent says of it; absent where it tells nothing at all.
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
        vrf_id: its id.
        policy: the traffic policy that governs there, ``Cluster`` or ``Local``.
        outcome: what happens to packets, in words.
        bsid: of the policy; "" if there is none.
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
    """An address that a service asks for.

    Attributes:
        field: where the service names it.
        shared_with: the other services that ask for it.
        problem: why it is not rendered for this service; "" if it is.
        places: none if it is not rendered.
    """

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
    """A note, and where its reason is explained."""

    subject: str
    reason: str
    text: str
    link: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """A service as one node sees it.

    Attributes:
        rule: by which rule nothing of it is rendered, and why; "" if something may be.
    """

    service: str
    node: str
    rule: str
    ports: tuple[str, ...]
    addresses: tuple[Address, ...]
    slices: tuple[SlicePart, ...]
    notes: tuple[Remark, ...]
