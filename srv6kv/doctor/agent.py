"""Reads what the agent itself reports in etcd, which it writes again every 10 s (agent rule A39).

The key outlives the agent: only its time tells whether the agent is there.
"""

from __future__ import annotations

from contextlib import suppress

import msgspec

from srv6kv import foreign
from srv6kv.agent.connection import REMEDY, loss_of
from srv6kv.agent.needs import GOVPP
from srv6kv.agent.status import CHECK_PLUGIN, parse_plugin
from srv6kv.doctor.findings import ERROR, OK, WARNING, Finding

KEY = "check/status/v1/agent"
VPP_KEY = CHECK_PLUGIN + GOVPP
"""Both below ``/vnf-agent/<label>/``."""
OLDEST = 60
"""Seconds after which an agent that writes every 10 counts as gone."""
_STATES = {0: "INIT", 1: "OK", 2: "ERROR"}


class _Status(msgspec.Struct):
    state: str | int = 0
    last_update: str | int = 0


def status(text: bytes | None, now: float, vpp: bytes | None = None) -> Finding:
    """Whether an agent is there and well.

    Args:
        text: the value of ``KEY``, if there is any.
        now: Unix time.
        vpp: the value of ``VPP_KEY``.
    """
    check = "agent"
    if text is None:
        remedy = "see that --label is its MICROSERVICE_LABEL, and that it uses this etcd"
        return Finding(check, WARNING, "no agent has ever reported below this label", remedy)
    try:
        said = foreign.decode(text, _Status)
        age = round(now - int(said.last_update))
    except ValueError as error:
        return Finding(check, WARNING, f"{KEY}: {error}", "see what writes it")
    state = _STATES.get(said.state, "") if isinstance(said.state, int) else said.state
    if age > OLDEST:
        found = f"it last reported {age} seconds ago, with state {state}"
        return Finding(check, WARNING, found, "see whether the agent runs")
    if loss := _loss(vpp, now):
        return Finding(check, ERROR, loss, REMEDY)
    if state != "OK":
        remedy = "its log tells which of its plugins fails; usually VPP is not there"
        return Finding(check, ERROR, f"its state is {state or said.state}", remedy)
    return Finding(check, OK, f"its state is OK, {age} seconds ago")


def _loss(vpp: bytes | None, now: float) -> str:
    with suppress(ValueError):
        return loss_of(parse_plugin(VPP_KEY, vpp), now) if vpp is not None else ""
    return ""
