"""The settings that come of the chart's values: by the rules of the chart, and as helm writes them.

What needs helm is skipped without it; ``scripts/test-deploy`` brings one.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from chart import Json, contiv_conf, helm, needs_helm, one, rendered

from srv6kv import settings
from srv6kv.settings import Settings

Part = tuple[Json, dict[str, Any]]
"""Values below ``contiv``, and what they mean for the settings."""

OLD_SIDS = {"sid.service_bsid": "5555::/16", "sid.pod": "6666::/16", "sid.node": "7766::/16"}
NEW_SIDS = {"sid.service_bsid": "8fff::/16", "sid.pod": "9300::/16", "sid.node": "9000::/16"}
TRANSPORTS: tuple[Part, ...] = (
    ({}, {"transport": "srv6"} | NEW_SIDS),
    ({"useNoOverlay": True, "useSRv6Interconnect": True}, {"transport": "srv6"} | OLD_SIDS),
    (
        {"nodeToNodeTransport": "srv6", "useSRv6ForServices": True, "useNoOverlay": True},
        {"transport": "srv6"} | NEW_SIDS,
    ),
    ({"nodeToNodeTransport": "vxlan", "useSRv6ForServices": True}, {"transport": "vxlan"}),
    ({"useSRv6ForServices": True}, {"transport": "vxlan"} | NEW_SIDS),
    ({"nodeToNodeTransport": "nooverlay", "useSRv6ForServices": True}, {"transport": "nooverlay"}),
)
SUBNETS: tuple[Part, ...] = (
    ({}, {"pod_subnet": "2001::/48", "host_subnet": "2002::/64", "pod_subnet_one_node_len": 64}),
    (
        {"ipamConfig": {"podSubnetCIDR": "fd10::/40", "podSubnetOneNodePrefixLen": 56}},
        {"pod_subnet": "fd10::/40", "host_subnet": "2002::/64", "pod_subnet_one_node_len": 56},
    ),
    (
        {"ipamConfig": {"contivCIDR": "fe10::/64", "serviceCIDR": "10.96.0.0/12,2097::/110"}},
        {"pod_subnet": "fe10::/112", "pod_subnet_one_node_len": 121},
    ),
    (
        {"ipamConfig": {"srv6": {"servicePolicyBSIDSubnetCIDR": "5aaa::/16"}}},
        {"pod_subnet": "2001::/48", "sid.service_bsid": "5aaa::/16"},
    ),
)
OWN: tuple[Part, ...] = (
    ({}, {"node_plumbing": "full", "kube_proxy": "present", "replace_window": 0.3}),
    (
        {"srv6kv": {"nodePlumbing": "none", "kubeProxy": "masqueradeAll", "replaceWindow": "1s"}},
        {"node_plumbing": "none", "kube_proxy": "masqueradeAll", "replace_window": 1.0},
    ),
    (
        {
            "srv6kv": {"replaceWindow": 0, "externalIPs": {"allowedCIDRs": ["2001:db8::/64"]}},
            "routeServiceCIDRToVPP": True,
            "mtuSize": 1420,
        },
        {
            "replace_window": 0.0,
            "external_ips": ["2001:db8::/64"],
            "route_service_cidr_to_vpp": True,
            "mtu": 1420,
        },
    ),
)
VRFS: tuple[Part, ...] = (
    ({}, {"main_vrf": 0, "pod_vrf": 1}),
    ({"mainVRFID": 7, "podVRFID": 4294967294}, {"main_vrf": 7, "pod_vrf": 4294967294}),
)


def combinations() -> Iterator[Part]:
    """Every combination of the values that matter."""
    for parts in product(TRANSPORTS, SUBNETS, OWN, VRFS):
        contiv: Json = {}
        meant: dict[str, Any] = {}
        for over, meaning in parts:
            contiv |= over
            meant |= meaning
        yield contiv, meant


def load(text: str) -> Settings:
    """The settings in a contiv.conf or a manifest."""
    return settings.load(text, "test")[0]


def told(found: Settings, name: str) -> Any:
    """One of the settings, as the tables above write it."""
    value: Any = found
    for part in name.split("."):
        value = getattr(value, part)
    return [str(item) for item in value] if isinstance(value, tuple) else value


def agrees(found: Settings, meant: dict[str, Any]) -> bool:
    """Whether the settings are what the values mean."""
    return all(str(told(found, name)) == str(value) for name, value in meant.items())


def test_values_mean_settings() -> None:
    """Every combination of values is accepted, and means what the names of its options say."""
    wrong = [c for c, meant in combinations() if not agrees(load(contiv_conf(c)), meant)]

    assert (len(list(combinations())), wrong) == (144, [])


REFUSED: tuple[tuple[Json, str], ...] = (
    ({"contiv": None}, "missing property 'contiv'"),
    ({"contiv": {"ipamConfig": None}}, "missing property 'ipamConfig'"),
    ({"contiv": {"ipamConfig": {"podSubnetCIDR": "abc"}}}, "'abc' does not match pattern"),
    ({"contiv": {"ipamConfig": {"podSubnet": "2001::/48"}}}, "'podSubnet' not allowed"),
    ({"contiv": {"useNoOverlay": "yes"}}, "at '/contiv/useNoOverlay': got string, want boolean"),
    ({"contiv": {"useNoOverlay": True}}, "contiv.useSRv6ForServices: must be true"),
    ({"contiv": {"nodeToNodeTransport": "srv6"}}, "contiv.useSRv6ForServices: must be true"),
    ({"agent": {"vppConf": None}}, "at '/agent': missing property 'vppConf'"),
    ({"agent": {"resources": None}}, "at '/agent': missing property 'resources'"),
    ({"etcd": {"image": {"tag": None}}}, "at '/etcd/image': missing property 'tag'"),
    ({"telemetry": {"port": "x"}}, "at '/telemetry/port': got string, want integer"),
)
"""Values that helm does not take, and a part of what it says."""


@needs_helm
@pytest.mark.parametrize(("over", "text"), REFUSED)
def test_wrong_values_are_refused(over: Json, text: str) -> None:
    """helm names the value, and makes nothing."""
    done = helm("template", over)

    assert (done.returncode, done.stdout) == (1, "")
    assert text in done.stderr


@needs_helm
def test_rendered_values_are_the_settings() -> None:
    """What helm writes for every combination of values parses back into the same settings."""
    wrong = []
    for contiv, _ in combinations():
        config_map = one(rendered({"contiv": contiv}), "ConfigMap", "contiv-agent-cfg")
        if load(config_map["data"]["contiv.conf"]) != load(contiv_conf(contiv)):
            wrong.append(contiv)

    assert wrong == []
