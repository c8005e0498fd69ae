"""The reader of the agent's value text is tolerant of spelling and strict in everything else."""

from __future__ import annotations

from typing import Any

import pytest

from srv6kv.agentlog import writer
from srv6kv.ligato import keys

LOCALSID = keys.localsid("6666::5")
STEERING = keys.steering("s1")
ROUTE = keys.route(0, "::/0", "")
CHAIN = keys.rule_chain("c")
POLICY = keys.policy("5555::a")


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        (LOCALSID, "<NIL>", None),
        (LOCALSID, " <EMPTY> ", {}),
        (LOCALSID, "{}", {}),
        (LOCALSID, "{  }", {}),
        (LOCALSID, '{ sid : "6666::5"  }', {"sid": "6666::5"}),
        (LOCALSID, "{ base_end_function:<> }", {"base_end_function": {}}),
        (LOCALSID, "{ base_end_function { psp:true } }", {"base_end_function": {"psp": True}}),
        (LOCALSID, "{ base_end_function { psp:1 } }", {"base_end_function": {"psp": True}}),
        (LOCALSID, "{ end_function_DT6:{vrf_id:1} }", {"end_function_dt6": {"vrf_id": 1}}),
        (LOCALSID, "{ end_function_dt6:< vrf_id:1> }", {"end_function_dt6": {"vrf_id": 1}}),
        (LOCALSID, "{ end_function_X:<psp:false > }", {"end_function_x": {}}),
        (LOCALSID, "{ installation_vrf_id:0 }", {}),
        (LOCALSID, "{ fib_table_id:1 }", {"installation_vrf_id": 1}),
        (STEERING, "{ l3_traffic:<fib_table_id:1 > }", {"l3_traffic": {"installation_vrf_id": 1}}),
        (LOCALSID, "{ installation_vrf_id:4294967295 }", {"installation_vrf_id": 4294967295}),
        (STEERING, "{ policy_index:0 }", {"policy_index": 0}),
        (STEERING, '{ policy_bsid:"" }', {"policy_bsid": ""}),
        (STEERING, r'{ name:"\303\251\xc3\xA9\u00e9\U000000e9é" }', {"name": "ééééé"}),
        (STEERING, r"""{ name:'a"\'\\\n\t\r\"' }""", {"name": 'a"\'\\\n\t\r"'}),
        (STEERING, r'{ name:"\0011\x7f" }', {"name": "\x011\x7f"}),
        (ROUTE, "{ type:INTER_VRF }", {"type": "INTER_VRF"}),
        (ROUTE, "{ type:2 }", {"type": "DROP"}),
        (ROUTE, "{ type:INTRA_VRF }", {}),
        (CHAIN, "{ protocol:IPv6 }", {"protocol": "IPV6"}),
        (CHAIN, "{ protocol:IPv4 }", {}),
        (CHAIN, '{ rules:"a" rules:"" }', {"rules": ["a", ""]}),
        (
            POLICY,
            '{ segment_lists:<segments:"::1" > segment_lists:{segments:"::2"} }',
            {"segment_lists": [{"segments": ["::1"]}, {"segments": ["::2"]}]},
        ),
    ],
)
def test_read(key: str, text: str, value: dict[str, Any] | None) -> None:
    """Every spelling of an agent gives the canonical value, without defaults."""
    assert value == writer.parse_value(key, text)


@pytest.mark.parametrize(
    ("key", "text", "reason"),
    [
        (LOCALSID, "", "'' is not in braces"),
        (LOCALSID, "<nil>", "'<nil>' is not in braces"),
        (LOCALSID, '"6666::5"', "is not in braces"),
        (LOCALSID, "{ sid:6666 }", "sid: Expected string but found: '6666'"),
        (LOCALSID, '{ sid:"6666::5 }', "sid: String missing ending quote"),
        (LOCALSID, '{ sid "6666::5" }', 'Expected ":"'),
        (LOCALSID, '{ sidd:"6666::5" }', 'LocalSID" has no field named "sidd"'),
        (LOCALSID, "{ base_end_function:<vrf_id:1 > }", 'End" has no field named "vrf_id"'),
        (LOCALSID, "{ base_end_function:<}", 'base_end_function: Expected ">"'),
        (LOCALSID, "{ base_end_function:1 }", 'base_end_function: Expected "{"'),
        (LOCALSID, "{ Base_end_function:<> }", 'no field named "Base_end_function"'),
        (LOCALSID, '{ sid:"::1" sid:"::2" }', 'multiple "sid" fields'),
        (
            LOCALSID,
            "{ fib_table_id:1 installation_vrf_id:1 }",
            'multiple "installation_vrf_id" fields',
        ),
        (
            LOCALSID,
            "{ base_end_function:<> end_function_T:<> }",
            '"end_function_t" is specified along with field "base_end_function"',
        ),
        (LOCALSID, "{ installation_vrf_id:4294967296 }", "installation_vrf_id: Value out of range"),
        (LOCALSID, "{ installation_vrf_id:-1 }", "installation_vrf_id: cannot read '-'"),
        (LOCALSID, "{ installation_vrf_id:1.5 }", "installation_vrf_id: cannot read '.'"),
        (
            LOCALSID,
            f"{{ installation_vrf_id:{'9' * 5000} }}",
            "installation_vrf_id: Couldn't parse integer",
        ),
        (LOCALSID, "{ base_end_function:<psp:2> }", 'psp: Expected "true" or "false"'),
        (LOCALSID, '{ sid:"::1" } }', "Expected identifier or number, got }"),
        (LOCALSID, '{ sid:"::1"', "is not in braces"),
        (ROUTE, "{ type:inter_vrf }", "type: .* no value named inter_vrf"),
        (ROUTE, "{ type:9 }", "type: 9 is none of its values"),
        (ROUTE, '{ type:"DROP" }', 'type: .* no value named "DROP"'),
        (STEERING, r'{ name:"\377" }', "name: .*invalid start byte"),
        (STEERING, r'{ name:"\777" }', r"name: cannot read '.*777'"),
        (STEERING, r'{ name:"\ud800" }', "name: .*surrogates not allowed"),
        (STEERING, r'{ name:"\q" }', r"name: cannot read '.*q'"),
        (LOCALSID, '{ sid:"::1" # psp:true }', "sid: cannot read '#'"),
        (LOCALSID, '{ sid:"::1", }', "sid: cannot read ','"),
        (LOCALSID, '{ sid:"::" "1" }', "sid: cannot read"),
        (CHAIN, "{ protocol:\udc80IPv6 }", "protocol: cannot read"),
        ("config/vpp/v2/acl/a", "{}", "not a kind of key that srv6kv knows"),
    ],
)
def test_refused(key: str, text: str, reason: str) -> None:
    """Whatever an agent would not have written is an error that names key and field."""
    with pytest.raises(ValueError, match=reason) as error:
        writer.parse_value(key, text)

    assert str(error.value).startswith(f"{key}: ")
