"""What slices offer, kept part by part, is what they offer together."""

from __future__ import annotations

import random
from typing import Any

from clusters import endpoint, endpoint_slice, service
from hypothesis import given, settings
from hypothesis import strategies as st

from srv6kv.kube.model import EndpointSlice, Service
from srv6kv.kube.parse import parse
from srv6kv.ligato.values import Policy, encode
from srv6kv.render.lists import Lists
from srv6kv.render.offers import Offers
from srv6kv.render.selection import candidates_of, facts_of

ADDRESSES = [f"2001:0:0:{part}::{host}" for part in (1, 2) for host in (5, 6, 7)]
PORTS = (("http", "TCP", 80), ("dns", "UDP", 53), ("", "TCP", 443))


def parsed(body: dict[str, Any]) -> Any:
    """The model value."""
    return parse(body["kind"], body)


def some_slice(dice: random.Random, name: str) -> EndpointSlice:
    """A slice whose addresses others list too."""
    listed = [
        endpoint(
            dice.choice(ADDRESSES),
            dice.choice(["node1", "node2", None]),
            ready=dice.choice([True, True, False]),
            serving=dice.choice([True, False]),
            terminating=dice.choice([False, False, True]),
            zones=dice.choice([(), ("z1",), ("",)]),
            nodes=dice.choice([(), ("node1",)]),
        )
        for _ in range(dice.randint(0, 4))
    ]
    ports = [
        (port, protocol, dice.choice([number, 8080]))
        for port, protocol, number in dice.sample(PORTS, dice.randint(1, 3))
    ]
    found = parsed(endpoint_slice("web", listed, ports, name=name))
    assert isinstance(found, EndpointSlice)
    return found


def some_service(dice: random.Random) -> Service:
    """A service with some of the ports."""
    found = parsed(service("web", "2096::1", dice.sample(PORTS, dice.randint(1, 3))))
    assert isinstance(found, Service)
    return found


@settings(max_examples=300)
@given(st.integers(0, 2**32))
def test_parts_are_the_whole(seed: int) -> None:
    """However slices come, change and go, and whatever several of them list, the candidates are
    those of all slices together, and what is counted about them too; no address is in two parts.
    """
    dice = random.Random(seed)
    offers, slices = Offers("node1"), dict[str, EndpointSlice]()
    web = some_service(dice)
    for _ in range(12):
        for name in dice.sample(["a", "b", "c", "d"], dice.randint(0, 2)):
            slices.pop(name, None)
            if dice.random() < 0.75:
                slices[name] = some_slice(dice, name)
        if dice.random() < 0.1:
            web = some_service(dice)
        zone = "z1" if dice.random() < 0.9 else ""
        ordered = [slices[name] for name in sorted(slices)]
        offers.update(web, ordered, zone)
        whole = candidates_of(web, ordered)
        addresses = [one for part in offers.parts.values() for one in part.addresses]

        assert offers.candidates() == whole
        assert len(addresses) == len(set(addresses))
        for port, offered in whole.items():
            facts = offers.facts.get(port) or facts_of((), "node1", zone)
            assert facts == facts_of(offered, "node1", zone)


SIDS = st.sampled_from(["9000::1", "9300:0:0:1::5", "9300::dead", "9300:0:0:2::a0"])


@given(st.dictionaries(st.lists(SIDS, min_size=1, max_size=3).map(tuple), st.integers(1, 12)))
def test_the_size_of_lists(paths: dict[tuple[str, ...], int]) -> None:
    """It is known before the lists are made, to the byte."""
    lists = Lists.of(paths)
    bare = Policy(bsid="8fff::1", srh_encapsulation=True)
    whole = Policy(bsid="8fff::1", srh_encapsulation=True, segment_lists=lists.made())
    between = len(',"segment_lists":[]') + len(paths) - 1 if paths else 0

    assert len(encode(whole)) == len(encode(bare)) + lists.size + between
