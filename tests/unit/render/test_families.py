"""Rule S3 by family: without a ClusterIP of a family no address of that family is the service's."""

from __future__ import annotations

from typing import Any

import pytest
from clusters import CONFS, endpoint, endpoint_slice, node, pod_keys, service, settings_of
from explaining import Asked
from sidecar import Sidecar

from srv6kv.explain.account import Explanation
from srv6kv.kube.model import Ref
from srv6kv.notes import Kind, Note, Reason, Subject
from srv6kv.settings import Settings
from srv6kv.show.trees import text_of

POD, POD4 = "2001:0:0:1::5", "10.1.1.5"
VIP, VIP4 = "2096::10", "10.96.0.10"
BALANCED, BALANCED4 = "fd10::5", "192.0.2.5"
EXTERNAL, EXTERNAL4 = "fd20::5", "198.51.100.5"
STEERING = "config/vpp/srv6/v2/steering/forK8sService-default-web"


def _settings(*, ipv4: bool) -> Settings:
    ranges = {"externalIPs": {"allowedCIDRs": ["fd20::/16", "198.51.100.0/24"]}, "ipv4": ipv4}
    ipam = {**CONFS["seed"]["ipamConfig"], "serviceCIDR": "2096::/110, 10.96.0.0/12"}
    if not ipv4:
        ipam["serviceCIDR"] = "2096::/110"
    return settings_of({**CONFS["seed"], "ipamConfig": ipam, "srv6kv": ranges})


def _web(*own: str) -> dict[str, Any]:
    """A service with these ClusterIPs, and external addresses of both families."""
    return service(
        "web",
        own[0],
        type="LoadBalancer",
        clusterIPs=list(own),
        ipFamilies=["IPv4" if "." in one else "IPv6" for one in own],
        externalIPs=[EXTERNAL, EXTERNAL4],
        status={"loadBalancer": {"ingress": [{"ip": BALANCED}, {"ip": BALANCED4}]}},
    )


def _objects(*own: str) -> list[dict[str, Any]]:
    first = node(1)
    first["spec"]["podCIDRs"] = [*first["spec"].get("podCIDRs", []), "10.1.1.0/24"]
    four = {**endpoint_slice("web", [endpoint(POD4, "node1")], name="four"), "addressType": "IPv4"}
    six = endpoint_slice("web", [endpoint(POD, "node1")], name="six")
    return [first, node(2), _web(*own), four, six]


def _steered(*own: str, ipv4: bool = True) -> set[str]:
    """The names of the service's steerings, without what is common."""
    sidecar = Sidecar(_settings(ipv4=ipv4), "node1").put(*_objects(*own))
    sidecar.wire({**pod_keys(POD), **pod_keys(POD4, "four")}).settle()
    return {key.removeprefix(STEERING) for key in sidecar.owned() if key.startswith(STEERING)}


def _of(*external: str) -> set[str]:
    return {f"_{one}{vrf}" for one in external for vrf in ("", "_main")}


SIX, FOUR = _of(BALANCED, EXTERNAL), _of(BALANCED4, EXTERNAL4)


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ((VIP,), {"", *SIX}),
        ((VIP4,), {f"_{VIP4}", *FOUR}),
        ((VIP, VIP4), {"", f"_{VIP4}", *SIX, *FOUR}),
        ((VIP4, VIP), {"", f"_{VIP4}", *SIX, *FOUR}),
    ],
)
def test_external_addresses_follow_the_cluster_ips_family(
    own: tuple[str, ...], expected: set[str]
) -> None:
    """Load-balancer addresses and external IPs, in both VRFs, in either direction."""
    assert _steered(*own) == expected


@pytest.mark.parametrize(("own", "expected"), [((VIP4,), set()), ((VIP,), {"", *SIX})])
def test_with_ipv4_off_a_service_of_ipv4_has_nothing(
    own: tuple[str, ...], expected: set[str]
) -> None:
    """Its IPv6 addresses are not steered into the discard SID: what worked by routing goes on."""
    assert _steered(*own, ipv4=False) == expected


@pytest.mark.parametrize("ipv4", [False, True])
@pytest.mark.parametrize(
    ("own", "others"),
    [(VIP, f"{EXTERNAL4}, {BALANCED4}"), (VIP4, f"{BALANCED}, {EXTERNAL}")],
)
def test_what_is_left_to_the_routes_is_told(own: str, others: str, ipv4: bool) -> None:
    """By a routine note, which names the addresses."""
    sidecar = Sidecar(_settings(ipv4=ipv4), "node1").put(*_objects(own))
    found = [one for one in sidecar.desired().all_notes() if one.reason == "FamilyNotServed"]
    listed = ", ".join(sorted(others.split(", ")))
    text = f"{listed}: the service has no ClusterIP of that family; packets follow the routes,"

    assert found == [
        Note(
            Subject(Kind.SERVICE, Ref("default", "web")),
            Reason.FAMILY_NOT_SERVED,
            f"{text} as with kube-proxy",
        )
    ]
    assert found[0].is_routine


def test_a_cluster_ip_that_cannot_be_used_takes_its_family_along() -> None:
    """Rule S3 looks at what there is, not at what was meant."""
    bodies = _objects(VIP, VIP4)
    bodies[2]["spec"]["clusterIPs"][1] = "<nil>"
    sidecar = Sidecar(_settings(ipv4=True), "node1").put(*bodies)
    sidecar.wire({**pod_keys(POD), **pod_keys(POD4, "four")}).settle()
    found = {key.removeprefix(STEERING) for key in sidecar.owned() if key.startswith(STEERING)}

    assert found == {"", *SIX}


def _explained(*own: str, ipv4: bool) -> Explanation:
    agent = {**pod_keys(POD), **pod_keys(POD4, "four")}
    return Asked(_objects(*own), agent, _settings(ipv4=ipv4)).explain()


def test_explain_says_which_rule_leaves_an_address_alone() -> None:
    """Of each address that is not the service's own; the others are steered."""
    found = _explained(VIP, ipv4=True)
    problems = {item.address: item.problem for item in found.addresses}
    why = "S3: the service has no IPv4 ClusterIP; packets follow the routes"

    assert problems == {VIP: "", BALANCED: "", EXTERNAL: "", BALANCED4: why, EXTERNAL4: why}
    assert "FamilyNotServed" in {note.reason for note in found.warnings}
    assert any(line.endswith(why) for line in text_of(found).splitlines())


def test_explain_says_why_nothing_is_rendered() -> None:
    """A service of IPv4 where IPv4 is off."""
    assert _explained(VIP4, ipv4=False).rule == "S3: it has no IPv6 ClusterIP"
    assert _explained(VIP4, ipv4=True).rule == ""
