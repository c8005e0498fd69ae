"""Names of a pod's rule chains, and the order that their keys have."""

from __future__ import annotations

import pytest
from podchains import PREFIX, chain_keys

from srv6kv.ligato.chains import JUMPS, ChainName, Hook, is_builtin, is_copy
from srv6kv.plan.plan import delete_order, put_order


@pytest.mark.parametrize("sandbox", ["a", "default-web", "x-DNAT-a", "x-PREROUTING", "x-IPv4", "-"])
@pytest.mark.parametrize("family", ["", "-IPv4"])
def test_a_name_is_found_again_in_its_key(sandbox: str, family: str) -> None:
    """Whatever the sandbox is called: a name has one meaning."""
    for key in chain_keys(sandbox, family):
        name = ChainName.of(key)
        assert name is not None
        assert name.key == key
        assert (name.sandbox, name.is_ipv4) == (sandbox, bool(family))
        assert is_builtin(key) is not is_copy(key)


def test_all_chains_of_a_pod() -> None:
    """Two copies of the rules for each built-in chain."""
    builtins = [ChainName("a", hook) for hook in Hook]
    names = [name for builtin in builtins for name in (*builtin.copies, builtin)]

    assert sorted(name.key for name in names) == chain_keys("a")
    assert [name.builtin for name in builtins[0].copies] == [builtins[0]] * 2
    assert JUMPS == ("-j srv6kv-a", "-j srv6kv-b")


@pytest.mark.parametrize(
    "key",
    [
        f"{PREFIX}srv6kv-PREROUTING",
        f"{PREFIX}srv6kv-a-INPUT",
        f"{PREFIX}srv6kv-a-DNAT",
        f"{PREFIX}srv6kv-a-DNAT-c",
        f"{PREFIX}srv6kv-a-DNAT-a-IPv6",
        f"{PREFIX}port-forward-a-PREROUTING",
        "config/vpp/v2/arp/srv6kv-a-PREROUTING",
    ],
)
def test_what_is_none_of_ours(key: str) -> None:
    """Others' chains, and names that srv6kv does not give."""
    assert ChainName.of(key) is None
    assert not is_builtin(key)
    assert not is_copy(key)


def test_copies_are_there_as_long_as_a_chain_jumps_to_them() -> None:
    """A jump to a chain that is not there cannot be made, and a chain that is jumped to cannot be
    deleted; at a resync the agent takes the keys as texts (agent rule A40)."""
    for family in ("", "-IPv4"):
        listed = chain_keys("a", family)
        builtins = set(listed[4:])

        assert sorted(listed, key=put_order) == sorted(listed) == listed
        assert set(sorted(listed, key=delete_order)[:2]) == builtins
