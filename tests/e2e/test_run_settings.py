"""``srv6kv run`` started again with other settings: it cleans up after itself and nobody else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from history import LOCALSID, POLICY, STEERING, History, violations
from processes import Bench

from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store

TABLE = "config/vpp/v2/vrf-table/id/{}/protocol/IPV6"
ROUTE = "config/vpp/v2/route/vrf/"
POD_DEFAULT = ROUTE + "1/dst/::/0/gw/::"
POD_SUBNET = ROUTE + "0/dst/2001:0:0:1::/64/gw/::"
OTHER_SIDS = {
    f"CIDR: {old}::/16": f"CIDR: {new}::/{length}"
    for old, new, length in (
        ("5555", "fc00:b", 32),
        ("6666", "fc00:6d", 32),
        ("6655", "fc00:5e", 32),
        ("7766", "fc00:de", 32),
    )
}
OTHER_VRFS = ("mainVRFID: 3", "podVRFID: 7")


@pytest.fixture
def bench(tmp_path: Path, etcd: EmbeddedEtcd, store: Etcd3Store, label: str) -> Iterator[Bench]:
    """A node with its wiring in the shared etcd, and keys of others that look like ours."""
    bench = Bench(tmp_path, etcd, label)
    bench.load_agent_state(store)
    for key, value in {
        POLICY + "8889::1": '{"bsid":"8889::1"}',
        POLICY + "fc00:c::1": '{"bsid":"fc00:c::1"}',
        LOCALSID + "6667::5": '{"sid":"6667::5"}',
        STEERING + "forK8sSFC-x": '{"name":"forK8sSFC-x"}',
        ROUTE + "0/dst/2096::/110/gw/::": '{"dst_network":"2096::/110"}',
        ROUTE + "7/dst/2096::/111/gw/::": '{"dst_network":"2096::/111"}',
    }.items():
        bench.put_foreign(store, key, value)
    yield bench
    bench.end()


def sync(bench: Bench, history: History) -> None:
    """Run with the settings that there are now until all is as they want it."""
    assert bench.run("--once").wait() == 0

    history.wait(lambda: history.state() == bench.expected())


def touched(bench: Bench, history: History) -> list[str]:
    """Keys of others that were written more than once."""
    return [key for key in bench.foreign if len(history.values(key)) != 1]


@pytest.mark.parametrize(
    ("vrfs", "sids"), [((), OTHER_SIDS), (OTHER_VRFS, {}), (OTHER_VRFS, OTHER_SIDS)]
)
def test_other_ranges(
    bench: Bench, history: History, vrfs: tuple[str, ...], sids: dict[str, str]
) -> None:
    """Under other SID prefixes and VRF ids the old keys go, in a safe order, nothing of others is
    touched, and back under the first settings all is as it was."""
    sync(bench, history)
    first = history.state()
    bench.settings(*vrfs, replace=sids)
    sync(bench, history)
    second = history.state()
    sync(bench, history)
    bench.settings()
    sync(bench, history)

    assert first != second
    assert history.state() == first
    assert touched(bench, history) == []
    assert violations(history.revisions(), bench.foreign) == []


def test_killed_between_settings(bench: Bench, store: Etcd3Store, history: History) -> None:
    """What was noted about the ranges in use makes any later process clean up, whatever came in
    between."""
    sync(bench, history)
    for replace in (OTHER_SIDS, {"CIDR: 6666::/16": "CIDR: 6666:1::/32"}, {}):
        bench.settings(replace=replace)
        sync(bench, history)

    assert touched(bench, history) == []
    assert violations(history.revisions(), bench.foreign) == []


def test_other_service_cidr(bench: Bench, history: History) -> None:
    """The drop route of a service CIDR that is no longer one goes."""
    sync(bench, history)
    bench.settings(replace={"serviceCIDR: 2096::/110": "serviceCIDR: 2096::/108"})
    sync(bench, history)

    assert ROUTE + "1/dst/2096::/110/gw/::" not in history.state()
    assert ROUTE + "1/dst/2096::/108/gw/::" in history.state()
    assert touched(bench, history) == []


def test_no_plumbing(bench: Bench, history: History) -> None:
    """Plumbing that we created goes when we are told not to have any."""
    sync(bench, history)
    bench.settings("srv6kv:", "  nodePlumbing: none")
    sync(bench, history)
    gone = {TABLE.format(0), TABLE.format(1), POD_DEFAULT, POD_SUBNET, LOCALSID + "7766:f00d::1"}

    assert history.state().keys() & gone == set()
    assert touched(bench, history) == []


OTHERS = {
    TABLE.format(1): '{"id":1,"label":"theirs","protocol":"IPV6"}',
    POD_DEFAULT: '{"dst_network":"::/0","next_hop_addr":"fe80::1","vrf_id":1}',
}


@pytest.mark.parametrize("lines", [OTHER_VRFS, ("srv6kv:", "  nodePlumbing: none")])
def test_plumbing_of_others(
    bench: Bench, store: Etcd3Store, history: History, lines: tuple[str, ...]
) -> None:
    """Tables and base routes that somebody else made first are never changed or removed."""
    for key, value in OTHERS.items():
        bench.put_foreign(store, key, value)
    sync(bench, history)
    bench.settings(*lines)
    sync(bench, history)
    bench.settings()
    sync(bench, history)

    assert touched(bench, history) == []


def test_same_plumbing_of_others(bench: Bench, store: Etcd3Store, history: History) -> None:
    """A table that somebody else made first is theirs, even if it has the value that we would
    write."""
    value = '{"id":1,"label":"podVRF-IPv6","protocol":"IPV6"}'
    bench.put_foreign(store, TABLE.format(1), value)
    sync(bench, history)
    bench.settings("srv6kv:", "  nodePlumbing: none")
    sync(bench, history)

    assert history.values(TABLE.format(1)) == [value.encode()]


def test_plumbing_that_others_took_over(bench: Bench, store: Etcd3Store, history: History) -> None:
    """A table that we made and somebody else has changed since is theirs from then on."""
    sync(bench, history)
    value = '{"id":1,"label":"theirs","protocol":"IPV6"}'
    bench.put_foreign(store, TABLE.format(1), value)
    sync(bench, history)
    bench.settings(*OTHER_VRFS)
    sync(bench, history)

    assert history.values(TABLE.format(1))[1:] == [value.encode()]
    assert json.loads(history.state()[TABLE.format(7)]) == {
        "id": 7,
        "label": "podVRF-IPv6",
        "protocol": "IPV6",
    }


def test_deleted_plumbing(bench: Bench, store: Etcd3Store, history: History) -> None:
    """A table or base route that somebody deletes while we run is made again."""
    bench.run()
    history.wait_for(bench.expected())
    store.delete(bench.prefix + TABLE.format(1))
    store.delete(bench.prefix + POD_DEFAULT)
    history.wait(lambda: len(history.values(TABLE.format(1))) == 3)
    history.wait_for(bench.expected())
