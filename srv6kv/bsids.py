"""Which BSID a steered address gets (design.md section 3).

The first choice is the SID formula. The agent matches BSIDs as text and by prefix
(spec/vpp-agent.md 4.5b), so no BSID on a node may be a text prefix of another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from srv6kv import sids
from srv6kv.actual import Target, Texts
from srv6kv.addresses import Prefix, to_int, to_text

_SPARE_BITS = 16


def choices(prefix: Prefix, address: str, most: int = 1 << _SPARE_BITS) -> Iterable[str]:
    """The BSIDs that an address may have, best first: the formula, then 1, 2, ... in the 16 bits
    after the prefix."""
    yield sids.sid_of(prefix, address)
    shift = 128 - prefix.length - _SPARE_BITS
    rest = to_int(sids.sid_of(prefix, address)) & ~(0xFFFF << shift)
    for number in range(1, most):
        yield to_text(rest | number << shift)


def assign(
    targets: Iterable[Target],
    prefix: Prefix,
    bsids: Texts,
    is_taken: Callable[[str], bool],
) -> dict[Target, str]:
    """BSIDs for new targets; those for which every choice is in use are left out.

    Args:
        targets: (VRF, address) pairs without a BSID.
        prefix: servicePolicyBSIDSubnetCIDR.
        bsids: all BSIDs on the node; none may be a text prefix of another.
        is_taken: whether the very text belongs to something else.
    """
    given: dict[Target, str] = {}
    new = Texts()
    for target in sorted(targets, key=lambda item: _order(prefix, item)):
        for bsid in choices(prefix, target[1]):
            is_used = bsid in new or is_taken(bsid)
            if not (is_used or bsids.relates_to(bsid) or new.relates_to(bsid)):
                given[target] = bsid
                new.add(bsid)
                break
    return given


def _order(prefix: Prefix, target: Target) -> tuple[int, int, int]:
    """The longest text first, then the lower address."""
    vrf, address = target
    return (-len(sids.sid_of(prefix, address)), to_int(address), vrf)
