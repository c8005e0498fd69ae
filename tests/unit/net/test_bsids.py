"""Which BSID an address gets: the formula, and what is free beside it."""

from __future__ import annotations

from itertools import islice, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srv6kv.net.addresses import Prefix, to_text
from srv6kv.net.bsids import Home, Texts, assign, choices

SEED = Prefix.parse("5555::/16")


def _assign(*addresses: str, taken: tuple[str, ...] = (), prefix: Prefix = SEED) -> dict[str, str]:
    texts = Texts()
    used = set(taken)
    for text in used:
        texts.add(text)
    homes = {(1, address): Home(prefix, address) for address in addresses}
    found = assign(homes, texts, lambda bsid: bsid in used)
    return {address: bsid for (_, address), bsid in found.items()}


def test_the_first_choice_is_the_formula() -> None:
    """An address that clashes with none has the reference's BSID."""
    assert _assign("2096::d765") == {"2096::d765": "5555::d765"}


def test_further_choices_count_in_the_16_bits_after_the_prefix() -> None:
    """1, 2, ... are put between the prefix and the rest of the address."""
    found = list(choices(SEED, "2096:a:b::d765"))

    assert found[:3] == ["5555:a:b::d765", "5555:1:b::d765", "5555:2:b::d765"]
    assert found[-1] == "5555:ffff:b::d765"
    assert len(found) == 1 << 16


def test_the_16_bits_need_not_begin_at_a_group() -> None:
    """They are counted in bits, so a /40 splits a group."""
    found = list(islice(choices(Prefix.parse("fc00:b::/40"), "2096::5"), 3))

    assert found == ["fc00:b::5", "fc00:b:0:100::5", "fc00:b:0:200::5"]


def test_a_prefix_of_112_bits_has_room_for_them() -> None:
    """The last 16 bits are all that is left, so the address is replaced by the count."""
    found = list(islice(choices(Prefix.parse("fc00::b:0/112"), "2096::5"), 3))

    assert found == ["fc00::b:5", "fc00::b:1", "fc00::b:2"]


def test_no_bsid_is_the_beginning_of_another() -> None:
    """Of texts that begin alike the longest is served first, then the lower address."""
    for order in permutations(["2096::d7", "2096::d765", "2096::d76"]):
        assert _assign(*order) == {
            "2096::d765": "5555::d765",
            "2096::d76": "5555:1::d76",
            "2096::d7": "5555:2::d7",
        }


def test_equal_low_bits_are_told_apart() -> None:
    """Of equal first choices the lower address takes the formula."""
    assert _assign("fd96::5", "2096::5") == {"2096::5": "5555::5", "fd96::5": "5555:1::5"}


@pytest.mark.parametrize("text", ["5555::d7", "5555::d765:1", "5555::d765"])
def test_what_is_in_use_is_left_alone(text: str) -> None:
    """A BSID in use that equals, begins with or is the beginning of a choice excludes it."""
    assert _assign("2096::d765", taken=(text,)) == {"2096::d765": "5555:1::d765"}


def test_an_address_without_a_free_choice_gets_none() -> None:
    """When each of the 65,536 choices is in use, the address is left out."""
    prefix = Prefix.parse("fc00::b:0/112")
    taken = tuple(to_text(prefix.network | number) for number in range(1 << 16))

    assert _assign("2096::5", taken=taken, prefix=prefix) == {}


@settings(derandomize=True, deadline=None, max_examples=50)
@given(
    st.sets(st.integers(0, 0x3FFFF).map(lambda low: to_text(0x2096 << 112 | low)), max_size=60),
    st.sampled_from(["5555::/16", "fc00:b::/40", "fc00:b::/64", "fc00:b::/96", "fc00::b:0/112"]),
)
def test_any_set_of_addresses_is_prefix_free(addresses: set[str], prefix: str) -> None:
    """Every address gets a BSID in the prefix, and sorted neighbours never begin alike."""
    found = _assign(*addresses, prefix=Prefix.parse(prefix))
    texts = sorted(found.values())

    assert found.keys() == addresses
    assert all(text in Prefix.parse(prefix) for text in texts)
    for index, text in enumerate(texts):
        assert not any(other.startswith(text) for other in texts[index + 1 :])
