"""The flow hash: the same function written a second time in C says the same of whole packets."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srv6kv.simulate.flowhash import (
    BITS,
    FIVE_TUPLE,
    FRAGMENT,
    WITH_FLOW_LABEL,
    Flow,
    config_of,
    flow_hash,
)

SOURCE = Path(__file__).parents[2] / "oracles" / "flowhash.c"
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
VECTORS = 4000
FLOW = Flow("2001:0:0:1::2", "2096::d765", 6, 40000, 80)

Oracle = Callable[[list[tuple[Flow, int]]], list[int]]


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    """The program in C."""
    if COMPILER is None or sys.byteorder != "little":
        pytest.skip("no C compiler, or a big-endian machine")
    program = tmp_path_factory.mktemp("flowhash") / "flowhash"
    subprocess.run(
        [COMPILER, "-std=c99", "-Wall", "-Werror", "-O1", "-o", program, SOURCE], check=True
    )

    def ask(questions: list[tuple[Flow, int]]) -> list[int]:
        asked = "".join(f"{_question(flow, config)}\n" for flow, config in questions)
        done = subprocess.run([program], input=asked, capture_output=True, text=True, check=True)
        return [int(line) for line in done.stdout.split()]

    return ask


def _question(flow: Flow, config: int) -> str:
    ports = flow.source_port.to_bytes(2, "big") + flow.port.to_bytes(2, "big")
    if ":" in flow.source:
        first = (0x60000000 | flow.label).to_bytes(4, "big")
        head = first + bytes([0, 4, flow.protocol, 64])
        ends = IPv6Address(flow.source).packed + IPv6Address(flow.destination).packed
        return f"6 {config} {(head + ends + ports).hex()}"
    head = bytes([0x45, 0, 0, 24, 0, 0, 0, 0, 64, flow.protocol, 0, 0])
    ends = IPv4Address(flow.source).packed + IPv4Address(flow.destination).packed
    return f"4 {config} {(head + ends + ports).hex()}"


def _random(chance: random.Random, *, ipv4: bool) -> tuple[Flow, int]:
    kind: type[IPv4Address | IPv6Address] = IPv4Address if ipv4 else IPv6Address
    width = 32 if ipv4 else 128
    ends = [str(kind(chance.getrandbits(chance.choice([4, width])))) for _ in range(2)]
    protocols = [6, 17] if ipv4 else [6, 17, 58, 132, FRAGMENT]
    source_port, port = chance.getrandbits(16), chance.getrandbits(16)
    label = 0 if ipv4 else chance.getrandbits(20)
    flow = Flow(ends[0], ends[1], chance.choice(protocols), source_port, port, label)
    return flow, chance.getrandbits(8) | (0b1100 if ipv4 else 0)


@pytest.mark.parametrize("ipv4", [False, True])
def test_it_is_what_a_second_program_says(oracle: Oracle, seed: int, ipv4: bool) -> None:
    """Of random packets with random words for what is hashed."""
    chance = random.Random(seed)
    questions = [_random(chance, ipv4=ipv4) for _ in range(VECTORS)]
    said = [flow_hash(flow, config_of(str(config or 1))) for flow, config in questions]

    assert said == oracle([(flow, config or 1) for flow, config in questions])
    assert len(set(said)) > VECTORS // 2


def test_known_values() -> None:
    """What the program in C said once, so that it is held where there is no compiler."""
    assert flow_hash(FLOW) == 0xF8E48FA4
    assert flow_hash(replace(FLOW, label=0x12345), WITH_FLOW_LABEL) == 0x29118B48
    assert flow_hash(Flow("10.1.1.2", "10.96.0.10", 17, 40000, 53)) == 0x14A5081D


def test_the_numbers_of_vpp() -> None:
    """0x1f is the 5-tuple, 0x9f has the flow label, and words may stand in any order."""
    assert config_of("0x1f") == FIVE_TUPLE == config_of("proto,dport sport dst src")
    assert config_of("0x9F") == WITH_FLOW_LABEL == config_of("159")
    assert config_of(str(1 << 6)) == {"symmetric"}


@pytest.mark.parametrize("text", ["", "0", "256", "-1", "src ports", "0xzz"])
def test_what_is_no_flow_hash(text: str) -> None:
    """An error names it or the words that there are."""
    with pytest.raises(ValueError, match=re.escape(repr(text)) + "|is none of src, dst"):
        config_of(text)


PORT = st.integers(1, 65535)


@given(source=PORT, label=st.integers(0, (1 << 20) - 1))
def test_what_is_not_asked_for_does_not_count(source: int, label: int) -> None:
    """Neither the flow label nor a port nor an address, and ports of TCP and UDP only."""
    other = replace(FLOW, source_port=source, label=label)
    sctp = replace(other, protocol=132)

    assert flow_hash(other, FIVE_TUPLE - {"sport"}) == flow_hash(FLOW, FIVE_TUPLE - {"sport"})
    assert flow_hash(sctp) == flow_hash(replace(sctp, source_port=1, port=1))
    assert flow_hash(other, frozenset({"dst"})) == flow_hash(FLOW, frozenset({"dst"}))


@given(source=PORT, port=PORT)
def test_symmetric_is_the_same_both_ways(source: int, port: int) -> None:
    """A flow and its answer have one hash."""
    one = replace(FLOW, source_port=source, port=port)
    answer = Flow(one.destination, one.source, 6, port, source)
    words = FIVE_TUPLE | {"symmetric"}

    assert flow_hash(one, words) == flow_hash(answer, words)


def test_the_words_that_differ_between_versions_are_refused() -> None:
    """IPv4 without both ports, and addresses of two families."""
    four = Flow("10.1.1.2", "10.96.0.10", 6, 1, 2)

    assert 0 <= flow_hash(four) < 1 << 32
    for flow, words in [
        (four, FIVE_TUPLE - {"sport"}),
        (replace(four, protocol=132), FIVE_TUPLE),
        (replace(four, source="fd00::1"), FIVE_TUPLE),
    ]:
        with pytest.raises(ValueError, match="differ"):
            flow_hash(flow, words)


def test_flows_of_a_client_are_spread() -> None:
    """Over 64 buckets 6,400 source ports fall as evenly as chance: none has half or twice."""
    found = [0] * 64
    for port in range(32768, 32768 + 6400):
        found[flow_hash(replace(FLOW, source_port=port)) % 64] += 1

    assert sum(found) == 6400
    assert 50 < min(found) <= max(found) < 200


def test_every_word_is_a_bit() -> None:
    """As VPP counts them."""
    assert [config_of(str(1 << bit)) for bit in range(8)] == [frozenset({one}) for one in BITS]
