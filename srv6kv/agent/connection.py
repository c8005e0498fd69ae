"""The agent's connection to VPP, in the agent's own words (agent rule A49).

Rule: pure. An agent that has given VPP up goes on to say CONFIGURED of every value, so that only
the state of its plugin ``govpp`` tells.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import msgspec

from srv6kv import foreign
from srv6kv.agent.attachments import Process, parse_process
from srv6kv.agent.needs import GOVPP
from srv6kv.agent.status import PluginStatus, parse_plugin_body

RECONNECT_SECONDS = 30.0
"""An agent tries three times to connect again, which takes 3 to 20 s, and never after that."""
REMEDY = "restart the agent and VPP together"
NOT_CONNECTED = "not connected to VPP"
"""What the agent answers when VPP is to be asked and the connection is broken."""
_GIVEN_UP = "State:Failed"
_LOSS = "it has lost VPP and does not connect again; its states are from before"


@dataclass(frozen=True, slots=True)
class Health:
    """What the agent's probe ``/liveness`` says; vpp: of its connection to VPP, None: nothing."""

    process: Process | None = None
    vpp: PluginStatus | None = None


class _Probe(msgspec.Struct):
    plugins: dict[str, msgspec.Raw] | None = msgspec.field(name="PluginStatus", default=None)


def parse_health(answer: bytes) -> Health:
    """The answer of ``/liveness``, as far as it can be read; the agent says ERROR with status
    500."""
    vpp = None
    with suppress(ValueError):
        body = (foreign.decode(answer, _Probe).plugins or {}).get(GOVPP)
        vpp = parse_plugin_body(GOVPP, bytes(body)) if body is not None else None
    return Health(parse_process(answer), vpp)


def loss_of(vpp: PluginStatus | None, now: float) -> str:
    """Why the agent will not have VPP again by itself; "" if it has it, or may still connect.

    Args:
        vpp: the connection's state; None: not known.
        now: Unix time.
    """
    if vpp is None or vpp.state != "ERROR":
        return ""
    is_late = 0 < vpp.last_change <= now - RECONNECT_SECONDS
    return _LOSS if is_late or _GIVEN_UP in vpp.error else ""
