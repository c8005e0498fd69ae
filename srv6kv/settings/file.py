"""The keys of contiv.conf and of ``srv6kv:``, and typed access to them with file and line.

Rule: every refusal and warning about settings goes through ``Findings``, which knows the one form
``file:line: key.path: text``. What a value means is decided in its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeAlias

from srv6kv.errors import SettingsError
from srv6kv.yamllines import Excerpt, Node

# What a key may hold: truth, text, list, mapping, a number of a range, one of some words, or
# anything (``object``) that is checked where it is used.
Kind: TypeAlias = type | range | tuple[str, ...]

BYTE, WORD, VRF, LENGTH = range(256), range(65536), range(4294967295), range(129)


def _each(kind: Kind, names: str) -> dict[str, Kind]:
    return dict.fromkeys(names.split(), kind)


TOP: dict[str, Kind] = {
    **_each(VRF, "mainVRFID podVRFID"),
    **_each(WORD, "mtuSize tapv2RxRingSize tapv2TxRingSize vmxnet3RxRingSize vmxnet3TxRingSize"),
    **_each(BYTE, "tapInterfaceVersion ipNeighborScanInterval ipNeighborStaleThreshold"),
    **_each(BYTE, "stnVersion STNVersion"),
    **_each(bool, "useNoOverlay useSRv6Interconnect useSRv6ForServices useTAPInterfaces"),
    **_each(bool, "useSRv6ForServiceFunctionChaining useDX6ForSrv6NodetoNodeTransport"),
    **_each(bool, "tcpChecksumOffloadDisabled enableGSO routeServiceCIDRToVPP scanIPNeighbors"),
    **_each(bool, "stealFirstNIC natExternalTraffic enablePacketTrace"),
    **_each(bool, "crdNodeConfigurationDisabled"),
    **_each(str, "interfaceRxMode stealInterface stnSocketFile"),
    "nodeToNodeTransport": ("vxlan", "srv6", "nooverlay"),
    "ipamConfig": dict,
    "nodeConfig": list,
    "srv6kv": dict,
}
IPAM: dict[str, Kind] = {
    **_each(bool, "useExternalIPAM nodeInterconnectDHCP"),
    **_each(str, "contivCIDR serviceCIDR podSubnetCIDR vppHostSubnetCIDR"),
    **_each(str, "nodeInterconnectCIDR vxlanCIDR defaultGateway"),
    **_each(LENGTH, "podSubnetOneNodePrefixLen vppHostSubnetOneNodePrefixLen"),
    "srv6": dict,
}
SIDS: dict[str, Kind] = {
    **_each(str, "servicePolicyBSIDSubnetCIDR servicePodLocalSIDSubnetCIDR"),
    **_each(str, "serviceHostLocalSIDSubnetCIDR serviceNodeLocalSIDSubnetCIDR"),
    **_each(str, "nodeToNodePodLocalSIDSubnetCIDR nodeToNodeHostLocalSIDSubnetCIDR"),
    **_each(str, "nodeToNodePodPolicySIDSubnetCIDR nodeToNodeHostPolicySIDSubnetCIDR"),
    **_each(str, "sfcPolicyBSIDSubnetCIDR sfcServiceFunctionSIDSubnetCIDR"),
    **_each(str, "sfcEndLocalSIDSubnetCIDR"),
    "sfcIDLengthUsedInSidForServiceFunction": LENGTH,
}
OWN: dict[str, Kind] = {
    "nodePlumbing": ("full", "segments", "none"),
    "ipv4": bool,
    "externalIPs": dict,
    "kubeProxy": ("present", "masqueradeAll", "absent"),
    "replaceWindow": object,
    "podAnnotations": bool,
    "podNamespaceDirectories": list,
    "podInterfacePattern": str,
    "fullComparison": object,
    "autoRepair": bool,
}
NODE: dict[str, Kind] = {
    **_each(str, "nodeName stealInterface gateway"),
    **_each(dict, "mainVPPInterface mainVppInterface"),
    **_each(list, "otherVPPInterfaces otherVppInterfaces"),
    "natExternalTraffic": bool,
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a remark belongs: a line of the text and the path of a key, which may be empty."""

    line: int
    key: str = ""


class Findings:
    """What is wrong or odd in one settings text."""

    def __init__(self, source: Excerpt) -> None:
        self._source = source
        self._refusals: list[tuple[int, str]] = []
        self._warnings: list[tuple[int, str]] = []

    def refuse(self, place: Place, text: str) -> None:
        """Add a fault that forbids these settings."""
        self._refusals.append(self._finding(place, text))

    def warn(self, place: Place, text: str) -> None:
        """Add a warning for the operator."""
        self._warnings.append(self._finding(place, text))

    def _finding(self, place: Place, text: str) -> tuple[int, str]:
        line = self._source.line + (place.line - 1 if self._source.is_verbatim else 0)
        key = f"{place.key}: " if place.key else ""
        return line, f"{self._source.name}:{line}: {key}{text}"

    def has_refusals(self) -> bool:
        """Whether anything forbids these settings."""
        return bool(self._refusals)

    def first(self) -> SettingsError:
        """The refusal that stands first in the text."""
        return SettingsError(min(self._refusals, key=lambda found: found[0])[1])

    def warnings(self) -> tuple[str, ...]:
        """All warnings by line."""
        return tuple(text for _, text in sorted(self._warnings, key=lambda found: found[0]))


@dataclass(frozen=True, slots=True)
class Section:
    """One mapping of the file.

    Attributes:
        lines: of every key that is there.
        nodes: what is set and of the right type; null and empty text count as not set.
        wrong: keys whose value was refused: neither set nor missing.
    """

    place: Place
    lines: Mapping[str, int]
    nodes: Mapping[str, Node]
    wrong: frozenset[str]

    def at(self, key: str) -> Place:
        """The place of a key; of a missing one, the line of the mapping."""
        path = f"{self.place.key}.{shown(key)}" if self.place.key else shown(key)
        return Place(self.lines.get(key, self.place.line), path)

    def has(self, key: str) -> bool:
        """Whether the key is there with something in it, be it right or wrong."""
        return key in self.nodes or key in self.wrong

    def value(self, key: str) -> object:
        """What is set, of the right type; else None."""
        return self.nodes[key].value if key in self.nodes else None

    def truth(self, key: str) -> bool | None:
        """A truth value, if set."""
        value = self.value(key)
        return value if isinstance(value, bool) else None

    def number(self, key: str) -> int | None:
        """A whole number, if set."""
        value = self.value(key)
        return value if isinstance(value, int) else None

    def text(self, key: str) -> str | None:
        """A text, if set."""
        value = self.value(key)
        return value.strip() if isinstance(value, str) else None

    def items(self, key: str) -> list[Node]:
        """The items of a list, if set."""
        value = self.value(key)
        return value if isinstance(value, list) else []


def section(
    node: Node | None, place: Place, kinds: Mapping[str, Kind], is_ours: bool, findings: Findings
) -> Section:
    """The mapping in a node, its values checked; unknown keys are refused in sections of ours."""
    entries = node.value if node is not None and isinstance(node.value, dict) else {}
    nodes: dict[str, Node] = {}
    wrong: set[str] = set()
    blank = Section(place, {key: entry.line for key, entry in entries.items()}, {}, frozenset())
    for key, entry in entries.items():
        if key not in kinds:
            tell = findings.refuse if is_ours else findings.warn
            tell(blank.at(key), _unknown(key, kinds, is_ours))
        elif _is_unset(entry.value, kinds[key]):
            continue
        elif right := _expected(entry.value, kinds[key]):
            findings.refuse(blank.at(key), f"must be {right}, not {described(entry.value)}")
            wrong.add(key)
        else:
            nodes[key] = entry
    return Section(place, blank.lines, nodes, frozenset(wrong))


def _unknown(key: str, kinds: Mapping[str, Kind], is_ours: bool) -> str:
    near = get_close_matches(key, kinds, 1) if len(key) <= 64 else []
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"unknown key{hint}" if is_ours else f"unknown key, ignored{hint}"


def _is_unset(value: object, kind: Kind) -> bool:
    is_textual = kind is str or isinstance(kind, tuple)
    return value is None or (is_textual and isinstance(value, str) and not value.strip())


def _expected(value: object, kind: Kind) -> str | None:
    """What the value should have been, or None if it is right."""
    match kind:
        case range():
            is_right = isinstance(value, int) and not isinstance(value, bool) and value in kind
            return None if is_right else f"a whole number from {kind[0]} to {kind[-1]}"
        case tuple():
            return None if value in kind else f"one of {', '.join(kind)}"
        case _:
            names = {bool: "true or false", str: "text", list: "a list", dict: "a mapping"}
            return None if isinstance(value, kind) else names[kind]


def described(value: object) -> str:
    """A value as a message quotes it: one line, not long."""
    match value:
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the text {shown(value, always=True)}"
        case _:
            return shown(str(value))


def shown(text: str, always: bool = False) -> str:
    """A key or text of the file in one line; quoted if it must be or is asked to be."""
    short = text if len(text) <= 60 else f"{text[:57]}..."
    return repr(short) if always or not short.isprintable() or not short else short
