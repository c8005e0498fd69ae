"""Whatever happens to a cluster, the agent takes every key that srv6kv writes, VPP is asked for no
more than has changed, and at every rest VPP holds what etcd says."""

from __future__ import annotations

import re

import pytest
from agentlife import MANY, Life, lived
from clusters import CONFS, base_keys, node, pod_keys
from figures import Figures
from strategies import Event

CONF_NAMES = sorted(CONFS)


@pytest.mark.parametrize("conf", CONF_NAMES)
def test_a_life(conf: str) -> None:
    """25 steps of each kind of settings, each step planned and delivered in an order of watches."""
    life = lived(conf, 1, 25)

    assert life.written > 20


def test_a_life_has_what_is_hard() -> None:
    """Weights, hundreds of lists, two segments, BSIDs that had to move because they are the same
    text as others or begin them."""
    policies = lived("seed", 7, 40).policies
    lists = [item for policy in policies for item in policy["segment_lists"]]

    assert {1, 2} <= {item["weight"] for item in lists}
    assert {1, 2} == {len(item["segments"]) for item in lists}
    assert max(len(policy["segment_lists"]) for policy in policies) > 100
    assert any(re.match("5555:[1-9]", policy["bsid"]) for policy in policies)


@pytest.mark.faults
def test_long_lives(seed: int, figures: Figures) -> None:
    """400 steps of each kind of settings."""
    for conf in CONF_NAMES:
        life = lived(conf, seed, 400)
        seen = life.seen
        lists = seen["list_add"] + seen["list_del"]
        text = f"{life.written} keys, {sum(seen.values())} VPP calls, {lists} of them for lists"
        figures.count(f"400 steps of {conf}", text)


def _still() -> Life:
    """A node with one other node, at rest."""
    life = Life("seed", 1)
    wiring = base_keys(1, "fe10:f00d::1") | pod_keys("2001:0:0:1::5", "five")
    life.happen(Event("wire", value, key) for key, value in wiring.items())
    life.happen(Event("put", node(number)) for number in (1, 2))
    life.settle()
    return life


def test_three_hundred_backends() -> None:
    """They come, go and come again by lists alone; what stays is not touched."""
    life = _still()
    counts = []
    for backends in (MANY, MANY - 1, 150, MANY, 1):
        life.seen.clear()
        life.grow(backends)
        life.settle()
        life.assert_at_rest()
        counts.append((life.seen["policy_add"], life.seen["list_add"], life.seen["list_del"]))

    assert (1, "2096::1:b/128") in life.agent.vpp.steered()
    assert counts == [(1, MANY - 1, 0), (0, 0, 1), (0, 0, 149), (0, 150, 0), (0, 0, MANY - 1)]
