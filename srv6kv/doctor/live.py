"""What the agent and VPP answer when they are asked over REST.

Rule: pure; ``server`` asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from srv6kv import foreign
from srv6kv.agent.connection import REMEDY
from srv6kv.agent.status import State, ValueStatus
from srv6kv.doctor.base import own_of
from srv6kv.doctor.findings import ERROR, NOT_CHECKED, OK, WARNING, Finding
from srv6kv.ligato import keys
from srv6kv.sync.reconciler import Reconciler
from srv6kv.vpp import startup

FLOW_HASH = "show ip6 fib table 0 ::/128"
"""Prints the flow hash of the main VRF in its first line."""
_AGENT, _VPP = "agent-rest", "vpp"
_HASH = re.compile(r"flow hash:\[([a-z ]*)\]")


@dataclass(frozen=True, slots=True)
class Live:
    """What was answered.

    Attributes:
        vpp_lost: why the agent will not have VPP again by itself; "" if it has it, or may still.
        encap_source: of VPP; None: it was not asked, or does not tell.
        flow_hash: of VPP's main VRF; None as above.
        mtus: of the Linux interfaces that are there, by logical name.
    """

    states: Mapping[str, ValueStatus] = field(default_factory=dict)
    vpp_lost: str = ""
    encap_source: str | None = None
    flow_hash: tuple[str, ...] | None = None
    mtus: Mapping[str, int] = field(default_factory=dict)


def flow_hash_of(text: str) -> tuple[str, ...] | None:
    """What goes into the flow hash, in the answer to ``FLOW_HASH``; None: it does not say."""
    found = _HASH.search(text)
    return tuple(found[1].split()) if found else None


def mtus_of(dumped: Mapping[str, bytes]) -> dict[str, int]:
    """The MTUs of Linux interfaces by logical name, in a dump of what is there."""
    found = {}
    for key, text in dumped.items():
        try:
            value: Any = foreign.plain(text, dict[str, Any])
            found[key.removeprefix(keys.LINUX_INTERFACE)] = int(value["mtu"])
        except (ValueError, KeyError, TypeError):  # then the keys alone tell
            continue
    return found


def findings(reconciler: Reconciler, live: Live | None) -> Iterator[Finding]:
    """What the answers mean; that nothing was asked, without any."""
    if live is None:
        remedy = "give --agent-rest http://127.0.0.1:9191"
        yield Finding(_AGENT, NOT_CHECKED, "whether the agent has programmed VPP", remedy)
        text = "the encapsulation source and the flow hash of the main VRF"
        yield Finding(_VPP, NOT_CHECKED, text, remedy)
        return
    if live.vpp_lost:
        yield Finding(_AGENT, ERROR, live.vpp_lost, REMEDY)
        yield Finding(_VPP, NOT_CHECKED, "the agent cannot ask VPP", REMEDY)
        return
    yield _states(reconciler, live.states)
    yield from _vpp(reconciler, live)


def _states(reconciler: Reconciler, states: Mapping[str, ValueStatus]) -> Finding:
    ours = sorted(key for key in reconciler.actual.entries if reconciler.owns(key))
    bad = [key for key in ours if key not in states or states[key].state is not State.CONFIGURED]
    if not bad:
        return Finding(_AGENT, OK, f"{len(ours)} of {len(ours)} keys are CONFIGURED")
    first = states[bad[0]].state if bad[0] in states else "unknown"
    text = f"{len(bad)} of {len(ours)} keys are not CONFIGURED, first {bad[0]}: {first}"
    return Finding(_AGENT, WARNING, text, "'srv6kv verify' tells why, and what to do")


def _vpp(reconciler: Reconciler, live: Live) -> Iterator[Finding]:
    own, vrf = own_of(reconciler), reconciler.settings.main_vrf
    if own is None or own.ip is None:
        yield Finding(_VPP, NOT_CHECKED, "the node's address is not known")
        return
    commands = startup.commands(own.ip, vrf).splitlines()
    if live.encap_source is None:
        yield Finding(_VPP, NOT_CHECKED, "VPP does not tell its encapsulation source")
    elif live.encap_source != own.ip:
        text = f"the encapsulation source is {live.encap_source}, not the node's {own.ip}"
        remedy = f"vppctl {commands[0]}; then 'srv6kv repair --means recreate'"
        yield Finding(_VPP, ERROR, text, remedy)
    else:
        yield Finding(_VPP, OK, f"the encapsulation source is {own.ip}")
    if vrf != 0 or live.flow_hash is None:
        yield Finding(_VPP, NOT_CHECKED, "the flow hash of the main VRF")
    elif "flowlabel" in live.flow_hash:
        text = "the flow hash has the flow label: a connection may move to another endpoint"
        yield Finding(_VPP, WARNING, text, f"vppctl {commands[1]}")
    else:
        yield Finding(_VPP, OK, f"the flow hash is {' '.join(live.flow_hash)}")
