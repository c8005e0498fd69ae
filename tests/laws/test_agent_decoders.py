"""What srv6kv writes, read by the JSON libraries that agents 3.2 and later are built with.

The libraries are the real ones, in Go (``tests/oracles/agent``).
The messages are those of ``protos``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from agentmodel.values import Undecodable, decode, key_of, model_of
from clusters import Json, settings_of
from decoders import Decoders
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from sidecar import Sidecar
from strategies import Scene, scenes
from test_reference import CASES

from srv6kv.agentlog import writer
from srv6kv.ligato import keys
from srv6kv.ligato.schema import SRV6_GLOBAL, parse_json
from srv6kv.txn.recording import load

RECORDED = Path(__file__).parents[1] / "recorded"
SID = keys.localsid("6666::5")
POLICY = keys.policy("5555::1")
CHAIN = keys.rule_chain("c")
DX6 = '{"outgoing_interface":"t","next_hop":"2001::5"}'
ROUTE = keys.route(0, "2001:db8::/64", "")

TABLE = [
    (SID, f'{{"sid":"6666::5","end_function_dx6":{DX6}}}', "", ""),
    (SID, f'{{"sid":"6666::5","endFunctionDx6":{DX6}}}', "", ""),
    (SID, f'{{"end_function_dx6":{DX6},"endFunctionDx6":{DX6}}}', "duplicate field", ""),
    (SID, f'{{"sid":"6666::5","end_function_DX6":{DX6}}}', "unknown field", "unknown field"),
    (SID, '{"sid":"6666::5","sid":"6666::6"}', "duplicate field", ""),
    (SID, f'{{"base_end_function":{{}},"end_function_dx6":{DX6}}}', "already set", ""),
    (SID, '{"installation_vrf_id":"7"}', "", ""),
    (SID, '{"installation_vrf_id":7.0}', "", "cannot unmarshal"),
    (SID, '{"installation_vrf_id":7.5}', "invalid value", "cannot unmarshal"),
    (SID, '{"installation_vrf_id":-1}', "invalid value", "cannot unmarshal"),
    (SID, '{"installation_vrf_id":4294967296}', "invalid value", "cannot unmarshal"),
    (POLICY, '{"srh_encapsulation":"true"}', "invalid value", "cannot unmarshal"),
    (POLICY, '{"srh_encapsulation":1}', "invalid value", "cannot unmarshal"),
    (POLICY, '{"bsid":null}', "", ""),
    (POLICY, '{"segment_lists":[null]}', "unexpected token", ""),
    (CHAIN, '{"protocol":"IPV6"}', "", ""),
    (CHAIN, '{"protocol":1}', "", ""),
    (CHAIN, '{"protocol":9}', "", ""),
    (CHAIN, '{"protocol":"IPv6"}', "invalid value", "unknown value"),
    (SID, "{}", "", ""),
    (SID, "", "unexpected token", "EOF"),
    (SID, "null", "unexpected token", ""),
    (SID, "{} {}", "unexpected token", ""),
    (SID, '{"@type":"x"}', "unknown field", "unknown field"),
]
"""Values with what protojson and jsonpb say about them (agent rule A31); "": nothing."""

NAMES = [
    (SID, '{"sid":"A::1"}', keys.localsid("A::1")),
    (SID, '{"sid":"../x"}', "config/vpp/srv6/v2/x"),
    (SID, "{}", keys.LOCALSID.rstrip("/")),
    (keys.steering("a/b"), '{"name":"a/b"}', keys.steering("a/b")),
    (ROUTE, '{"dst_network":"2001:DB8:0::1/64"}', keys.route(0, "2001:db8::/64", "")),
    (ROUTE, '{"dst_network":"x"}', keys.route(0, "<invalid>/0", "")),
    (ROUTE, '{"dst_network":"::/0","vrf_id":1,"next_hop_addr":"::"}', keys.route(1, "::/0", "::")),
    (SRV6_GLOBAL, '{"encap_source_address":"A::1"}', SRV6_GLOBAL),
]
"""Values with the keys that follow from them (agent rule A34)."""


def judged(decoders: Decoders, values: dict[str, str]) -> None:
    """All of them are decoded, mean the same, and have the keys that follow from them."""
    for (key, value), decoded in zip(values.items(), decoders.read(values.items()), strict=True):
        assert (decoded.error, decoded.older_error) == ("", ""), key
        assert decoded.key == key
        assert json.loads(decoded.json) == json.loads(value)
        assert writer.parse_value(key, f"{{ {decoded.text} }}") == json.loads(value)
        written = writer.value_text(key, value.encode(), "v3")
        assert written.split() == ["{", *decoded.text.split(), "}"]


def ours(sidecar: Sidecar) -> dict[str, str]:
    """What etcd holds after the first plan is done, but for the CNI's keys."""
    others = dict(sidecar.actual.entries)
    sidecar.settle()
    entries = sidecar.actual.entries.items()
    return {key: entry.value.decode() for key, entry in entries if key not in others}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_reference_is_decoded(decoders: Decoders, case: Json) -> None:
    """Every value of every recorded cluster."""
    sidecar = Sidecar(settings_of(case["config"]), case["node"]).put(*case["objects"])
    values = ours(sidecar.wire(case["agent"]))

    assert any(key.startswith(keys.ROUTE) for key in values)
    judged(decoders, values)


@pytest.mark.parametrize("path", sorted(RECORDED.glob("*.txn")), ids=lambda path: path.stem)
def test_recordings_are_decoded(decoders: Decoders, path: Path) -> None:
    """Every value of every recording."""
    values = {
        one.key.split("/", 3)[3]: one.value.decode()
        for recorded in load(path.read_text())
        for one in recorded.transaction.operations
        if one.value is not None
    }

    judged(decoders, values)


@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(scene=scenes())
def test_any_cluster_is_decoded(decoders: Decoders, scene: Scene) -> None:
    """Every value of any cluster, whatever clashes in it."""
    judged(decoders, ours(scene.sidecar()))


@pytest.mark.parametrize(("key", "value", "error", "older"), TABLE, ids=lambda text: text)
def test_what_is_refused(
    decoders: Decoders,
    key: str,
    value: str,
    error: str,
    older: str,
) -> None:
    """What the agents refuse, and that our own reader refuses it too."""
    [decoded] = decoders.read([(key, value)])

    assert error in decoded.error if error else decoded.error == ""
    assert older in decoded.older_error if older else decoded.older_error == ""
    if error:
        with pytest.raises(ValueError, match=re.escape(key)):
            parse_json(key, value.encode())


@pytest.mark.parametrize(("key", "value", "expected"), NAMES, ids=lambda text: text)
def test_keys_that_follow(decoders: Decoders, key: str, value: str, expected: str) -> None:
    """How keys follow from values that are written otherwise than ours."""
    assert decoders.read([(key, value)])[0].key == expected


@pytest.mark.parametrize(("key", "value"), [row[:2] for row in (*TABLE, *NAMES)], ids=lambda x: x)
def test_model_agrees(decoders: Decoders, key: str, value: str) -> None:
    """The tests' model of the agent decodes the same and computes the same keys."""
    [decoded] = decoders.read([(key, value)])
    model = model_of(key)

    assert model is not None
    if decoded.error:
        with pytest.raises(Undecodable):
            decode(key, value.encode())
    else:
        assert key_of(model, decode(key, value.encode())) == decoded.key


def test_versions(decoders: Decoders) -> None:
    """Which libraries these are."""
    assert decoders.versions == {
        "github.com/golang/protobuf": "v1.5.0",
        "google.golang.org/protobuf": "v1.28.1",
    }
