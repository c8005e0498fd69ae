"""A value as the agent logs it: the seed's lines, both spellings; whole logs: txnlog."""

from __future__ import annotations

import json
from typing import Any

import pytest

from srv6kv.agentlog import writer
from srv6kv.ligato import keys, schema
from srv6kv.ligato.values import LocalSid, Namespace, RuleChain, encode

INTERFACE = "vpp-tap-d6087568be9f59aba028955c19f5684055a69d926ed89f720fe187a"

SEED = """\
- key: config/vpp/srv6/v2/localsid/6666:0:0:1::5
val: { sid:"6666:0:0:1::5" installation_vrf_id:1 end_function_DX6:<outgoing_interface:"vpp-tap-d6087568be9f59aba028955c19f5684055a69d926ed89f720fe187a" next_hop:"2001:0:0:1::5" > }
- key: config/vpp/srv6/v2/policy/5555::d765
val: { bsid:"5555::d765" srh_encapsulation:true segment_lists:<weight:1 segments:"6666:0:0:1::5" > }
- key: config/vpp/srv6/v2/steering/forK8sService-default-myservice
val: { name:"forK8sService-default-myservice" policy_bsid:"5555::d765" l3_traffic:<installation_vrf_id:1 prefix_address:"2096::d765/128" > }
"""  # noqa: E501  # the seed's own lines

SEED_VALUES: list[tuple[str, dict[str, Any]]] = [
    (
        "config/vpp/srv6/v2/localsid/6666:0:0:1::5",
        {
            "end_function_dx6": {"next_hop": "2001:0:0:1::5", "outgoing_interface": INTERFACE},
            "installation_vrf_id": 1,
            "sid": "6666:0:0:1::5",
        },
    ),
    (
        "config/vpp/srv6/v2/policy/5555::d765",
        {
            "bsid": "5555::d765",
            "segment_lists": [{"segments": ["6666:0:0:1::5"], "weight": 1}],
            "srh_encapsulation": True,
        },
    ),
    (
        "config/vpp/srv6/v2/steering/forK8sService-default-myservice",
        {
            "l3_traffic": {"installation_vrf_id": 1, "prefix_address": "2096::d765/128"},
            "name": "forK8sService-default-myservice",
            "policy_bsid": "5555::d765",
        },
    ),
]

CHAIN = RuleChain(
    chain_type="OUTPUT",
    name="srv6kv-d608-OUTPUT",
    namespace=Namespace(reference="/proc/4711/ns/net", type="FD"),
    protocol="IPV6",
    rules=("-d 2096::d765/128 -j CT --notrack", "-d 2096::a/128 -j CT --notrack"),
    table="RAW",
)

LOCALSID = keys.localsid("6666::5")
POLICY = keys.policy("5555::d765")


def json_of(value: dict[str, Any]) -> bytes:
    """Compact JSON with sorted keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def test_seed_is_written() -> None:
    """The seed's three values are written in the seed's six lines, byte for byte."""
    written = [line for key, value in SEED_VALUES for line in writer.lines(key, json_of(value))]

    assert "\n".join(written) + "\n" == SEED


def test_v3_text() -> None:
    """For agents 3.x names are lower case and brackets are braces without blanks inside."""
    texts = [writer.value_text(key, json_of(value), "v3") for key, value in SEED_VALUES]

    assert texts == [
        '{ sid:"6666:0:0:1::5" installation_vrf_id:1 end_function_dx6:{outgoing_interface:"'
        f'{INTERFACE}" next_hop:"2001:0:0:1::5"}} }}',
        '{ bsid:"5555::d765" srh_encapsulation:true '
        'segment_lists:{weight:1 segments:"6666:0:0:1::5"} }',
        '{ name:"forK8sService-default-myservice" policy_bsid:"5555::d765" '
        'l3_traffic:{installation_vrf_id:1 prefix_address:"2096::d765/128"} }',
    ]


@pytest.mark.parametrize(
    ("api", "protocol", "namespace"),
    [
        ("v2", "IPv6", '<type:FD reference:"/proc/4711/ns/net" >'),
        ("v3", "IPV6", '{type:FD reference:"/proc/4711/ns/net"}'),
    ],
)
def test_rule_chain_text(api: schema.Api, protocol: str, namespace: str) -> None:
    """The protocol of a rule chain is IPv6 for agents 2.x and IPV6 for later ones."""
    assert writer.value_text(CHAIN.key, encode(CHAIN), api) == (
        f'{{ name:"srv6kv-d608-OUTPUT" namespace:{namespace} protocol:{protocol} table:RAW '
        'chain_type:OUTPUT rules:"-d 2096::d765/128 -j CT --notrack" '
        'rules:"-d 2096::a/128 -j CT --notrack" }'
    )


@pytest.mark.parametrize("letters", ["x", "t", "dx2", "dx4", "dx6", "dt4", "dt6", "ad"])
def test_end_function_names(letters: str) -> None:
    """Agents 2.x name each end function in upper case, later ones in lower case."""
    value = json_of({"sid": "6666::5", f"end_function_{letters}": {}})

    assert [
        f'{{ sid:"6666::5" end_function_{letters.upper()}:<> }}',
        f'{{ sid:"6666::5" end_function_{letters}:{{}} }}',
    ] == [writer.value_text(LOCALSID, value, api) for api in ("v2", "v3")]


def test_empty_end_function() -> None:
    """An End without options is printed, because a oneof shows which member is set."""
    assert writer.lines(LOCALSID, b'{"base_end_function":{},"sid":"6666::5"}', "v3") == (
        "- key: config/vpp/srv6/v2/localsid/6666::5",
        'val: { sid:"6666::5" base_end_function:{} }',
    )


def test_deleted_value() -> None:
    """A key without a value is logged as <NIL>."""
    assert writer.lines(POLICY, None) == (f"- key: {POLICY}", "val: <NIL>")


def test_escapes() -> None:
    """Quotes and backslashes get a backslash, bytes beyond ASCII three octal digits."""
    value = json_of({"name": "a\"b\\c'd\n\t\r\x01é"})

    assert (
        writer.value_text(keys.steering("s1"), value)
        == r"""{ name:"a\"b\\c'd\n\t\r\001\303\251" }"""
    )


def test_enum_without_a_name() -> None:
    """An enum number that nobody has named yet is printed as a number, as the agent does."""
    assert (
        writer.value_text(keys.route(0, "::/0", ""), b'{"type":9,"dst_network":"::/0"}')
        == '{ type:9 dst_network:"::/0" }'
    )


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("config/vpp/v2/interfaces/loop0", b"{}", "not a kind of key that srv6kv knows"),
        (keys.LOCALSID, b"{}", "not a kind of key that srv6kv knows"),
        (LOCALSID, b'{"sidd":"6666::5"}', "sidd"),
        (LOCALSID, b"{", LOCALSID),
        (LOCALSID, b"\xff", LOCALSID),
    ],
)
def test_unwritable(key: str, value: bytes, reason: str) -> None:
    """An unknown kind and a value that the agent could not decode are errors that name the key."""
    with pytest.raises(ValueError, match=reason) as error:
        writer.value_text(key, value)

    assert str(error.value).startswith(key)


def test_values_of_ours() -> None:
    """The bytes that srv6kv writes into etcd are what the log is made of."""
    value = LocalSid(sid="6666::5")

    assert writer.value_text(value.key, encode(value)) == '{ sid:"6666::5" }'
