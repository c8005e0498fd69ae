"""What the doctor makes of the answers of the agent and of VPP."""

from __future__ import annotations

import json
from typing import Any

import pytest
from booted import started, wiring, written
from clusters import TODAY
from test_doctor import GOOD, LINUX, changed, findings

from srv6kv.agent.status import State, ValueStatus
from srv6kv.doctor import live
from srv6kv.doctor.findings import ERROR, NOT_CHECKED, OK, WARNING
from srv6kv.doctor.live import Live

SOURCE, HASH = "fe10:f00d::1", ("src", "dst", "sport", "dport", "proto")
HEADER = "ipv6-VRF:0, fib_index:0, flow hash:[src dst sport dport proto {}] epoch:0 flags:none"
"""As VPP 23.06 prints it."""
END = LINUX.rpartition("/")[2]


def said(answered: Live | None, *, has_written: bool = False) -> list[tuple[str, str, str]]:
    """Check, verdict and finding for a node of the seed."""
    reconciler = started("", wiring(5))
    if has_written:
        reconciler.reset([*wiring(5), *written(reconciler, 6)])
    reconciler.plan()
    return [(one.check, one.verdict, one.found) for one in live.findings(reconciler, answered)]


def test_without_rest_nothing_is_checked() -> None:
    """It says so of both."""
    assert [one[:2] for one in said(None)] == [("agent-rest", NOT_CHECKED), ("vpp", NOT_CHECKED)]


def test_an_agent_that_has_lost_vpp() -> None:
    """One error; VPP cannot be asked."""
    found = said(Live(vpp_lost="it has lost VPP"))

    assert found[0] == ("agent-rest", ERROR, "it has lost VPP")
    assert found[1][:2] == ("vpp", NOT_CHECKED)


def test_states() -> None:
    """How many of srv6kv's keys are not CONFIGURED, and the first of them."""
    reconciler = started("", wiring(5))
    ours = [item.key.removeprefix("/vnf-agent/n/") for item in written(reconciler, 6)]
    states = {key: ValueStatus(key, State.CONFIGURED) for key in ours}
    well = said(Live(states, "", SOURCE, HASH), has_written=True)
    gone = max(key for key in ours if key.startswith("config/vpp/srv6/v2/steering/"))
    bad = said(Live({**states, gone: ValueStatus(gone, State.PENDING)}), has_written=True)

    assert well[0][1] == OK
    assert well[0][2].endswith("keys are CONFIGURED")
    assert bad[0][1] == WARNING
    assert f"first {gone}: PENDING" in bad[0][2]


@pytest.mark.parametrize(
    ("source", "flow_hash", "verdicts"),
    [
        (SOURCE, HASH, [OK, OK]),
        ("::", HASH, [ERROR, OK]),
        (SOURCE, (*HASH, "flowlabel"), [OK, WARNING]),
        (None, None, [NOT_CHECKED, NOT_CHECKED]),
    ],
)
def test_vpp(source: str | None, flow_hash: tuple[str, ...] | None, verdicts: list[str]) -> None:
    """The encap source must be the node's address; the flow hash leaves the flow label out."""
    assert [one[1] for one in said(Live({}, "", source, flow_hash))[1:]] == verdicts


def test_what_vpp_prints_of_its_flow_hash() -> None:
    """Its names, in their order."""
    assert live.flow_hash_of(HEADER.format("")) == HASH
    assert live.flow_hash_of(HEADER.format("flowlabel ")) == (*HASH, "flowlabel")
    assert live.flow_hash_of("show: unknown input") is None


def test_mtus_in_a_dump() -> None:
    """By logical name; what cannot be read is left out."""
    values: dict[str, Any] = {"a": {"mtu": 1420}, "b": {"mtu": "1500"}, "c": {}, "d": 7}
    prefix = LINUX.removesuffix(END)
    dump = {f"{prefix}{name}": json.dumps(value).encode() for name, value in values.items()}

    assert live.mtus_of({**dump, f"{prefix}e": b"{"}) == {"a": 1420, "b": 1500}


@pytest.mark.parametrize(
    ("real", "verdicts"),
    [({}, [WARNING]), ({END: 1420}, [OK]), ({END: 1500}, [WARNING]), ({"other": 1420}, [WARNING])],
)
def test_the_real_mtu_of_pods(real: dict[str, int], verdicts: list[str]) -> None:
    """Without mtuSize that of the pods' interfaces counts, as it is in their namespaces."""
    found = findings(GOOD, conf=TODAY, answered=Live(mtus=real))

    assert [verdict for check, verdict, _ in found if check == "mtu"] == verdicts


def test_the_real_mtu_counts_for_more_than_the_key() -> None:
    """A pod whose MTU is larger than its key says loses packets."""
    found = findings(changed(LINUX, mtu=1420), answered=Live(mtus={END: 1500}))

    assert [text for check, verdict, text in found if (check, verdict) == ("pod", ERROR)] == [
        "2001:0:0:1::5: MTU 1500 and 80 bytes of SRv6 exceed the uplink's 1500:"
        " large packets are lost"
    ]
