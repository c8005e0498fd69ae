"""Addresses as text: one spelling each, the one that the agent and VPP print."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srv6kv.net.addresses import Prefix, canonical, is_ipv4, is_ordinary, mask, to_int, to_text

BITS = st.one_of(
    st.integers(0, 2**128 - 1),
    st.lists(st.sampled_from([0, 0, 0, 1, 0xFFFF, 0xA0]), min_size=8, max_size=8).map(
        lambda groups: sum(group << (16 * index) for index, group in enumerate(groups))
    ),
)


@settings(derandomize=True, deadline=None, max_examples=1000)
@given(BITS)
def test_text_is_rfc_5952(bits: int) -> None:
    """Every 128 bits have the text that RFC 5952 asks for, in hexadecimal, and it reads back."""
    text = to_text(bits)

    if bits >> 32 != 0xFFFF:  # Python 3.13 writes mapped addresses with dots
        assert text == str(IPv6Address(bits))
    assert to_int(text) == bits


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2001:0:0:1::5", "2001:0:0:1::5"),
        ("2001:0000:0000:0001:0000:0000:0000:0005", "2001:0:0:1::5"),
        ("2001:0:0:1:0:0:0:5", "2001:0:0:1::5"),
        ("2001::1:0:0:5", "2001::1:0:0:5"),
        ("FE10:F00D::1", "fe10:f00d::1"),
        ("::", "::"),
        ("::1", "::1"),
        ("::1.2.3.4", "::102:304"),
        ("1:0:2:0:3:0:4:0", "1:0:2:0:3:0:4:0"),
        ("1:0:0:2:3:0:0:4", "1::2:3:0:0:4"),
    ],
)
def test_canonical_is_the_one_spelling(text: str, expected: str) -> None:
    """Whatever the spelling, the canonical one is the same."""
    assert canonical(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "x", "10.0.0.1", "2001::1::1", "2001::1%eth0", "2001::1/64", " 2001::1", "2001::\0"],
)
def test_what_is_no_ipv6_address_is_refused(text: str) -> None:
    """Names, IPv4, zones, prefixes and blanks are none."""
    with pytest.raises(ValueError, match="not an IPv6 address"):
        canonical(text)


def test_mapped_addresses_are_refused() -> None:
    """An IPv4-mapped address would compare as IPv4 in the agent."""
    with pytest.raises(ValueError, match="IPv4-mapped"):
        canonical("::ffff:10.0.0.1")


def test_dotted_quads_are_ipv4() -> None:
    """Four numbers are IPv4, and nothing else is."""
    assert is_ipv4("10.0.0.1")
    assert not any(map(is_ipv4, ["", "10.0.0", "2001::1", "::ffff:10.0.0.1", "10.0.0.1\0"]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2096::5", True),
        ("fd00::101", True),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("ff02::1", False),
    ],
)
def test_ordinary_addresses_are_unicast_beyond_the_link(text: str, expected: bool) -> None:
    """Unspecified, loopback, link-local and multicast addresses are nobody's service."""
    assert is_ordinary(text) == expected


@settings(derandomize=True, deadline=None)
@given(BITS, st.integers(0, 128), BITS)
def test_a_prefix_clears_host_bits_and_knows_its_addresses(
    bits: int, length: int, other: int
) -> None:
    """A prefix is its network, prints as such and holds exactly the addresses in it."""
    network = IPv6Network((bits, length), strict=False)
    if network.network_address.ipv4_mapped or IPv6Address(bits).ipv4_mapped:
        return
    prefix = Prefix.parse(f"{IPv6Address(bits)}/{length}")

    assert str(prefix) == str(network)
    assert prefix == Prefix.parse(str(network))
    assert (to_text(other) in prefix) == (IPv6Address(other) in network)
    assert mask(length) == int(network.netmask)


@pytest.mark.parametrize(
    "text", ["", "2001::", "2001::/", "2001::/129", "2001::/-1", "2001::/x", "10.0.0.0/8", "/64"]
)
def test_what_is_no_prefix_is_refused(text: str) -> None:
    """A prefix needs an IPv6 address and a length from 0 to 128."""
    with pytest.raises(ValueError, match="not an IPv6"):
        Prefix.parse(text)


def test_a_prefix_covers_longer_ones_in_it() -> None:
    """A prefix covers itself and what lies in it, not what is wider or beside it."""
    wide, narrow, beside = map(Prefix.parse, ["2001::/48", "2001:0:0:1::/64", "2001:0:1::/64"])

    assert wide.covers(wide)
    assert wide.covers(narrow)
    assert not narrow.covers(wide)
    assert not wide.covers(beside)


def test_hosts_are_counted_from_the_network() -> None:
    """Host numbers fit the prefix or are refused."""
    prefix = Prefix.parse("2002::1:0/112")

    assert prefix.host(2) == "2002::1:2"
    assert prefix.host(65535) == "2002::1:ffff"
    for number in (-1, 65536):
        with pytest.raises(ValueError, match="no host number"):
            prefix.host(number)
