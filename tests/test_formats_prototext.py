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
        (LOCALSID, "", "'{' expected, found 'the end'"),
        (LOCALSID, "<nil>", "nil: no such field in LocalSID"),
        (LOCALSID, '"6666::5"', "'{' expected"),
        (LOCALSID, "{ sid:6666 }", "sid: text expected, found '6666'"),
        (LOCALSID, '{ sid:"6666::5 }', "sid: cannot read"),
        (LOCALSID, '{ sid "6666::5" }', "sid: ':' expected"),
        (LOCALSID, '{ sidd:"6666::5" }', "sidd: no such field in LocalSID"),
        (LOCALSID, "{ base_end_function:<vrf_id:1 > }", "base_end_function.vrf_id: no such field"),
        (LOCALSID, "{ base_end_function:<}", "base_end_function: name expected, found '}'"),
        (LOCALSID, "{ base_end_function:1 }", "base_end_function: '{' expected, found '1'"),
        (LOCALSID, "{ Base_end_function:<> }", "Base_end_function: no such field"),
        (LOCALSID, '{ sid:"::1" sid:"::2" }', "sid: given twice"),
        (
            LOCALSID,
            "{ fib_table_id:1 installation_vrf_id:1 }",
            "installation_vrf_id: given twice",
        ),
        (
            LOCALSID,
            "{ base_end_function:<> end_function_T:<> }",
            "end_function_T: besides base_end_function",
        ),
        (LOCALSID, "{ installation_vrf_id:4294967296 }", "installation_vrf_id: 4294967296 is more"),
        (LOCALSID, "{ installation_vrf_id:-1 }", "installation_vrf_id: cannot read"),
        (LOCALSID, "{ installation_vrf_id:1.5 }", "installation_vrf_id: cannot read"),
        (LOCALSID, f"{{ installation_vrf_id:{'9' * 5000} }}", "installation_vrf_id: cannot read"),
        (LOCALSID, "{ base_end_function:<psp:1> }", "base_end_function.psp: '1' is none of its"),
        (LOCALSID, '{ sid:"::1" } }', "end expected, found '}'"),
        (LOCALSID, '{ sid:"::1"', "name expected, found 'the end'"),
        (ROUTE, "{ type:inter_vrf }", "type: 'inter_vrf' is none of its values"),
        (ROUTE, "{ type:9 }", "type: '9' is none of its values"),
        (ROUTE, '{ type:"DROP" }', "type: '\"DROP\"' is none of its values"),
        (STEERING, r'{ name:"\377" }', "name: not UTF-8"),
        (STEERING, r'{ name:"\777" }', r"name: \\777 is no byte"),
        (STEERING, r'{ name:"\ud800" }', r"name: \\ud800 is no character"),
        (STEERING, r'{ name:"\q" }', "name: an unknown escape"),
        ("config/vpp/v2/acl/a", "{}", "not a kind of key that srv6kv knows"),
    ],
)
def test_refused(key: str, text: str, reason: str) -> None:
    """Whatever an agent would not have written is an error that names key and field."""
    with pytest.raises(ValueError, match=reason) as error:
        writer.parse_value(key, text)

    assert str(error.value).startswith(f"{key}: ")
