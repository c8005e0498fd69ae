"""Which rule kept or dropped what: every candidate and every part of a slice has one reason."""

from __future__ import annotations

from typing import Any

import pytest
from choosing import ONE, THREE, TWO, offered_by, only, parsed_slices, web, web_slice
from clusters import Json, endpoint, service

from srv6kv.kube.model import Service
from srv6kv.kube.parse import parse
from srv6kv.render.selection import candidates_of, judge, unused

LEAVING: dict[str, Any] = {"ready": False, "serving": True, "terminating": True}
GONE: dict[str, Any] = {"ready": False, "serving": False, "terminating": True}


def _verdicts(*endpoints: Json, zone: str = "z1", local_only: bool = False) -> list[str]:
    """``+`` for kept, rule and reason of each endpoint, by address."""
    offered = tuple(only(offered_by(web_slice(*endpoints))))
    found = judge(offered, "n1", zone, local_only=local_only)
    assert tuple(verdict.candidate for verdict in found) == offered
    return [f"{'+' if verdict.kept else '-'} {verdict}" for verdict in found]


def test_what_is_ready_is_kept() -> None:
    """The rest says what it lacks."""
    listed = [
        endpoint(ONE),
        endpoint(TWO, ready=False),
        endpoint(THREE, **LEAVING),
        endpoint("2001::1:4", **GONE),
    ]

    assert _verdicts(*listed) == [
        "+ C4: ready",
        "- E5: not ready",
        "- C5: terminates, and others are ready",
        "- C10: terminates and does not serve",
    ]


def test_hints_keep_and_drop() -> None:
    """The hint that is missing is named."""
    assert _verdicts(endpoint(ONE, nodes=["n1"]), endpoint(TWO, nodes=["n2"])) == [
        "+ C2a: ready, with a hint for node n1",
        "- C2a: no hint for node n1",
    ]
    assert _verdicts(endpoint(ONE, zones=["z2"]), endpoint(TWO, zones=["z1", "z2"])) == [
        "- C2b: no hint for zone z1",
        "+ C2b: ready, with a hint for zone z1",
    ]


@pytest.mark.parametrize(
    ("one", "two", "zone", "why"),
    [
        ({"nodes": ["n1"]}, {}, "z1", "1 of 2 have no node hint"),
        ({"nodes": ["n2"]}, {"nodes": ["n3"]}, "z1", "none has a hint for node n1"),
        ({"zones": ["z1"]}, {}, "z1", "1 of 2 have no zone hint"),
        ({"zones": ["z2"]}, {"zones": ["z2"]}, "z1", "none has a hint for zone z1"),
        (
            {"zones": ["z1"]},
            {"zones": ["z1"]},
            "",
            "this node has no zone, and none has an empty hint",
        ),
        (
            {"nodes": ["n2"], "zones": ["z1"]},
            {"nodes": ["n2"]},
            "z1",
            "none has a hint for node n1 and 1 of 2 have no zone hint",
        ),
    ],
)
def test_hints_that_do_not_count_are_explained(
    one: dict[str, Any], two: dict[str, Any], zone: str, why: str
) -> None:
    """All ready endpoints are kept, and what the hints lack is said."""
    listed = [endpoint(ONE, **one), endpoint(TWO, **two), endpoint(THREE, ready=False)]

    assert _verdicts(*listed, zone=zone) == [f"+ C2c: ready; {why}"] * 2 + ["- E5: not ready"]


def test_the_last_resort_is_called_so() -> None:
    """Without any ready endpoint, with both policies."""
    listed = [endpoint(ONE, "n1", **LEAVING), endpoint(TWO, "n1", **GONE), endpoint(THREE, "n2")]
    why = "and it serves while it terminates"

    assert _verdicts(*listed[:2]) == [
        f"+ C5: last resort: none is ready, {why}",
        "- C10: terminates and does not serve",
    ]
    assert _verdicts(*listed, local_only=True) == [
        f"+ C6: last resort: none is ready on this node, {why}",
        "- C10: terminates and does not serve",
        "- C6: not on this node but on n2",
    ]


def test_local_traffic_says_where_the_others_are() -> None:
    """Place comes before condition; hints are not spoken of."""
    listed = [
        endpoint(ONE, "n1", zones=["z2"]),
        endpoint(TWO, "n2", ready=False),
        endpoint(THREE),
        endpoint("2001::1:4", "n1", ready=False),
        endpoint("2001::1:5", "n1", **LEAVING),
    ]

    assert _verdicts(*listed, local_only=True) == [
        "+ C6: ready on this node",
        "- C6: not on this node but on n2",
        "- C6: not on this node but on none that is named",
        "- E5: not ready",
        "- C6: terminates, and others are ready",
    ]


def test_nothing_is_judged_where_nothing_is_offered() -> None:
    """No candidates, no verdicts."""
    assert _verdicts() == []


@pytest.mark.parametrize(
    ("first", "second", "winner", "why"),
    [
        ({"terminating": True}, {"ready": False}, "b", "and there it does not terminate"),
        ({"ready": False}, {"ready": True}, "b", "and there it is ready"),
        ({"ready": False}, {"terminating": True}, "a", "and there it does not terminate"),
        ({"serving": False}, {"serving": True}, "a", "and comes first by name"),
        ({}, {}, "a", "and comes first by name"),
    ],
)
@pytest.mark.parametrize("is_reversed", [True, False])
def test_a_duplicate_names_the_slice_that_counts(
    first: dict[str, Any], second: dict[str, Any], winner: str, why: str, is_reversed: bool
) -> None:
    """And the first thing in which they differ, whichever slice is seen first."""
    bodies = [
        web_slice(endpoint(ONE, **first), endpoint(TWO), name="a"),
        web_slice(endpoint(ONE, **second), endpoint(THREE), name="b"),
    ]
    slices = parsed_slices(*(bodies[::-1] if is_reversed else bodies))
    [reason] = unused(web(), slices)
    loser = {"a": "b", "b": "a"}[winner]

    assert only(candidates_of(web(), slices))[0].slice_name == winner
    assert str(reason) == (
        f"EndpointSlice {loser} {ONE} for http TCP 80: E8: {winner} lists it too, {why}"
    )


def test_an_endpoint_twice_in_one_slice_is_told() -> None:
    """Of a port without a name too."""
    unnamed = [("", "UDP", 53)]
    body = web_slice(endpoint(ONE), endpoint(ONE, "n2"), ports=unnamed)
    [reason] = unused(web(unnamed), parsed_slices(body))

    assert reason.place == f"{ONE} for the port UDP 53"
    assert reason.why == (
        "the slice lists it again, and the last entry that does not terminate counts"
    )
    leaving = [endpoint(ONE, name, ready=False, terminating=True) for name in ("n1", "n2")]
    body = web_slice(*leaving, ports=unnamed)
    [reason] = unused(web(unnamed), parsed_slices(body))
    assert reason.why == "the slice lists it twice, and both terminate: the first counts"


def test_a_slice_of_a_family_without_an_address_is_told() -> None:
    """With IPv4 on, a slice is of no use to a service without an address of its family."""
    ipv4 = {**web_slice(name="four"), "addressType": "IPv4", "endpoints": []}
    slices = parsed_slices(ipv4, web_slice(endpoint(ONE), name="six"))
    of_ipv4 = parse("Service", service("web", "10.96.0.1", ipFamilies=["IPv4"]))
    assert isinstance(of_ipv4, Service)

    assert [
        str(item) for found in (web(), of_ipv4) for item in unused(found, slices, ipv4=True)
    ] == [
        "EndpointSlice four: E2: addressType: the service has no IPv4 ClusterIP",
        "EndpointSlice six: E2: addressType: the service has no IPv6 ClusterIP",
    ]


def test_every_part_that_is_left_out_has_its_rule() -> None:
    """Ports that nobody can use and slices that were ignored; what others own is not spoken of."""
    ports = [(None, "TCP", 80), ("http", "UDP", 80), ("http", "TCP", 80), ("http", "TCP", None)]
    four = {**web_slice(name="four"), "addressType": "IPv4", "endpoints": []}
    headless, others = web_slice(name="headless"), web_slice(name="others")
    headless["metadata"]["labels"]["service.kubernetes.io/headless"] = ""
    others["metadata"]["labels"]["kubernetes.io/service-name"] = "db"
    nobodys = {**four, "metadata": {"name": "nobodys"}}
    bodies = [web_slice(endpoint(ONE), ports=ports), four, headless, others, nobodys]

    assert [str(item) for item in unused(web(), parsed_slices(*bodies))] == [
        "EndpointSlice four: E2: addressType: IPv4 counts only with srv6kv.ipv4",
        "EndpointSlice headless: S1: metadata.labels: service.kubernetes.io/headless is set,"
        " whatever its value",
        "EndpointSlice s ports[0]: E4: the service has no TCP port named ''",
        "EndpointSlice s ports[1]: E4: the service has no UDP port named 'http'",
        "EndpointSlice s ports[3]: E3: has no number from 1 to 65535",
    ]


def test_a_slice_of_nobody_says_so() -> None:
    """It cannot be told whose it was meant to be."""
    [found] = parsed_slices({**web_slice(), "metadata": {"name": "s"}})

    assert found.ignored is not None
    assert found.ignored == (
        None,
        "E1",
        "metadata.labels: kubernetes.io/service-name names no service",
    )
