"""``srv6kv run`` and the nodes: Contiv's records, tunnels, plumbing, in a real etcd."""

from __future__ import annotations

import json

import pytest
from history import LOCALSID, POLICY, STEERING, History, violations
from processes import Bench

from srv6kv.cluster.noderecords import PREFIX
from srv6kv.etcd.store import Etcd3Store

OLD_NAMES = "useNoOverlay: true\nuseSRv6Interconnect: true\n"
ROUTE = "config/vpp/v2/route/vrf/0/dst/"
TUNNEL = STEERING + "forNodeToNodeTunneling-usingPolicyWithBSID-"
PLUMBING = (
    "config/vpp/v2/route/vrf/0/dst/2001:0:0:1::/64/gw/::",
    "config/vpp/v2/route/vrf/1/dst/::/0/gw/::",
    "config/vpp/v2/vrf-table/id/0/protocol/IPV6",
    "config/vpp/v2/vrf-table/id/1/protocol/IPV6",
)


def _transport(bench: Bench, transport: str) -> None:
    new = f"nodeToNodeTransport: {transport}\nuseSRv6ForServices: true\n"
    bench.settings(replace={OLD_NAMES: new})


def _is_of_tunnel(key: str) -> bool:
    ends = [place + end for place in (LOCALSID, ROUTE) for end in ("7777:", "7799:")]
    return key.startswith((TUNNEL, POLICY + "8888:", POLICY + "9999:", *ends))


@pytest.mark.parametrize("transport", ["vxlan", "nooverlay"])
def test_another_transport(bench: Bench, history: History, transport: str) -> None:
    """Tunnels go when the setting changes, come back with it, and nothing else is touched."""
    assert bench.run("--once").wait() == 0
    history.wait(lambda: history.state() == bench.expected())
    first = history.state()
    _transport(bench, transport)
    assert bench.run("--once").wait() == 0
    history.wait(lambda: history.state() == bench.expected())
    gone = first.keys() - history.state().keys()
    _transport(bench, "srv6")
    assert bench.run("--once").wait() == 0
    history.wait(lambda: history.state() == first)

    assert len(gone) == 9
    assert all(map(_is_of_tunnel, gone))
    assert gone == {key for key in first if _is_of_tunnel(key)}
    assert violations(history.revisions(), bench.foreign) == []


@pytest.mark.parametrize("vrfs", [(3, 7), (1, 0)])
def test_bsids_stay_under_other_vrf_ids(
    bench: Bench, history: History, vrfs: tuple[int, int]
) -> None:
    """Services and tunnels keep their BSIDs when the VRFs are numbered anew, even the other way
    round."""
    assert bench.run("--once").wait() == 0
    history.wait(lambda: history.state() == bench.expected())
    before = {key for key in history.state() if key.startswith(POLICY)}
    bench.settings(f"mainVRFID: {vrfs[0]}", f"podVRFID: {vrfs[1]}")
    assert bench.run("--once").wait() == 0
    history.wait(lambda: history.state() == bench.expected())

    assert {key for key in history.state() if key.startswith(POLICY)} == before
    assert len(before) == 8
    assert violations(history.revisions(), bench.foreign) == []


def test_tunnels_of_others_survive(bench: Bench, store: Etcd3Store, history: History) -> None:
    """Under another transport what looks like our tunnels is somebody else's."""
    _transport(bench, "vxlan")
    name = "forNodeToNodeTunneling-usingPolicyWithBSID-8888:f00d::2-and-lookupInPodVRF"
    theirs = {
        POLICY + "8888:f00d::2": '{"bsid":"8888:f00d::2"}',
        STEERING + name: json.dumps({"name": name, "policy_bsid": "8888:f00d::2"}),
        LOCALSID + "7777:f00d::1": '{"sid":"7777:f00d::1"}',
    }
    for key, value in theirs.items():
        bench.put_foreign(store, key, value)
    assert bench.run("--once").wait() == 0
    history.wait(lambda: history.state() == bench.expected())

    assert [len(history.values(key)) for key in theirs] == [1, 1, 1]


def test_a_session_says_what_plumbing_it_found_and_made(bench: Bench, history: History) -> None:
    """The first run makes all of a bare agent's plumbing, the next one finds it; each says it in
    one line."""
    process = bench.run("--once")
    assert process.wait() == 0
    (line,) = process.said("plumbing ")
    assert line.endswith(f"plumbing found=0 made=4: {', '.join(PLUMBING)}")

    process = bench.run("--once")
    assert process.wait() == 0
    (line,) = process.said("plumbing ")
    assert line.endswith("plumbing found=4 made=0")


def test_records_are_followed(alone: tuple[Bench, Etcd3Store, History]) -> None:
    """Contiv's records are read at the start and watched; a bad one is a note; none is written."""
    bench, store, history = alone
    own = '{"id":4,"name":"node1","ip_addresses":["fe10:f00d::4/90"]}'
    store.put(f"{PREFIX}4", own)
    process = bench.run()
    history.wait(lambda: LOCALSID + "7766:f00d::4" in history.state())
    assert f"{ROUTE}7766:f00d::2/128/gw/fe10:f00d::2" in history.state()

    store.put(f"{PREFIX}9", '{"id":9,"name":"node2"}')
    history.wait(lambda: f"{ROUTE}7766:f00d::9/128/gw/fe10:f00d::9" in history.state())
    assert f"{TUNNEL}8888:f00d::9-and-lookupInPodVRF" in history.state()
    assert f"{TUNNEL}8888:f00d::2-and-lookupInPodVRF" not in history.state()

    store.put(f"{PREFIX}9", "{")
    store.put(f"{PREFIX}4", '{"id":4,"name":"node1","ip_addresses":["fe10:f00d::44/90"]}')
    history.wait(lambda: LOCALSID + "7766:f00d::44" in history.state())
    process.wait_for("NodeRecordUnreadable")
    assert f"{TUNNEL}8888:f00d::9-and-lookupInPodVRF" in history.state()

    store.delete(f"{PREFIX}9")
    store.delete(f"{PREFIX}4")
    history.wait_for(bench.expected())
    assert list(store.read([PREFIX]).entries) == []
    assert violations(history.revisions(), bench.foreign) == []
