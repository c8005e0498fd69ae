"""What ``simulate`` answers, and under which assumptions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from srv6kv.simulate.draw import Balanced, Draw
from srv6kv.simulate.moves import Shifts
from srv6kv.trace.hops import End, Question


@dataclass(frozen=True, slots=True)
class Answer:
    """Who gets a flow, who gets how many, and what a change would move.

    Attributes:
        source_port: None: it is not known, so nothing is drawn.
        flow_hash: VPP's words for what is hashed, sorted.
        flow_label: None: it is not hashed.
        is_capped: VPP 23.06 or later.
        balanced: the policy on the path; None: there is none.
        ends: what becomes of the packet where there is no policy.
        flow: what the flow gets; None: it is not known.
        fragments: what its fragments get, if it is an IPv6 flow with ports.
        change: None: none is asked for.
        then: segments that the flow gets after the change; none: it is dropped; None: not known.
    """

    question: Question
    source_port: int | None
    flow_hash: tuple[str, ...]
    flow_label: int | None
    is_capped: bool
    balanced: Balanced | None = None
    ends: tuple[End, ...] = ()
    flow: Draw | None = None
    fragments: Draw | None = None
    change: Shifts | None = None
    then: tuple[str, ...] | None = None
    assumptions: tuple[str, ...] = ()

    @property
    def is_served(self) -> bool:
        """Whether an endpoint gets the flow, or without a source port any flow."""
        if self.balanced is None:
            return any(end.is_delivered for end in self.ends)
        endpoints = self.balanced.endpoints
        if self.flow is not None:
            index = self.flow.endpoint
            endpoints = endpoints[index : index + 1] if index is not None else ()
        return any(one.buckets and any(end.is_delivered for end in one.ends) for one in endpoints)


def assumptions_of(answer: Answer) -> Iterator[str]:
    """What was assumed, and what may be otherwise on a real VPP."""
    found = answer.balanced
    if found is None:
        yield "VPP balances nothing on this path: no SR policy comes before another choice"
        return
    if not found.is_order_known and len(found.endpoints) > 1:
        yield (
            f"policy {found.bsid}: the lists are taken in the order of a fresh create; in VPP those"
            " that were added later stand last, and the last one takes the place of a deleted one:"
            " give 'show sr policies' with --vpp"
        )
    yield from _traps(found, is_capped=answer.is_capped)
    if len(found.endpoints) > 1:
        yield from _about_hash(answer)


def _traps(found: Balanced, *, is_capped: bool) -> Iterator[str]:
    """What VPP's tables do to some weights (VPP rule V4)."""
    cut = [item for item in found.endpoints if not item.buckets]
    version = "23.06 or later" if is_capped else "before 23.06"
    if not found.buckets or len(cut) == len(found.endpoints):
        yield f"policy {found.bsid}: VPP {version} makes an empty table of it: every packet is lost"
    elif cut:
        yield f"policy {found.bsid}: {len(cut)} of {len(found.endpoints)} lists get no bucket"
    weights = {item.weight for item in found.endpoints}
    if 0 in weights and len(weights) > 1:
        yield f"policy {found.bsid}: a weight of 0 among others, which VPP does not support"


def _about_hash(answer: Answer) -> Iterator[str]:
    if "flowlabel" in answer.flow_hash:
        yield (
            "the hash has the flow label: Linux changes it after a lost packet, and the connection"
            " goes on at another endpoint"
        )
    elif ":" in answer.question.destination:
        yield (
            "the hash is taken without the flow label, as 'srv6kv vpp-exec' sets it; VPP's own"
            " default since 21.06 has it: see --flow-label"
        )
    if answer.question.protocol == "UDP":
        yield _about_fragments(answer)


def _about_fragments(answer: Answer) -> str:
    if answer.fragments is None or answer.balanced is None:
        return "fragments have no ports in their hash: they may reach another endpoint"
    index = answer.fragments.endpoint
    where = f"bucket {answer.fragments.bucket}"
    if index is not None:
        where += f", < {', '.join(answer.balanced.endpoints[index].segments)} >"
    return f"fragments of this flow have no ports in their hash: they go to {where}"
