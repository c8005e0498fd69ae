"""Which BSID a policy gets (rule R1).

The first choice is the SID formula. The agent matches BSIDs as text and by prefix
(agent rule A3), so no BSID on a node may be a text prefix of another one.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from srv6kv.net import sids
from srv6kv.net.addresses import Prefix, to_int, to_text
from srv6kv.net.targets import Target

_SPARE_BITS = 16


@dataclass(slots=True)
class Texts:
    """A set of texts that finds text prefixes of one another."""

    _sorted: list[str] = field(default_factory=list)
    _all: set[str] = field(default_factory=set)

    def add(self, text: str) -> None:
        """Add a text."""
        if text not in self._all:
            self._all.add(text)
            insort(self._sorted, text)

    def discard(self, text: str) -> None:
        """Remove a text."""
        if text in self._all:
            self._all.discard(text)
            del self._sorted[bisect_left(self._sorted, text)]

    def __contains__(self, text: object) -> bool:
        return text in self._all

    def relates_to(self, text: str) -> bool:
        """Whether another text here begins with this one or is the beginning of it."""
        index = bisect_left(self._sorted, text)
        if text in self._all:
            index += 1
        if index < len(self._sorted) and self._sorted[index].startswith(text):
            return True
        return any(text[:end] in self._all for end in range(1, len(text)))


class Home(NamedTuple):
    """What a BSID is made of: a BSID prefix, and the address of a service or node."""

    prefix: Prefix
    address: str


def choices(prefix: Prefix, address: str, most: int = 1 << _SPARE_BITS) -> Iterable[str]:
    """The BSIDs that an address may have, best first: the formula, then 1, 2, ... in the spare
    bits."""
    yield sids.sid_of(prefix, address)
    shift = 128 - prefix.length - _SPARE_BITS
    rest = to_int(sids.sid_of(prefix, address)) & ~(0xFFFF << shift)
    for number in range(1, most):
        yield to_text(rest | number << shift)


def choices_after(home: Home, bsid: str) -> Iterable[str]:
    """The BSIDs that an address may have, in the order of ``choices``, beginning behind one of them
    and ending before it. Of a home that is the BSID itself the first choice is not known."""
    shift = 128 - home.prefix.length - _SPARE_BITS
    rest = to_int(bsid) & ~(0xFFFF << shift)
    first = sids.sid_of(*home) if home.address != bsid else None
    number = 0 if bsid == first else to_int(bsid) >> shift & 0xFFFF
    for other in range(number + 1, 1 << _SPARE_BITS):
        text = to_text(rest | other << shift)
        if text != first:
            yield text
    if first is not None and first != bsid:
        yield first
    for other in range(1, number):
        text = to_text(rest | other << shift)
        if text != first:
            yield text


def is_choice(home: Home, bsid: str) -> bool:
    """Whether an address may have this BSID."""
    spare = 0xFFFF << (128 - home.prefix.length - _SPARE_BITS)
    return (to_int(sids.sid_of(*home)) ^ to_int(bsid)) & ~spare == 0


def assign(
    homes: Mapping[Target, Home], bsids: Texts, is_taken: Callable[[str], bool]
) -> dict[Target, str]:
    """Choose new BSIDs, none a text prefix of one on the node; targets for which every choice is in
    use are left out. ``is_taken`` says whether the very text belongs to something else."""
    given: dict[Target, str] = {}
    new = Texts()
    for target in sorted(homes, key=lambda item: _order(homes[item], item)):
        for bsid in choices(*homes[target]):
            is_used = bsid in new or is_taken(bsid)
            if not (is_used or bsids.relates_to(bsid) or new.relates_to(bsid)):
                given[target] = bsid
                new.add(bsid)
                break
    return given


def _order(home: Home, target: Target) -> tuple[int, int, Target]:
    """The longest text first, then the lower address."""
    return (-len(sids.sid_of(*home)), to_int(home.address), target)
