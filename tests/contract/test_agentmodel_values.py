"""The model takes keys and JSON as the agent does (agent rules A31, A33 and A35)."""

from __future__ import annotations

import pytest
from agentmodel import State
from agentmodel.values import Undecodable, decode, key_of, model_of
from agentvalues import LOCALSID, POLICY, STEERING, end, policy, started, steering

SID = f"{LOCALSID}6666::5"
DX6 = b'{"sid":"6666::5","end_function_dx6":{"next_hop":"2001::5"}}'
ROUTE = "config/vpp/v2/route/"


@pytest.mark.parametrize(
    "text",
    [
        DX6,
        b'{"sid":"6666::5","endFunctionDx6":{"nextHop":"2001::5"}}',
        b'{"sid":"6666::5","installation_vrf_id":"7"}',
        b'{"sid":"6666::5","installation_vrf_id":7.0}',
        b'{"sid":"6666::5","installation_vrf_id":1e1}',
        b'{"sid":null}',
        b'{"sid":"6666::5","base_end_function":null}',
        b"{}",
    ],
)
def test_what_the_decoder_takes(text: bytes) -> None:
    """Both names of a field, whole numbers in any writing, nulls."""
    assert decode(SID, text) is not None


@pytest.mark.parametrize(
    "text",
    [
        b'{"sid":"6666::5","something":1}',
        b'{"sid":"6666::5","end_function_DX6":{}}',
        b'{"sid":"6666::5","installation_vrf_id":1,"installationVrfId":1}',
        b'{"sid":"6666::5","sid":"6666::5"}',
        b'{"base_end_function":{},"end_function_dx6":{}}',
        b'{"installation_vrf_id":7.5}',
        b'{"installation_vrf_id":-1}',
        b'{"installation_vrf_id":4294967296}',
        b'{"base_end_function":{"psp":"true"}}',
        b'{"base_end_function":{"psp":1}}',
        b'{"@type":"x"}',
        b"null",
        b"",
        b"{} x",
    ],
)
def test_what_the_decoder_refuses(text: bytes) -> None:
    """Unknown fields, doubles, two of a oneof, wrong types."""
    with pytest.raises(Undecodable):
        decode(SID, text)


@pytest.mark.parametrize(
    ("text", "is_taken"),
    [
        (b'{"type":"DROP"}', True),
        (b'{"type":9}', True),
        (b'{"type":"drop"}', False),
    ],
)
def test_enums(text: bytes, is_taken: bool) -> None:
    """By exact name or any number."""
    if is_taken:
        assert decode(f"{ROUTE}x", text) is not None
    else:
        with pytest.raises(Undecodable):
            decode(f"{ROUTE}x", text)


def test_null_in_a_list() -> None:
    """It is refused."""
    with pytest.raises(Undecodable):
        decode(f"{POLICY}5555::1", b'{"segment_lists":[null]}')


def test_each_generation_has_its_own_names() -> None:
    """0.10: the name of the other generation is an unknown field."""
    chain = "config/linux/iptables/v2/rulechain/x"
    decode(SID, b'{"sid":"6666::5","end_function_DX6":{}}', "v2")
    decode(SID, b'{"sid":"6666::5","endFunctionX":{}}', "v2")
    decode(SID, b'{"sid":"6666::5","base_end_function":{}}', "v2")
    decode(chain, b'{"protocol":"IPv6"}', "v2")
    for key, text in ((SID, DX6), (chain, b'{"protocol":"IPV6"}')):
        with pytest.raises(Undecodable):
            decode(key, text, "v2")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (f"{LOCALSID}A::1", b'{"sid":"A::1"}'),
        (f"{STEERING}a/b", b'{"name":"a/b"}'),
        ("config/vpp/srv6/v2/x", b'{"sid":"../x"}'),
        ("config/vpp/srv6/v2/localsid", b"{}"),
        (f"{ROUTE}vrf/0/dst/2001:db8::/64", b'{"dst_network":"2001:DB8:0::1/64"}'),
        (f"{ROUTE}vrf/0/dst/10.0.0.0/8", b'{"dst_network":"::ffff:10.0.0.1/104"}'),
        (f"{ROUTE}vrf/1/dst/<invalid>/0", b'{"vrf_id":1,"dst_network":"nonsense"}'),
        (f"{ROUTE}vrf/0/dst/::/0/gw/::", b'{"dst_network":"::/0","next_hop_addr":"::"}'),
        (
            f"{ROUTE}if/tap/vrf/1/dst/2001::5/128/gw/2001::5",
            b'{"vrf_id":1,"dst_network":"2001::5/128","next_hop_addr":"2001::5",'
            b'"outgoing_interface":"tap"}',
        ),
        ("config/vpp/v2/vrf-table/id/1/protocol/IPV6", b'{"id":1,"protocol":"IPV6"}'),
        ("config/vpp/v2/arp/tap/2001::5", b'{"interface":"tap","ip_address":"2001::5"}'),
        ("config/vpp/srv6/v2/srv6-global", b"{}"),
    ],
)
def test_keys_of_values(key: str, text: bytes) -> None:
    """2.1 and 2.2: names as they are, destinations as Go writes them, paths cleaned."""
    prefix = LOCALSID if key.startswith("config/vpp/srv6/v2/") and b"sid" in text else key
    model = model_of(prefix if model_of(prefix) else f"{LOCALSID}x")
    assert model is not None

    assert key_of(model, decode(f"{model.prefix}x" if model.prefix[-1] == "/" else key, text)) == (
        key
    )


def test_a_key_that_is_not_its_values_voids_a_resync() -> None:
    """0.2: nothing of it is done; as a change only that key is dropped."""
    agent = started(end("6666::1"))
    wrong = (f"{LOCALSID}6666::7", end("6666::8")[1])
    assert agent.resync(dict([end("6666::2"), wrong])) is None
    assert set(agent.states()) >= {f"{LOCALSID}6666::1"}
    assert agent.state(f"{LOCALSID}6666::2") == State.NONEXISTENT
    assert agent.change(*wrong) is None

    assert [text.partition(" with")[0] for text in agent.said] == [
        f'resync returned error: given key "{wrong[0]}" does not match',
        f'given key "{wrong[0]}" does not match',
    ]


def test_what_cannot_be_decoded_is_ignored_or_gone() -> None:
    """3.2: on a change the old value stays, on a resync it is absent."""
    agent = started(end("6666::5"))
    assert agent.change(SID, b'{"nonsense":1}') is None
    assert agent.state(SID) == State.CONFIGURED
    agent.resync({SID: b'{"nonsense":1}'})

    assert agent.state(SID) == State.NONEXISTENT
    assert agent.vpp.localsids.all() == []


def test_an_empty_value_is_dropped() -> None:
    """3.1: the watcher passes it on to nobody."""
    agent = started(end("6666::5"))

    assert agent.change(SID, b"") is None
    assert agent.state(SID) == State.CONFIGURED


def test_a_key_of_no_model_is_not_seen() -> None:
    """2.3: a typo in the path, a name that is empty."""
    agent = started()
    for key in ("config/vpp/srv6/v2/localsids/6666::5", LOCALSID, POLICY):
        assert agent.change(key, end("6666::5")[1]) is None

    assert agent.said == []


def test_two_spellings_are_two_keys_of_one_object() -> None:
    """2.2: the second create finds the SID in VPP."""
    agent = started(end("A::1"))
    agent.change(*end("a::1"))

    assert agent.state(f"{LOCALSID}a::1") == State.RETRYING


def test_order_of_keys_does_not_matter_to_creates() -> None:
    """4.2: what comes too early waits, and everything ends CONFIGURED."""
    agent = started()
    for pair in (steering(table=0), policy(), end("6666::1")):
        agent.change(*pair)

    states = [agent.state(pair[0]) for pair in (steering(), policy(), end("6666::1"))]
    assert states == [State.CONFIGURED] * 3
