"""A node in etcd, in the agent's words and in VPP's, for tests of ``verify``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from srv6kv import verify
from srv6kv.agent.status import State, ValueStatus
from srv6kv.ligato import keys
from srv6kv.ligato.schema import decoded
from srv6kv.net.addresses import Prefix
from srv6kv.plan.ownership import Ranges
from srv6kv.verify import DesiredKeys, Difference
from srv6kv.vpp.showsr_values import Localsid, Policy, SegmentList, ShowSr, Steering

LABEL = "node1"
SID, HOST_SID, BSID = "6666:0:0:1::5", "6655::1", "5555::d765"
SID_KEY, POLICY_KEY = keys.localsid(SID), keys.policy(BSID)
NAME = "forK8sService-default-myservice"
STEERING_KEY = keys.steering(NAME)
TAP, TAP_KEY = "vpp-tap-web", keys.INTERFACE + "vpp-tap-web"
TABLE = keys.vrf_table(1, "IPV6")
GLOBAL = "config/vpp/srv6/v2/srv6-global"
RANGES = Ranges(
    bsids=(Prefix.parse("5555::/16"),),
    sids=(Prefix.parse("6666::/16"), Prefix.parse("6655::/16")),
)

Json = dict[str, Any]

ETCD: dict[str, Json] = {
    SID_KEY: {
        "sid": SID,
        "installation_vrf_id": 1,
        "end_function_dx6": {"outgoing_interface": TAP, "next_hop": "2001:0:0:1::5"},
    },
    keys.localsid(HOST_SID): {"sid": HOST_SID, "end_function_dt6": {"vrf_id": 1}},
    POLICY_KEY: {
        "bsid": BSID,
        "srh_encapsulation": True,
        "segment_lists": [
            {"weight": 1, "segments": [SID]},
            {"weight": 2, "segments": ["7766:f00d::2", "6666:0:0:2::5"]},
        ],
    },
    STEERING_KEY: {
        "name": NAME,
        "policy_bsid": BSID,
        "l3_traffic": {"installation_vrf_id": 1, "prefix_address": "2096::d765/128"},
    },
    TAP_KEY: {"name": TAP, "type": "TAP"},
    TABLE: {"id": 1, "protocol": "IPV6"},
}
SID_SEEN = Localsid(SID, 128, "DX6", "tap4", "2001:0:0:1::5")
HOST_SEEN = Localsid(HOST_SID, 128, "DT6", table=1)
LISTS = (
    SegmentList(("7766:f00d::2", "6666:0:0:2::5"), 2, 7),
    SegmentList((SID,), 1, 3),
)
POLICY_SEEN = Policy(BSID, True, "Default", 0, LISTS, "fe10::1")
STEERING_SEEN = Steering("L3", "2096::d765/128", BSID)
SEEN = ShowSr((SID_SEEN, HOST_SEEN), (POLICY_SEEN,), (STEERING_SEEN,), "fe10::1")
STATES = {key: ValueStatus(key, State.CONFIGURED, "CREATE") for key in ETCD}


def held(values: Mapping[str, Json | bytes], ranges: Ranges = RANGES) -> DesiredKeys:
    """What etcd holds for the label, with the note of our ranges."""
    prefix = keys.agent_prefix(LABEL)
    entries = {
        prefix + key: value if isinstance(value, bytes) else json.dumps(value).encode()
        for key, value in values.items()
    }
    return verify.desired_of(LABEL, {**entries, f"/srv6kv/{LABEL}/ranges": ranges.dump()}, decoded)


def etcd_with(changes: Mapping[str, Json | bytes | None]) -> DesiredKeys:
    """Etcd with other or no values for these keys."""
    values: dict[str, Json | bytes] = {**ETCD}
    for key, value in changes.items():
        if value is None:
            del values[key]
        else:
            values[key] = value
    return held(values)


def states_with(*changed: ValueStatus) -> dict[str, ValueStatus]:
    """The agent's states with others for these keys."""
    return {**STATES, **{status.key: status for status in changed}}


def failed(key: str, code: int | str, operation: str = "CREATE") -> ValueStatus:
    """A value that VPP refused."""
    text = f"VPPApiError: some text #2 ({code})" if isinstance(code, int) else code
    return ValueStatus(key, State.FAILED, operation, text)


def only(found: tuple[Difference, ...]) -> Difference:
    """The one difference that there is."""
    assert len(found) == 1, found
    return found[0]


def configured(every: DesiredKeys) -> dict[str, ValueStatus]:
    """The states of an agent that has done all."""
    return {key: ValueStatus(key, State.CONFIGURED) for key in every.keys}
