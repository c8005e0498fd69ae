"""What a plan takes from traffic, by what is steered before and after it."""

from __future__ import annotations

from collections import Counter

import pytest

from srv6kv.ligato import keys
from srv6kv.ligato.values import L3Traffic, Policy, SegmentList, Steering, encode
from srv6kv.plan.actual import Actual
from srv6kv.plan.plan import Ledger, Plan
from srv6kv.sync.losses import ENDPOINTS, LOCALSIDS, POLICIES, Loss, Served, loss_of

DISCARD = "9000::dead"
WEB, MORE = "5555::a", "5555::b"
LOCALSID = f"{keys.LOCALSID}6666::5"


def policy(bsid: str, *ends: str, weight: int = 1) -> tuple[str, bytes]:
    """A policy with a list to each of these SIDs."""
    lists = tuple(SegmentList(segments=("7000::2", one), weight=weight) for one in ends)
    return keys.POLICY + bsid, encode(Policy(bsid=bsid, segment_lists=lists))


def steering(name: str, address: str, bsid: str) -> tuple[str, bytes]:
    """A steering of an address in VRF 1."""
    traffic = L3Traffic(prefix_address=f"{address}/128", installation_vrf_id=1)
    return keys.STEERING + name, encode(Steering(name=name, policy_bsid=bsid, l3_traffic=traffic))


HELD = dict(
    [
        policy(WEB, "1::1", "1::2", "1::3"),
        steering("web", "2096::a", WEB),
        policy(MORE, "1::1", weight=4),
        steering("more", "2096::b", MORE),
        (LOCALSID, b"{}"),
    ]
)


def loss(*changes: tuple[str, bytes | None]) -> Loss:
    """What these changes of what is held take away."""
    actual, served = Actual(), Served(DISCARD)
    for key, value in HELD.items():
        actual.apply(key, value, 1)
        served.apply(key, value)
    wanted = {**HELD, **dict(changes)}
    return loss_of(Plan((), Ledger(), Counter(), wanted), actual, served)


def test_what_is_held() -> None:
    """Policies, the weights of their lists and localsids are counted as they come and go."""
    served = Served(DISCARD)
    for key, value in HELD.items():
        served.apply(key, value)

    assert served.actual == {POLICIES: 2, ENDPOINTS: 7, LOCALSIDS: 1}

    served.apply(*policy(WEB, "1::1"))
    served.apply(LOCALSID, None)

    assert +served.actual == {POLICIES: 2, ENDPOINTS: 5}


def test_nothing_changes() -> None:
    """A plan without a change takes nothing."""
    assert loss() == Loss(
        Counter(),
        Counter({POLICIES: 2, ENDPOINTS: 7, LOCALSIDS: 1}),
        Counter({POLICIES: 2, ENDPOINTS: 7, LOCALSIDS: 1}),
    )


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ([policy(WEB, "1::1")], {(ENDPOINTS, WEB): 2}),
        ([policy(WEB, "1::1", "1::2", "1::4")], {}),
        ([policy(WEB, "1::1", "1::2", "1::3", "1::4")], {}),
        ([policy(MORE, "1::1", weight=1)], {(ENDPOINTS, MORE): 3}),
        ([(keys.STEERING + "web", None)], {(POLICIES, WEB): 1, (ENDPOINTS, WEB): 3}),
        (
            [(keys.STEERING + "web", None), (keys.POLICY + WEB, None)],
            {(POLICIES, WEB): 1, (ENDPOINTS, WEB): 3},
        ),
        ([policy(WEB, DISCARD)], {(POLICIES, WEB): 1, (ENDPOINTS, WEB): 3}),
        ([(LOCALSID, None)], {(LOCALSIDS, LOCALSID): 1}),
        ([(LOCALSID, b'{"sid":"6666::5"}')], {}),
    ],
)
def test_lost(changes: list[tuple[str, bytes | None]], lost: dict[tuple[str, str], int]) -> None:
    """What is lost is told by policy, whether its steering goes, its lists, or all of them but the
    discard SID; an endpoint that takes another's place is no loss."""
    expected = {
        (kind, key if kind == LOCALSIDS else keys.POLICY + key): number
        for (kind, key), number in lost.items()
    }

    assert loss(*changes).lost == expected


def test_another_bsid_is_no_loss() -> None:
    """Traffic that gets the same lists by another policy or another steering loses nothing."""
    moved = [
        policy("5556::a", "1::1", "1::2", "1::3"),
        steering("web_2096::a", "2096::a", "5556::a"),
        (keys.STEERING + "web", None),
        (keys.POLICY + WEB, None),
    ]

    assert loss(*moved).lost == {}
    assert loss(*moved).takes


def test_a_bsid_that_another_address_takes_is_a_loss() -> None:
    """Its first address is steered nowhere then."""
    found = loss((keys.STEERING + "web", None), steering("new", "2096::c", WEB))

    assert found.lost == {(POLICIES, keys.POLICY + WEB): 1, (ENDPOINTS, keys.POLICY + WEB): 3}


def test_what_is_left() -> None:
    """What comes counts in what is left, not against what is lost."""
    found = loss(
        (keys.STEERING + "web", None), (keys.POLICY + WEB, None), policy("5555::c", "1::1", "1::2")
    )

    assert found.left == {POLICIES: 2, ENDPOINTS: 6, LOCALSIDS: 1}
    assert found.lost[POLICIES, keys.POLICY + WEB] == 1
