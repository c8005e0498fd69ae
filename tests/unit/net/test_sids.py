"""The SID formula by the worked examples of rule N1."""

from __future__ import annotations

import pytest
from clusters import sid
from hypothesis import given, settings
from hypothesis import strategies as st

from srv6kv.net.addresses import Prefix, to_text
from srv6kv.net.sids import discard_sid, host_sid, sid_of


@pytest.mark.parametrize(
    ("address", "prefix", "expected"),
    [
        ("2001:0:0:1::5", "6666::/16", "6666:0:0:1::5"),
        ("2096::d765", "5555::/16", "5555::d765"),
        ("::1", "6655::/16", "6655::1"),
        ("fe10:f00d::1", "7766::/16", "7766:f00d::1"),
        ("fe10:f00d::1", "9000::/16", "9000:f00d::1"),
        ("fe10:f00d::2", "9501::/16", "9501:f00d::2"),
        ("fe10:f00d::2", "8500::/16", "8500:f00d::2"),
        ("2001:0:0:1::5", "fd00:1234::/48", "fd00:1234:0:1::5"),
        ("1111:2222::1", "8fff::/16", "8fff:2222::1"),
        ("1111:2222::1", "9300::/16", "9300:2222::1"),
    ],
)
def test_worked_examples(address: str, prefix: str, expected: str) -> None:
    """The prefix's bits, then the address's."""
    assert sid_of(Prefix.parse(prefix), address) == expected


def test_the_hosts_sid_is_the_same_on_all_nodes() -> None:
    """It is the host prefix on ::1."""
    assert host_sid(Prefix.parse("9300::/16")) == "9300::1"


def test_the_discard_sid_is_the_node_prefix_on_dead() -> None:
    """It lies in the range of node SIDs."""
    assert discard_sid(Prefix.parse("7766::/16")) == "7766::dead"


@settings(derandomize=True, deadline=None)
@given(
    st.integers(0, 2**112 - 1).map(lambda bits: to_text(bits | 0x2001 << 112)),
    st.integers(1, 128),
)
def test_the_formula(address: str, length: int) -> None:
    """For any length the SID lies in its prefix and has the low bits of the address."""
    prefix = Prefix.parse(f"fc00:1:2:3:4:5:6:7/{length}")

    assert sid_of(prefix, address) == sid(str(prefix), address)
    assert sid_of(prefix, address) in prefix
