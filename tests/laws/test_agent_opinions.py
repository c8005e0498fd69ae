"""What srv6kv's own checks let through, the model of the agent takes; made of values that are odd
in every way (agent rules A1 to A28)."""

from __future__ import annotations

import random
from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Any

import pytest
from agentmodel import Agent, FakeVpp, State
from agentruns import assert_done
from agentvalues import interface, policy, vrf

from srv6kv.ligato.validity import fault_of
from srv6kv.ligato.values import (
    AgentValue,
    Arp,
    CrossConnect,
    End,
    L3Traffic,
    LocalSid,
    LookUp,
    Namespace,
    Policy,
    Route,
    RuleChain,
    SegmentList,
    Steering,
    VrfTable,
    encode,
)

Dice = random.Random
WAYS = 3000
NAMES = ("web", "a/b", "a//b", "../x", "./x", "x/", "/x", ".", "", "a b", "$HOME", "ä")
ODD = ("", "nonsense", "10.0.0.1", "::ffff:10.0.0.1", "6666::1%eth0", "6666::1/128")
GROUND = dict([vrf(), interface(), policy("5555::1")])
"""What the values may depend on."""


def _address(dice: Dice, prefix: str = "6666::") -> str:
    """Mostly canonical, sometimes spelt as VPP does not print it, sometimes no IPv6 at all."""
    address = IPv6Address(f"{prefix}{dice.randrange(1, 40):x}")
    odd = [address.exploded, str(address).upper(), f"{prefix}0:1".replace("::", ":0::")]
    return dice.choice([*[str(address)] * 12, *odd, *dice.sample(ODD, 1)])


def _policy(dice: Dice) -> Policy:
    lists = tuple(
        SegmentList(
            tuple(_address(dice) for _ in range(dice.choice([0, 1, 1, 2, 2, 5, 6, 17]))),
            dice.choice([0, 1, 1, 1, 9, 10]),
        )
        for _ in range(dice.choice([0, 1, 1, 1, 2, 3]))
    )
    bsid = dice.choice(["5556::1", "5556::1", "5555::11", "5556:0::1", "5556::A", "", "x"])
    return Policy(bsid, dice.choice([0, 0, 1, 2]), lists, dice.random() < 0.9)


def _localsid(dice: Dice) -> LocalSid:
    tap = dice.choice(["tap1"] * 6 + ["tap2", "", "x" * 64])
    six = CrossConnect(_address(dice, "2001::"), tap)
    four = CrossConnect(dice.choice(["10.0.0.1", "2001::1", "10.0.0.256", ""]), tap)
    function: dict[str, Any] = dice.choice(
        [
            {"base_end_function": End()},
            {"end_function_dx6": six},
            {"end_function_dx4": four},
            {"end_function_dt6": LookUp(dice.choice([0, 1, 2]))},
            {"end_function_dt4": LookUp(dice.choice([0, 1]))},
            {},
            {"base_end_function": End(), "end_function_dx6": six},
        ]
    )
    return LocalSid(_address(dice), installation_vrf_id=dice.choice([0, 1, 2]), **function)


def _steering(dice: Dice) -> Steering:
    bsid = dice.choice(["5555::1"] * 5 + ["5555::2", _address(dice, "5555::")])
    ends = ["/128", "/128", "/128", "/64", "", "/129"]
    prefix = _address(dice, "2096::") + dice.choice(ends)
    name = dice.choice([*NAMES, *["web"] * 12])
    return Steering(L3Traffic(prefix, dice.choice([0, 1, 2])), name, bsid)


def _route(dice: Dice) -> Route:
    ends = ["/128", "/128", "/64", "/0", ""]
    return Route(
        dice.choice(["2001::/64", "::/0", _address(dice) + dice.choice(ends)]),
        dice.choice(["::", "::", "", _address(dice, "fe10::")]),
        dice.choice(["", "", "tap1", "a//b"]),
        dice.choice(["", "INTER_VRF", "INTER_VRF", "DROP", "drop"]),
        dice.choice([0, 1, 2]),
        dice.choice([0, 1, 2]),
    )


def _vrf_table(dice: Dice) -> VrfTable:
    label = dice.choice(["", "main", "x" * 63, "x" * 64])
    return VrfTable(dice.choice([0, 1, 2]), label, dice.choice(["", "IPV6", "IPV4", "IPv6"]))


def _arp(dice: Dice) -> Arp:
    return Arp(dice.choice(["tap1", "tap2", ""]), _address(dice, "2001::"), "02:fe:00:00:00:01")


def _chain(dice: Dice) -> RuleChain:
    kinds = ["PREROUTING", "OUTPUT", "INPUT", "FORWARD", "CUSTOM", "", "", "prerouting"]
    return RuleChain(
        dice.choice([*NAMES, *["web"] * 12]),
        Namespace("/run/netns/a", dice.choice(["FD", "NSID", "fd"])),
        tuple(["-d 2096::1/128 -j CT --notrack"] * dice.choice([0, 1, 2])),
        dice.choice(["NAT", "RAW", "FILTER", "MANGLE"]),
        dice.choice(["", "", "srv6kv-a", "a" * 28]),
        dice.choice(kinds),
        dice.choice(["IPV6", "IPV6", "IPv6", ""]),
    )


def _taken(value: AgentValue) -> State | None:
    """The state of a value, alone with what it may depend on; None: it is dropped, or VPP is hurt
    by it."""
    agent = Agent(FakeVpp())
    agent.resync(GROUND)
    agent.change(value.key, encode(value))
    return None if agent.said or agent.vpp.faults else agent.state(value.key)


@pytest.mark.parametrize(
    "make",
    [_policy, _localsid, _steering, _route, _vrf_table, _arp, _chain],
    ids=lambda make: make.__name__.strip("_"),
)
def test_what_srv6kv_would_write_the_agent_takes(make: Callable[[Dice], AgentValue]) -> None:
    """A value without a fault in srv6kv's eyes is CONFIGURED or waits for what is not there, and
    hurts nobody; there are many such values, and many others."""
    dice = Dice(6)
    seen = set()
    fine = 0
    for _ in range(WAYS):
        value = make(dice)
        if value in seen:
            continue
        seen.add(value)
        if fault_of(value) is None:
            assert _taken(value) in (State.CONFIGURED, State.PENDING), value
            fine += 1

    assert 0 < fine < len(seen)


def test_six_segments_are_too_many_for_both() -> None:
    """srv6kv refuses the policy, and VPP would have no room for it; five are taken by both."""
    segments = tuple(f"6666::{number}" for number in range(1, 7))
    five = Policy("5556::1", 0, (SegmentList(segments[:5], 1),), True)
    six = Policy("5556::1", 0, (SegmentList(segments, 1),), True)

    assert (fault_of(five), _taken(five)) == (None, State.CONFIGURED)
    assert (fault_of(six) is None, _taken(six)) == (False, None)


def test_lists_of_five_segments_are_followed() -> None:
    """They change in place as short ones do."""
    agent = Agent(FakeVpp())
    agent.resync({})
    state = {}
    for last in ("a", "b"):
        segments = ("6666::1", "6666::2", "6666::3", "6666::4", f"6666::{last}")
        value = Policy("5555::1", 0, (SegmentList(segments, 1),), True)
        agent.change(value.key, encode(value))
        state[value.key] = encode(value)

    assert_done(agent, state)
    assert agent.vpp.count("list_add", "list_del") == 2
