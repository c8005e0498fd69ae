"""The agent's configuration values that srv6kv reads and writes, and their canonical JSON.

Rule: fields are declared in alphabetical order and defaults are left out, so that ``encode`` gives
sorted compact JSON with proto field names and equal objects are equal bytes (agent rule A7).
Field names and numbers: ``protos/``; the tests parse every value strictly against them.
"""

from __future__ import annotations

import msgspec

from srv6kv import foreign
from srv6kv.ligato import keys
from srv6kv.ligato.endfunctions import END_FUNCTIONS, EndFunction


class _Value(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    pass


class End(_Value, frozen=True):
    """End: forward to the next segment."""


class CrossConnect(_Value, frozen=True):
    """End.DX6 and End.DX4: decapsulate, send to one neighbour of that family."""

    next_hop: str
    outgoing_interface: str


class LookUp(_Value, frozen=True):
    """End.DT6 and End.DT4: decapsulate, look up in a VRF."""

    vrf_id: int = 0


class LocalSid(_Value, frozen=True):
    """A localsid; exactly one end function is set."""

    sid: str
    base_end_function: End | None = None
    end_function_dt4: LookUp | None = None
    end_function_dx4: CrossConnect | None = None
    end_function_dt6: LookUp | None = None
    end_function_dx6: CrossConnect | None = None
    installation_vrf_id: int = 0

    @property
    def key(self) -> str:
        """Agent rule 1: the key follows from the value."""
        return keys.localsid(self.sid)

    @property
    def end_functions(self) -> list[EndFunction]:
        """Those that are set; of those that srv6kv writes."""
        rows = END_FUNCTIONS.values()
        return [row for row in rows if getattr(self, row.field, None) is not None]

    @property
    def look_up(self) -> LookUp | None:
        """Which table DT6 or DT4 reads; None for other end functions."""
        return self.end_function_dt6 or self.end_function_dt4

    @property
    def cross_connect(self) -> CrossConnect | None:
        """Where DX6 or DX4 leads; None for other end functions."""
        return self.end_function_dx6 or self.end_function_dx4


class SegmentList(_Value, frozen=True):
    """One weighted path of a policy."""

    segments: tuple[str, ...]
    weight: int = 0


class Policy(_Value, frozen=True):
    """An SR policy; BSIDs are matched as text by the agent (agent rule A44)."""

    bsid: str
    installation_vrf_id: int = 0
    segment_lists: tuple[SegmentList, ...] = ()
    srh_encapsulation: bool = False

    @property
    def key(self) -> str:
        """Agent rule 1."""
        return keys.policy(self.bsid)


class L3Traffic(_Value, frozen=True):
    """What a steering takes: a prefix in a VRF."""

    prefix_address: str
    installation_vrf_id: int = 0


class Steering(_Value, frozen=True):
    """Steers a prefix into the policy with this BSID."""

    l3_traffic: L3Traffic
    name: str
    policy_bsid: str

    @property
    def key(self) -> str:
        """Agent rule 1."""
        return keys.steering(self.name)


class Route(_Value, frozen=True):
    """A VPP route; without ``type`` it is INTRA_VRF."""

    dst_network: str
    next_hop_addr: str = ""
    outgoing_interface: str = ""
    type: str = ""
    via_vrf_id: int = 0
    vrf_id: int = 0

    @property
    def key(self) -> str:
        """Agent rule 1."""
        return keys.route(
            self.vrf_id, self.dst_network, self.next_hop_addr, self.outgoing_interface
        )


class VrfTable(_Value, frozen=True):
    """A VRF table of one family."""

    id: int = 0
    label: str = ""
    protocol: str = ""

    @property
    def key(self) -> str:
        """Agent rule 1; the default protocol is IPV4."""
        return keys.vrf_table(self.id, self.protocol or "IPV4")


class Arp(_Value, frozen=True):
    """A neighbour of VPP; a static one never ages."""

    interface: str
    ip_address: str
    phys_address: str
    static: bool = False

    @property
    def key(self) -> str:
        """Agent rule 1."""
        return keys.arp(self.interface, self.ip_address)


class Namespace(_Value, frozen=True):
    """A Linux network namespace."""

    reference: str = ""
    type: str = ""


class RuleChain(_Value, frozen=True):
    """All rules of one iptables chain of a namespace; the default protocol is IPV4.

    Attributes:
        chain_type: the built-in chain; "": a custom one, which has a ``chain_name``.
    """

    name: str
    namespace: Namespace
    rules: tuple[str, ...]
    table: str
    chain_name: str = ""
    chain_type: str = ""
    protocol: str = ""

    @property
    def key(self) -> str:
        """Agent rule 1."""
        return keys.rule_chain(self.name)


AgentValue = LocalSid | Policy | Steering | Route | VrfTable | Arp | RuleChain

_ENCODER = msgspec.json.Encoder(order="sorted")


def encode(value: AgentValue) -> bytes:
    """The canonical bytes of a value."""
    return _ENCODER.encode(value)


def decode(key: str, value: bytes) -> AgentValue:
    """The typed value behind a key of ours; ValueError if srv6kv could not have written it."""
    for prefix, kind in _KINDS.items():
        if key.startswith(prefix):
            try:
                return foreign.decode(value, kind)
            except foreign.Unreadable as error:
                raise ValueError(f"{key}: {error}") from None
    raise ValueError(f"{key}: not a kind of key that srv6kv writes")


_KINDS: dict[str, type] = {
    keys.LOCALSID: LocalSid,
    keys.POLICY: Policy,
    keys.STEERING: Steering,
    keys.ROUTE: Route,
    keys.VRF_TABLE: VrfTable,
    keys.ARP: Arp,
    keys.RULE_CHAIN: RuleChain,
}
