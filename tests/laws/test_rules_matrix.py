"""Selection against kube-proxy's rules as ``kubeproxy`` spells them out: every combination of

{0, 1, 2, 3 endpoints} x {ready, terminating and serving, terminating, not ready} x {this node, two
others} x {hints of no kind, of zones, of nodes, of both} x {our zone, another, none} x
{internalTrafficPolicy} x {externalTrafficPolicy} x {accessible from outside} x {kind of traffic}.

Hints are partial where the endpoints of one combination have different ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import combinations_with_replacement, product
from typing import Any

import pytest
from choosing import ONE, THREE, TWO, offered_by, only, web, web_slice
from clusters import HTTP, endpoint, service
from kubeproxy import TRAFFIC, Offer, Pair, Policies, categorize, offers, verdict

from srv6kv.kube.model import ServicePort
from srv6kv.render.selection import Candidate, judge, select

CONDITIONS: tuple[dict[str, Any], ...] = (
    {},
    {"ready": False},
    {"ready": False, "serving": True, "terminating": True},
    {"ready": False, "serving": False, "terminating": True},
)
NODES = ("n1", "n2", "n3")
HINTS: tuple[dict[str, Any], ...] = (
    {},
    {"zones": ["z1"]},
    {"zones": ["z2"]},
    {"zones": ["z1", "z2"]},
    {"nodes": ["n1"]},
    {"nodes": ["n2"]},
    {"nodes": ["n2"], "zones": ["z1"]},
    {"zones": [""]},
)
PLACES = [(c, n, h) for c, n, h in product(range(4), NODES, range(8))]
"""Everything that can be said of one endpoint: numbers of conditions and hints, and its node."""
FEWER = [place for place in PLACES if place[1] != "n3"]
CELLS = [
    (Policies(internal, external, accessible), traffic)
    for internal, external, accessible in product((False, True), repeat=3)
    for traffic in TRAFFIC
    if accessible or (traffic == TRAFFIC[0] and not external)
]
"""Services that are not accessible from outside have one kind of traffic and one policy."""
PORT = ServicePort(*HTTP[0])
WEB = web()

Place = tuple[int, str, int]


@cache
def _made(address: str, place: Place) -> tuple[Candidate, Offer]:
    """One endpoint as the code and as the slow way see it; each has read the slice by itself."""
    conditions, name, hints = place
    body = web_slice(endpoint(address, name, **CONDITIONS[conditions], **HINTS[hints]))
    [candidate] = only(offered_by(body))
    [[offer]] = offers([body], service("web", "2096::10")).values()
    return candidate, offer


def _agree(places: Iterable[Place], node: str, zone: str) -> int:
    """Compare all policies and kinds of traffic; how many cells these are."""
    made = [_made(a, place) for a, place in zip((ONE, TWO, THREE), places, strict=False)]
    candidates = tuple(candidate for candidate, _ in made)
    listed = [offer for _, offer in made]
    found = {
        local_only: _selected(candidates, node, zone, local_only) for local_only in (False, True)
    }
    for policies, traffic in CELLS:
        expected = verdict(categorize(listed, node, zone, policies), policies, traffic)
        if isinstance(expected, str):
            expected = set()  # rule C9: both answers are a drop for us
        assert found[_is_local(policies, traffic)] == expected, (listed, node, zone, traffic)
    return len(CELLS)


def _is_local(policies: Policies, traffic: str) -> bool:
    """How ``select`` is asked (rule L3)."""
    if traffic == TRAFFIC[0]:
        return policies.internal_local
    return traffic == TRAFFIC[2] and policies.external_local


def _selected(
    candidates: tuple[Candidate, ...], node: str, zone: str, local_only: bool
) -> set[Pair]:
    chosen = select({PORT: candidates}, node, zone, local_only=local_only)
    return {(c.address, c.target) for listed in chosen.values() for c in listed}


def _groups() -> Iterator[tuple[Place, ...]]:
    """No endpoint, each one, each ordered pair."""
    yield ()
    for place in PLACES:
        yield (place,)
    yield from product(PLACES, PLACES)


@pytest.mark.parametrize(("node", "zones"), [("n1", ("z1", "")), ("n2", ("z2",)), ("n3", ("z3",))])
def test_up_to_two_endpoints_are_selected_as_by_kube_proxy(
    node: str, zones: tuple[str, ...]
) -> None:
    """From each of three nodes: one that hints name, one in another zone, one that none names."""
    cells = sum(_agree(places, node, zone) for places in _groups() for zone in zones)

    assert cells == (1 + 96 + 96 * 96) * 14 * len(zones)


@pytest.mark.parametrize("zone", ["z1", ""])
def test_three_endpoints_are_selected_as_by_kube_proxy(zone: str) -> None:
    """Their order does not matter, so each three are tried once."""
    groups = combinations_with_replacement(FEWER, 3)
    cells = sum(_agree(places, "n1", zone) for places in groups)

    assert cells == 64 * 65 * 66 // 6 * 14


def test_verdicts_are_what_is_selected() -> None:
    """Each of two endpoints is judged once, and kept if and only if it is selected."""
    for places in product(FEWER, FEWER):
        candidates = tuple(_made(a, p)[0] for a, p in zip((ONE, TWO), places, strict=True))
        for zone, local_only in product(("z1", ""), (False, True)):
            found = judge(candidates, "n1", zone, local_only=local_only)
            kept = {(v.candidate.address, v.candidate.target) for v in found if v.kept}

            assert tuple(item.candidate for item in found) == candidates
            assert all(item.rule and item.why for item in found)
            assert kept == _selected(candidates, "n1", zone, local_only)
