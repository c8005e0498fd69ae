"""``vpp-sr-policy``: the one SRv6 descriptor that updates in place, by VPP's printed text.

Rule: agent rule A44.
"""

from __future__ import annotations

import re
from typing import Any

from agentmodel.descriptors import (
    Dependency,
    Descriptor,
    Failed,
    Invalid,
    is_ip,
    same_address,
    vrf_table,
)
from agentmodel.objects import Policy, VppError, canonical
from agentmodel.vpp import FakeVpp

Metadata = dict[str, int]
"""The text of a segment list to its index in VPP."""

_BLOCK = re.compile(r"\[(\d+)\]\.-\s+bsid:\s*(\S+)")
_LIST = re.compile(r"\[(\d+)\]\.- < ((?:[^,>]+, )*?)[^:>,]*> weight: (\d+)")


class Policies(Descriptor):
    """Creates list by list, changes lists in place, re-creates for anything else."""

    can_update = True

    def validate(self, value: Any) -> None:
        """BSID, at least one list, segments, no list twice; nothing about numbers or weights."""
        if not is_ip(value.bsid):
            text = f"failed to parse binding sid {value.bsid}, should be a valid ipv6 address"
            raise Invalid("bsid", text)
        if not value.segment_lists:
            raise Invalid("SegmentLists", "there must be defined at least one segment list")
        for number, item in enumerate(value.segment_lists):
            for segment in item.segments:
                if not is_ip(segment):
                    raise Invalid("SegmentLists.segments", f"failed to parse segment {segment}")
            if any(_is_same_list(item, other) for other in value.segment_lists[:number]):
                raise Invalid("SegmentLists", f"found duplicated segment list: {text_of(item)}")

    def dependencies(self, value: Any) -> tuple[Dependency, ...]:
        """Agent rule A41: the VRF table, but for VRF 0."""
        vrf = value.installation_vrf_id
        return (("sr-policy-vrf-table-exists", vrf_table(vrf, "IPV6")),) if vrf else ()

    def is_equivalent(self, old: Any, new: Any) -> bool:
        """Attributes, and the same lists in any order, addresses as such."""
        return not self.must_recreate(old, new) and (
            len(old.segment_lists) == len(new.segment_lists)
            and all(_is_in(item, old.segment_lists) for item in new.segment_lists)
        )

    def must_recreate(self, old: Any, new: Any) -> bool:
        """VRF, BSID, encapsulation or spray differ."""
        return not (
            old.installation_vrf_id == new.installation_vrf_id
            and same_address(old.bsid, new.bsid)
            and old.srh_encapsulation == new.srh_encapsulation
            and old.spray_behaviour == new.spray_behaviour
        )

    def create(self, vpp: FakeVpp, value: Any) -> Any:
        """The policy with its first list, the others, then their indexes; what fails stays."""
        bsid = canonical(value.bsid)
        first, *others = value.segment_lists
        made = Policy(
            bsid, value.installation_vrf_id, value.srh_encapsulation, value.spray_behaviour
        )
        try:
            vpp.policy_add(made, _segments(first), first.weight)
            for item in others:
                vpp.list_add(bsid, _segments(item), item.weight)
        except VppError as error:
            text = f"failed to write policy {value.bsid} with first segment {text_of(first)}"
            raise Failed(f"{text}: {error}") from None
        return _indexes(vpp, value, "created")

    def update(self, vpp: FakeVpp, old: Any, new: Any, metadata: Any) -> Any:
        """New lists first, then the old ones go by index, then the indexes are read again."""
        bsid = canonical(new.bsid)
        gone = [item for item in old.segment_lists if not _is_in(item, new.segment_lists)]
        try:
            for item in new.segment_lists:
                if not _is_in(item, old.segment_lists):
                    vpp.list_add(bsid, _segments(item), item.weight)
            for item in gone:
                index = metadata.get(text_of(item))
                if index is None:
                    text = f"failed to find index for segment list {text_of(item)}"
                    raise Failed(f"failed update policy: {text} in policy with bsid {old.bsid}")
                vpp.list_del(bsid, index)
        except VppError as error:
            raise Failed(f"failed update policy {new.bsid}: {error}") from None
        return _indexes(vpp, new, "updated")

    def delete(self, vpp: FakeVpp, value: Any, metadata: Any) -> None:
        """One call; its lists go with it."""
        try:
            vpp.policy_del(canonical(value.bsid))
        except VppError as error:
            raise Failed(f"failed to delete policy {canonical(value.bsid)}: {error}") from None


def text_of(item: Any) -> str:
    """The text by which the agent remembers a list: another spelling is another list."""
    segments = " ".join(f'segments:"{segment}"' for segment in item.segments)
    return f"weight:{item.weight} {segments}".strip()


def _segments(item: Any) -> tuple[str, ...]:
    return tuple(canonical(segment) for segment in item.segments)


def _is_same_list(one: Any, other: Any) -> bool:
    return one.weight == other.weight and _segments(one) == _segments(other)


def _is_in(item: Any, others: Any) -> bool:
    wanted = (item.weight, _segments(item))
    return any(wanted == (other.weight, _segments(other)) for other in others)


def _indexes(vpp: FakeVpp, policy: Any, done: str) -> Metadata:
    """Rule A44: the first block whose BSID begins with the policy's text, in it each list as text,
    a weight that begins with the list's."""
    text = vpp.cli("sh sr policies").lower()
    for block in text.split("-----------"):
        header = _BLOCK.search(block)
        if header is None or not header[2].startswith(policy.bsid.strip().lower()):
            continue
        listed: dict[str, list[tuple[str, int]]] = {}
        for found in _LIST.finditer(block):
            listed.setdefault(found[2], []).append((found[3], int(found[1])))
        return {text_of(item): _index(item, listed, policy, done) for item in policy.segment_lists}
    raise Failed(f"can't retrieve indexes of {done} srv6 policy with bsid {policy.bsid}")


def _index(item: Any, listed: dict[str, list[tuple[str, int]]], policy: Any, done: str) -> int:
    segments = "".join(f"{segment.lower()}, " for segment in item.segments)
    for weight, index in listed.get(segments, ()) if segments else ():
        if weight.startswith(str(item.weight)):
            return index
    text = f"can't find index for segment list {text_of(item)} (policy bsid {policy.bsid})"
    raise Failed(f"can't retrieve indexes of {done} srv6 policy with bsid {policy.bsid}: {text}")
