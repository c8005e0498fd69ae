"""A law of the agent's log: what is written can be read, for every kind and both spellings."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from srv6kv.agentlog import writer
from srv6kv.ligato import keys, schema

EVERY_KIND = {
    keys.localsid("6666::5"),
    keys.policy("5555::d765"),
    keys.steering("s1"),
    keys.route(0, "6666::5/128", "::"),
    keys.vrf_table(1, "IPV6"),
    keys.ARP + "tap0/2001::5",
    keys.LINUX_INTERFACE + "tap0",
    keys.rule_chain("srv6kv-d608-OUTPUT"),
    schema.SRV6_GLOBAL,
}


def strings() -> st.SearchStrategy[str]:
    """Texts with what has to be escaped, never empty."""
    return st.text(st.characters(codec="utf-8") | st.sampled_from("\"\\'\n\t\x7fé€"), min_size=1)


def scalars(field: Any) -> st.SearchStrategy[Any]:
    """The values of a field that are not its default."""
    if field.enum_type:
        return st.sampled_from([value.name for value in field.enum_type.values[1:]])
    if field.type == field.TYPE_BOOL:
        return st.just(True)
    if field.type == field.TYPE_UINT32:
        return st.integers(1, 2**32 - 1)
    return strings()


def members(field: Any) -> st.SearchStrategy[Any]:
    """Whatever a field can hold when it is set."""
    one = messages(field.message_type) if field.message_type else scalars(field)
    return st.lists(one, min_size=1, max_size=3) if field.is_repeated else one


@st.composite
def messages(draw: st.DrawFn, descriptor: Any) -> dict[str, Any]:
    """Canonical JSON of a message: no defaults, at most one member of each oneof."""
    alone = [field for field in descriptor.fields if not field.containing_oneof]
    chosen = [field for field in alone if draw(st.booleans())]
    chosen += [draw(st.sampled_from(list(one.fields))) for one in descriptor.oneofs]
    return {field.name: draw(members(field)) for field in chosen}


@st.composite
def pairs(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A key of any kind and a value of its message."""
    key = draw(st.sampled_from(sorted(EVERY_KIND)))
    return key, draw(messages(schema.known_message(key).DESCRIPTOR))


@given(pairs(), st.sampled_from(["v2", "v3"]))
def test_round_trip(pair: tuple[str, dict[str, Any]], api: schema.Api) -> None:
    """Reading what was written gives the value again, for every kind and both spellings."""
    key, value = pair

    assert value == writer.parse_value(key, writer.value_text(key, json.dumps(value).encode(), api))
