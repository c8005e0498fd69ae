"""A value for any key of ours that the agent accepts and can never make.

Rule (agent rules A40 and A41): a value whose dependency is missing is PENDING, and what was
there under its key is taken out of VPP. So a put of such a value and the deletion of its key rid
the agent of a key whose deletion it has missed, whatever it holds there.
"""

from __future__ import annotations

import re

import msgspec

from srv6kv.ligato import keys
from srv6kv.ligato.values import (
    End,
    L3Traffic,
    LocalSid,
    Policy,
    Route,
    SegmentList,
    Steering,
    encode,
)

NO_VRF = 0xFFFFFFFE
"""No VRF table has this id."""
NO_INTERFACE = "srv6kv-no-such-interface"
_ROUTE = re.compile(
    re.escape(keys.ROUTE) + r"vrf/(?P<vrf>\d+)/dst/(?P<dst>[^/]+/\d+)(/gw/(?P<gw>[^/]+))?\Z"
)


def never(key: str) -> bytes:
    """The value; ValueError for a key that srv6kv never writes."""
    if key.startswith(keys.LOCALSID):
        sid = key.removeprefix(keys.LOCALSID)
        return encode(LocalSid(sid=sid, base_end_function=End(), installation_vrf_id=NO_VRF))
    if key.startswith(keys.POLICY):
        bsid = key.removeprefix(keys.POLICY)
        lists = (SegmentList(segments=(bsid,), weight=1),)
        return encode(
            Policy(
                bsid=bsid, installation_vrf_id=NO_VRF, segment_lists=lists, srh_encapsulation=True
            )
        )
    if key.startswith(keys.STEERING):
        traffic = L3Traffic(prefix_address="::/128", installation_vrf_id=NO_VRF)
        name = key.removeprefix(keys.STEERING)
        return encode(Steering(l3_traffic=traffic, name=name, policy_bsid="::"))
    if key.startswith(keys.RULE_CHAIN):
        name = key.removeprefix(keys.RULE_CHAIN)
        chain = {"chain_type": "OUTPUT", "name": name, "table": "RAW"}
        return msgspec.json.encode({**chain, "interfaces": [NO_INTERFACE]}, order="sorted")
    found = _ROUTE.match(key)
    if found is None:
        raise ValueError("srv6kv writes no such key")
    return encode(
        Route(
            dst_network=found["dst"],
            next_hop_addr=found["gw"] or "",
            type="INTER_VRF",
            via_vrf_id=NO_VRF,
            vrf_id=int(found["vrf"]),
        )
    )
