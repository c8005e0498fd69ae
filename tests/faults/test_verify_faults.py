"""``srv6kv verify`` finds what was spoiled on purpose, over etcd and a model of the agent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from agentmodel.objects import Localsid
from processes import srv6kv
from verify_node import (
    OTHER,
    POD_SID,
    POD_TAP,
    POLICY,
    POLICY_KEY,
    SOURCE,
    STEERING,
    Json,
    Node,
    Sample,
    sample_of,
    well,
)

from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store
from srv6kv.ligato import keys


@pytest.fixture(scope="module")
def sample(etcd: EmbeddedEtcd, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """The keys of the sample node."""
    return sample_of(etcd, tmp_path_factory.mktemp("sample"))


@pytest.fixture
def node(etcd: EmbeddedEtcd, store: Etcd3Store, label: str, sample: Sample) -> Iterator[Node]:
    """A node where all is well."""
    with well(etcd, store, label, sample) as found:
        yield found


def brief(found: list[Json]) -> set[tuple[str, str, str]]:
    """Whose word it is, what it is about, and the reason."""
    return {(item["where"], item["subject"], item["reason"]) for item in found}


def test_vpp_restarted_under_the_agent(node: Node) -> None:
    """Every SRv6 object is missing in VPP although the agent calls it configured."""
    node.live.restart_vpp()
    found = node.differences()
    missing = {item["subject"] for item in found if item["reason"] == "NotInVpp"}

    assert missing == {key for key in node.live.states() if key.startswith("config/vpp/srv6/")}
    assert all("VPP was restarted" in i["cause"] for i in found if i["subject"] in missing)
    assert all("--means rewrite" in i["remedy"] for i in found if i["subject"] in missing)
    assert {item["reason"] for item in found} == {"NotInVpp", "EncapSourceUnset"}


def test_the_agent_restarted_over_vpp(node: Node) -> None:
    """What it cannot make anew is told with the real meaning of the code, and what waits for it."""
    node.live.restart_agent()
    node.follow()
    found = node.differences()
    causes = {item["subject"]: item["cause"] for item in found}

    assert {item["where"] for item in found} == {"agent"}
    assert {item["reason"] for item in found} == {"Failed", "Pending"}
    assert causes[POD_SID].startswith("VPP has this SID already")
    assert causes[POLICY_KEY].startswith("VPP has this BSID already")
    assert causes[STEERING] == f"{POLICY_KEY} is in etcd, but the agent has it FAILED"


def _delete_policy(node: Node) -> None:
    with node.live.lock:
        node.vpp.policy_del(POLICY)


def _delete_list(node: Node) -> None:
    with node.live.lock:
        policy = node.vpp.policy(OTHER)
        assert policy is not None
        node.vpp.list_del(OTHER, policy.lists[0])


def _add_list(node: Node) -> None:
    with node.live.lock:
        node.vpp.list_add(POLICY, ("6666:0:0:1::9",), 1)


def _change_policy(node: Node) -> None:
    with node.live.lock:
        policy = node.vpp.policy(POLICY)
        assert policy is not None
        policy.is_encap = False


def _steer_elsewhere(node: Node) -> None:
    with node.live.lock:
        node.vpp.steering_add(1, "2096::d765/128", OTHER)


def _delete_steering(node: Node) -> None:
    with node.live.lock:
        node.vpp.steering_del(1, "2096::d765/128")


def _leak(node: Node) -> None:
    with node.live.lock:
        node.vpp.localsid_add(Localsid("6666:0:0:1::99", 1, "end"))


def _delete_localsid(node: Node) -> None:
    with node.live.lock:
        node.vpp.localsid_del("6666:0:0:1::5", 1)


def _delete_interface(node: Node) -> None:
    with node.live.lock:
        node.vpp.del_interface(POD_TAP, 1, [])


def _unset_source(node: Node) -> None:
    with node.live.lock:
        node.vpp.set_encap_source("::")
        policy = node.vpp.policy(POLICY)
        assert policy is not None
        for index in policy.lists:
            one = node.vpp.lists.items[index]
            assert one is not None
            node.vpp.lists.items[index] = replace(one, source="::")


def _put_nonsense(node: Node) -> None:
    node.put(POD_SID, "{")


def _put_wrong_key(node: Node) -> None:
    node.put(keys.localsid("6666:0:0:1::98"), json.dumps(node.value(POD_SID)))


def _twin(node: Node) -> None:
    node.put(keys.steering("twin"), json.dumps({**node.value(STEERING), "name": "twin"}))


def _wait(node: Node) -> None:
    value = node.value(POD_SID)
    value["end_function_dx6"]["outgoing_interface"] = "tap-nowhere"
    node.put(POD_SID, json.dumps(value))


def _miss(node: Node) -> None:
    node.live.disconnect()
    lost = {"bsid": "5555::9999", "segment_lists": [{"weight": 1, "segments": ["6655::1"]}]}
    node.put(keys.policy("5555::9999"), json.dumps(lost))
    node.store.delete(node.prefix + POLICY_KEY)


FAULTS: dict[Callable[[Node], None], tuple[set[tuple[str, str, str]], str]] = {
    _delete_policy: (
        {("VPP", POLICY_KEY, "NotInVpp"), ("VPP", STEERING, "StaleSteering")},
        "rewrite",
    ),
    _delete_list: ({("VPP", keys.policy(OTHER), "PolicyDiffers")}, "recreate"),
    _add_list: ({("VPP", POLICY_KEY, "PolicyDiffers")}, "recreate"),
    _change_policy: ({("VPP", POLICY_KEY, "PolicyDiffers")}, "recreate"),
    _steer_elsewhere: ({("VPP", STEERING, "SteeringDiffers")}, "rewrite"),
    _delete_steering: ({("VPP", STEERING, "NotInVpp")}, "rewrite"),
    _leak: ({("VPP", keys.localsid("6666:0:0:1::99"), "NotInEtcd")}, "vppctl sr localsid del"),
    _delete_localsid: ({("VPP", POD_SID, "NotInVpp")}, "rewrite"),
    _delete_interface: ({("VPP", POD_SID, "InterfaceDeleted")}, "rewrite"),
    _unset_source: (
        {
            ("VPP", POLICY_KEY, "EncapSourceUnset"),
            ("VPP", "config/vpp/srv6/v2/srv6-global", "EncapSourceUnset"),
        },
        "recreate",
    ),
    _put_nonsense: ({("etcd", POD_SID, "Unreadable")}, "put a value"),
    _put_wrong_key: (
        {("etcd", keys.localsid("6666:0:0:1::98"), "KeyMismatch")},
        "delete this key",
    ),
    _twin: (
        {("etcd", STEERING, "SharedPrefix"), ("etcd", keys.steering("twin"), "SharedPrefix")},
        "delete one of the keys",
    ),
    _wait: ({("agent", POD_SID, "Pending")}, "have it written"),
    _miss: (
        {
            ("agent", keys.policy("5555::9999"), "NotInAgent"),
            ("agent", POLICY_KEY, "NotInEtcd"),
        },
        "resend",
    ),
}


@pytest.mark.parametrize("spoil", FAULTS, ids=lambda spoil: str(spoil.__name__).strip("_"))
def test_a_fault_is_named(node: Node, spoil: Callable[[Node], None]) -> None:
    """What was spoiled on purpose is the only difference, with a cause and the remedy for it."""
    reasons, remedy = FAULTS[spoil]
    spoil(node)
    if spoil is not _miss:
        node.follow()
    found = node.differences()

    assert brief(found) == reasons
    assert all(item["what"] and item["cause"] for item in found)
    assert all(remedy in item["remedy"] for item in found)


def _restart_vpp(node: Node) -> None:
    node.live.restart_vpp()
    with node.live.lock:
        node.vpp.set_encap_source(SOURCE)


MENDED = (_restart_vpp, _delete_policy, _delete_list, _steer_elsewhere, _delete_localsid)


@pytest.mark.parametrize("spoil", MENDED, ids=lambda spoil: str(spoil.__name__).strip("_"))
def test_repair_mends_what_was_found(node: Node, spoil: Callable[[Node], None]) -> None:
    """After ``srv6kv repair`` there is no difference left."""
    spoil(node)
    before = node.differences()
    done = srv6kv(
        *("repair", "--label", node.label, *node.etcd, "--agent-rest", node.live.rest_url)
    )
    node.follow()

    assert before
    assert (done.returncode, node.differences()) == (0, []), done.stdout + done.stderr


def test_every_version_of_vpp(node: Node) -> None:
    """What any VPP prints for this node is the same as etcd, and a missing list is seen in all."""
    versions = ("19.08", "20.05", "21.06", "22.10", "23.06", "25.02")
    before = [node.inside("--vpp", "-", stdin=node.texts(version)) for version in versions]
    _delete_list(node)
    after = [node.inside("--vpp", "-", stdin=node.texts(version)) for version in versions]

    assert [done.exit_code for done in before] == [0] * len(versions)
    assert [done.exit_code for done in after] == [1] * len(versions)
    assert all("PolicyDiffers: it lacks" in done.stdout for done in after)
