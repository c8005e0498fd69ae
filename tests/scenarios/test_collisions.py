"""Local endpoints that get in each other's way: one SID, one sandbox name, names nobody can have.

Every pod here is on node 1; with SIDs of 32 bits of the address many of them want the same one.
"""

from __future__ import annotations

import random
import re

from clusters import Json, base_keys, endpoint, endpoint_slice, node, pod_keys, service
from clusters import settings as settings_named
from hypothesis import given, settings
from hypothesis import strategies as st
from podchains import chain_keys
from sidecar import Sidecar

PODS = ("2001:0:0:1::5", "2001:0:0:2::5", "2001:0:0:3::5", "2001:0:0:1::1", "2001:0:0:1::dead")
HOSTS = ("fd00::101",)
TWINS = ("twin", "vpp-tap-twin", "twin/x", "twin-x", "vpp-tap-twin-x")
"""One interface for each pod; their chains would have only two names."""
LOCALSID = "config/vpp/srv6/v2/localsid/"
CHAIN = "config/linux/iptables/v2/rulechain/"
LINUX = "config/linux/interfaces/v2/interface/"


def _sidecar() -> Sidecar:
    found = Sidecar(settings_named("length-96"), "node1").put(node(1))
    return found.wire(base_keys(1, "fe10:f00d::1"))


def _service(dice: random.Random, number: int) -> list[Json]:
    listed = dice.sample([*PODS, *HOSTS], dice.randint(0, 4))
    body = endpoint_slice(f"s{number}", [endpoint(address, "node1") for address in listed])
    return [service(f"s{number}", f"2096::1{number}"), body]


def _wire(dice: random.Random, sidecars: list[Sidecar]) -> None:
    pod = dice.choice(PODS)
    index = PODS.index(pod)
    interface = dice.choice(["", "", TWINS[index], f"{index}{'x' * 63}"])
    sandbox = re.sub(r"\W", "_", interface[:9] + pod)
    for sidecar in sidecars:
        for key in [key for key in sidecar.actual.entries if _is_wiring(sidecar, key, pod)]:
            sidecar.unwire([key])
        sidecar.wire(pod_keys(pod, sandbox, interface=interface))


def _is_wiring(sidecar: Sidecar, key: str, pod: str) -> bool:
    if key.startswith(LINUX):
        return f"{pod}/128" in sidecar.values()[key]["ip_addresses"]
    return key.startswith("config/vpp/v2/") and pod in key.split("/")


def assert_rules_are_at_home(sidecar: Sidecar) -> None:
    """Each translation is in the namespace of the pod to which it leads, and only there once."""
    values = sidecar.values()
    homes = {
        value["ip_addresses"][0].partition("/")[0]: value["namespace"]["reference"]
        for key, value in values.items()
        if key.startswith(LINUX) and "namespace" in value
    }
    places = []
    for key, value in values.items():
        if key.startswith(CHAIN):
            chain = value.get("chain_type") or value["chain_name"]
            places.append((value["namespace"]["reference"], value["table"], chain))
            for rule in value["rules"]:
                if found := re.search(r"\[(.*)\]", rule):
                    assert homes[found[1]] == value["namespace"]["reference"]
    assert len(places) == len(set(places))


@settings(derandomize=True, deadline=None, max_examples=300, print_blob=True)
@given(st.integers(0, 2**32), st.integers(1, 12))
def test_whoever_takes_over_has_all_it_needs(seed: int, steps: int) -> None:
    """After each change the state is that of a fresh render, and nothing in it dangles."""
    dice = random.Random(f"{seed} {steps}")
    full, incremental = sidecars = [_sidecar(), _sidecar()]
    for _ in range(steps):
        for _ in range(dice.randint(1, 3)):
            if dice.random() < 0.5:
                _wire(dice, sidecars)
            else:
                bodies = _service(dice, dice.randint(0, 2))
                is_coming = dice.random() < 0.8
                for sidecar in sidecars:
                    (sidecar.put if is_coming else sidecar.remove)(*bodies)
        full.settle()
        incremental.commit(incremental.plan_change())
        desired = incremental.desired()

        assert desired.objects == incremental.renderer.desired.objects
        assert desired.steered == incremental.renderer.desired.steered
        assert full.owned() == incremental.owned()
        assert_rules_are_at_home(incremental)
        for value in incremental.values().values():
            for item in value.get("segment_lists", ()):
                assert LOCALSID + item["segments"][0] in incremental.actual.entries


def test_two_interfaces_with_one_sandbox_name_keep_their_rules_apart() -> None:
    """Pods whose interfaces would name the same chains do not translate for each other."""
    one, two = PODS[0], PODS[3]
    sidecar = _sidecar().wire(pod_keys(one, "a", interface="twin"))
    sidecar.wire(pod_keys(two, "b", interface="vpp-tap-twin"))
    listed = [endpoint(one, "node1"), endpoint(two, "node1")]
    sidecar.put(service("web", "2096::10"), endpoint_slice("web", listed)).settle()

    assert_rules_are_at_home(sidecar)


def test_an_interface_whose_name_is_only_the_prefix() -> None:
    """It names chains as any other does."""
    sidecar = _sidecar().wire(pod_keys(PODS[0], "a", interface="vpp-tap-"))
    listed = [endpoint(PODS[0], "node1")]
    sidecar.put(service("web", "2096::10"), endpoint_slice("web", listed)).settle()

    assert chain_keys("vpp-tap-") == sorted(k for k in sidecar.values() if k.startswith(CHAIN))
    assert_rules_are_at_home(sidecar)


def test_a_pod_that_is_not_wired_keeps_nobody_out() -> None:
    """Of two pods that want one SID, the one that packets can reach has it."""
    one, two = PODS[0], PODS[1]
    sidecar = _sidecar().wire(pod_keys(two))
    listed = [endpoint(one, "node1"), endpoint(two, "node1")]
    sidecar.put(service("web", "2096::10"), endpoint_slice("web", listed)).settle()

    localsid = sidecar.values()[f"{LOCALSID}fc00:6d::5"]
    assert localsid["end_function_dx6"]["next_hop"] == two


def test_a_pod_that_loses_its_wiring_makes_room() -> None:
    """When the holder of a SID is unwired, the other takes it over at once, not by a restart."""
    holder, other = PODS[1], PODS[0]
    alone = endpoint_slice("web", [endpoint(holder, "node1")])
    both = endpoint_slice("web", [endpoint(holder, "node1"), endpoint(other, "node1")])
    bodies = [node(1), service("web", "2096::10")]
    sidecar = _sidecar().wire(pod_keys(holder) | pod_keys(other)).put(*bodies, alone).settle()
    sidecar.put(both).settle()
    localsid = sidecar.values()[f"{LOCALSID}fc00:6d::5"]
    assert localsid["end_function_dx6"]["next_hop"] == holder

    sidecar.unwire(pod_keys(holder)).settle()
    assert f"{LOCALSID}fc00:6d::5" in sidecar.owned()
    assert sidecar.restarted().put(*bodies, both).plan().transactions == ()
