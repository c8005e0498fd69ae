"""What becomes of a packet, in words, and the parts of the ways that lead there."""

from __future__ import annotations

from typing import Literal

import pytest

from srv6kv.ligato.values import Namespace, RuleChain
from srv6kv.trace import Question, Trace
from srv6kv.trace.hops import Branch, End, Hop, Packet
from srv6kv.trace.rules import Chain, Rule, chain_of

PACKET = Packet("2001::1", "2096::a", "TCP", 80)


@pytest.mark.parametrize(
    ("kind", "text", "is_delivered"),
    [
        ("pod", "pod 2001::5 on node1 has it on port 8080", True),
        ("host", "the host of node1 has it, because", True),
        ("dropped", "dropped at node1: because", False),
        ("left", "it leaves the cluster at node1: because", False),
        ("unknown", "not known at node1: because", False),
    ],
)
def test_every_end_has_its_words(
    kind: Literal["pod", "host", "dropped", "left", "unknown"], text: str, is_delivered: bool
) -> None:
    """Only a pod and a host have the packet."""
    end = End(kind, "node1", "2001::5", 8080, "because")

    assert (str(end), end.is_delivered) == (text, is_delivered)


def hop_to(*ends: tuple[int, End]) -> Hop:
    """A fork with a way of some weight to each end."""
    of = sum(weight for weight, _ in ends)
    last = (Hop("node1", "host", "receive", "host", "has it", "", PACKET, end=e) for _, e in ends)
    branches = tuple(
        Branch(weight, of, str(end), hop) for (weight, end), hop in zip(ends, last, strict=True)
    )
    return Hop("node1", "VRF 1", "policy", "5555::a", "chooses", "", PACKET, branches)


def test_a_way_has_the_product_of_the_weights() -> None:
    """A trace is delivered if one of its ways is."""
    host, lost = End("host", "node1"), End("dropped", "node1", why="no route")
    inner = hop_to((1, host), (2, lost))
    path = Hop(
        *("node1", "host", "choice", "2096::a", "chooses", "", PACKET),
        branches=(Branch(1, 2, "a", inner), Branch(1, 2, "b", hop_to((1, lost)))),
    )
    question = Question("node1", "host", "2001::1", "2096::a", "TCP", 80)

    assert [(way.weight, way.of, way.end) for way in path.ways()] == [
        (1, 6, host),
        (2, 6, lost),
        (1, 2, lost),
    ]
    assert (Trace(question, path).is_delivered, Trace(question, inner).is_delivered) == (True, True)
    assert not Trace(question, hop_to((1, lost))).is_delivered


def chain_with(text: str) -> Chain:
    """A pod's chain with one rule."""
    value = RuleChain("c", Namespace(), (text,), "NAT", "", "PREROUTING", "IPV6")
    return chain_of("key", value)


@pytest.mark.parametrize(
    ("text", "met", "target"),
    [
        (
            "-d 2096::a/128 -p tcp -m tcp --dport 80 -j DNAT --to-destination [2001::5]:8080",
            True,
            8080,
        ),
        ("-d 2096::a/128 -p tcp -m tcp --dport 79:81 -j DNAT --to-destination 2001::5", True, 0),
        (
            "-d 2096::a/128 -p tcp -m tcp --dport 81 -j DNAT --to-destination [2001::5]:8080",
            False,
            8080,
        ),
        (
            "-d 2096::a/128 -p udp -m udp --dport 80 -j DNAT --to-destination [2001::5]:8080",
            False,
            8080,
        ),
    ],
)
def test_translations(text: str, met: bool, target: int) -> None:
    """A rule takes one port or a range of them, of one protocol."""
    (rule,) = chain_with(text).rules

    assert (rule.takes(PACKET), rule.target) == (met, ("2001::5", target))


@pytest.mark.parametrize(
    "text", ["-j ACCEPT", "-d 2096::a/999 -j CT --notrack", "-d :::/64 -j CT --notrack"]
)
def test_a_rule_of_another_kind(text: str) -> None:
    """It takes no packet by itself: trace does not know what it does."""
    (rule,) = chain_with(text).rules

    assert (rule, rule.takes(PACKET)) == (Rule(text), False)
