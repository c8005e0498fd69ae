"""What the agent writes about values and itself is read in every spelling that agents have."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srv6kv.agent import status
from srv6kv.agent.status import AgentStatus, PluginStatus, State, ValueStatus

KEY = "config/vpp/srv6/v2/localsid/6666:0:0:1::5"
PUBLISHED = "config-status/vpp/srv6/v2/localsid/6666:0:0:1::5"


def test_the_key_of_a_state() -> None:
    """Only the first ``config/`` gives way, and the way back leads to the same key."""
    assert status.status_key(KEY) == PUBLISHED
    assert status.config_key(PUBLISHED) == KEY
    odd = "config/vpp/srv6/v2/steering/config/x"
    assert status.status_key(odd) == "config-status/vpp/srv6/v2/steering/config/x"
    assert status.config_key(status.status_key(odd)) == odd


@pytest.mark.parametrize("number", range(11))
def test_a_state_by_name_and_by_number(number: int) -> None:
    """Agents 3.0 and 3.1 write numbers where the others write names."""
    name = list(State)[number]
    for state in (name.value, number):
        body = json.dumps({"key": KEY, "state": state, "last_operation": "CREATE"}).encode()
        assert status.parse_status(PUBLISHED, body) == ValueStatus(KEY, name, "CREATE")


def test_every_field() -> None:
    """Error and details are kept as they are; operations may be numbers too."""
    body = {"key": KEY, "state": 10, "last_operation": 2, "error": "no\nway", "details": ["a", "b"]}

    found = status.parse_status(PUBLISHED, json.dumps(body).encode())

    assert found == ValueStatus(KEY, State.RETRYING, "CREATE", "no\nway", ("a", "b"))


def test_defaults_may_be_absent_or_null() -> None:
    """The key then follows from where it was found; the state is NONEXISTENT."""
    for body in (b"{}", b'{"key":null,"state":null,"error":null,"details":null,"new_field":[1]}'):
        assert status.parse_status(PUBLISHED, body) == ValueStatus(KEY, State.NONEXISTENT)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", ""),
        (b"null", ""),
        (b"[]", ""),
        (b'{"state":"configured"}', "state"),
        (b'{"state":11}', "state"),
        (b'{"state":-1}', "state"),
        (b'{"state":"4"}', "state"),
        (b'{"state":true}', "state"),
        (b'{"state":"CONFIGURED","last_operation":"MOVE"}', "last_operation"),
        (b'{"key":"config/other","state":4}', "key"),
        (b'{"error":7}', "error"),
        (b'{"details":"none"}', "details"),
        (b'{"details":[7]}', "details"),
        (b'{"state":"CONFIGU', ""),
        (b'{"error":"\xff"}', ""),
        (b'{"x":' + b"[" * 100_000, ""),
    ],
)
def test_what_makes_no_sense(body: bytes, field: str) -> None:
    """One error that names the key and the field."""
    with pytest.raises(ValueError, match=f"{PUBLISHED}: .*{field}"):
        status.parse_status(PUBLISHED, body)


@given(st.binary(max_size=80))
def test_any_bytes(body: bytes) -> None:
    """Whatever is there is either read or refused with a ``ValueError``."""
    for read in (
        lambda: status.parse_status(PUBLISHED, body),
        lambda: status.parse_rest(body),
        lambda: status.parse_agent(body),
        lambda: status.parse_plugin(status.CHECK_PLUGIN + "govpp", body),
    ):
        with suppress(ValueError):
            read()


def test_the_answer_of_the_rest_server() -> None:
    """A list or one object, derived values aside; an element that makes no sense is left out."""
    good = {"value": {"key": KEY, "state": "FAILED", "error": "x"}, "derived_values": None}
    other = {"value": {"key": "config/b", "state": 4}, "derived_values": [{"key": "c", "state": 9}]}
    bad = [{"value": {"key": "config/d", "state": 44}}, {"value": {"state": 4}}, {}, 7, None]

    found = status.parse_rest(json.dumps([good, *bad, other]).encode())

    failed = ValueStatus(KEY, State.FAILED, error="x")
    assert found == {KEY: failed, "config/b": ValueStatus("config/b", State.CONFIGURED)}
    assert status.parse_rest(json.dumps(good).encode()) == {KEY: failed}
    assert status.parse_rest(b"null") == status.parse_rest(b"[]") == {}
    for body in (b'"text"', b"7", b"", b"[{", b"[" * 100_000):
        with pytest.raises(ValueError, match="/scheduler/status: "):
            status.parse_rest(body)


def test_the_agent_about_itself() -> None:
    """Times come as texts, as protobuf writes 64 bits, or as numbers."""
    text = {"state": "OK", "start_time": "1700000000", "last_update": "1700000010"}
    plugins = [{"name": "govpp", "state": "ERROR", "error": "VPP disconnected"}, {"name": "etcd"}]
    read = (PluginStatus("govpp", "ERROR", "VPP disconnected"), PluginStatus("etcd", "INIT"))

    assert status.parse_agent(json.dumps(text | {"plugins": plugins}).encode()) == AgentStatus(
        "OK", 1_700_000_000, 1_700_000_010, read
    )
    assert status.parse_agent(b'{"state":1,"start_time":5}') == AgentStatus("OK", 5)
    for body in (b'{"start_time":"soon"}', b'{"state":"DEAD"}', b'{"plugins":7}', b"null"):
        with pytest.raises(ValueError, match="check/status/v1/agent: "):
            status.parse_agent(body)


def test_a_plugin_about_itself() -> None:
    """The name is the key's."""
    key = status.CHECK_PLUGIN + "govpp"
    body = b'{"state":"ERROR","error":"gone"}'

    assert status.parse_plugin(key, body) == PluginStatus("govpp", "ERROR", "gone")
    assert status.parse_plugin(key, b'{"state":1}') == PluginStatus("govpp", "OK")
    with pytest.raises(ValueError, match=r"plugin/govpp: state: 7 is none of INIT, OK, ERROR"):
        status.parse_plugin(key, b'{"state":7}')


def test_texts_without_end_are_cut() -> None:
    """Of an error the beginning and the end stay, with VPP's code; a reason names a little."""
    key = PUBLISHED
    body = {"state": "FAILED", "error": f"first {'y' * 1_000_000} (-12)"}
    error = status.parse_status(key, json.dumps(body).encode()).error

    assert len(error) < 3000
    assert (error[:5], error[-5:]) == ("first", "(-12)")
    for wrong in ({"state": "U" * 1_000_000}, {"key": "config/" + "k" * 1_000_000}):
        with pytest.raises(ValueError, match=r"state|key") as raised:
            status.parse_status(key, json.dumps(wrong).encode())
        assert len(str(raised.value)) < 1000
