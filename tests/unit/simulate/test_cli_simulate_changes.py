"""``srv6kv simulate``: the lists that VPP shows, and the flows that a change moves."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from clusters import endpoint, endpoint_slice, node, service
from simulations import CLIENT, HERE, PATHS, THEN, THERE, answer, drawn, sender, shown, simulate

from srv6kv.show import shares
from srv6kv.simulate.flow import Hash

# VPP's own words --------------------------------------------------------------------------------


def test_the_order_that_vpp_shows_counts(tmp_path: Path) -> None:
    """The other list has the flow if VPP holds them the other way round; no order is assumed."""
    found = answer("balanced", vpp=(shown(tmp_path, (THERE, 1), (HERE, 1)),))

    assert (drawn(answer("balanced")), drawn(found)) == (THERE, HERE)
    assert "fresh create" not in " ".join([*found.assumptions, *shares.lines(found)])


def test_lists_that_only_vpp_has(tmp_path: Path) -> None:
    """They count, with the ends that they lead to, and a note says that the key has others."""
    lists = ((HERE, 1), (THERE, 1), (("6666:0:0:1::dead",), 2))
    found = answer("balanced", vpp=(shown(tmp_path, *lists),))

    assert found.balanced is not None
    assert [one.buckets for one in found.balanced.endpoints] == [1, 1, 2]
    assert [end.kind for one in found.balanced.endpoints for end in one.ends] == [
        *("pod", "pod", "dropped"),
    ]
    assert any("VPP has other segment lists" in note for note in found.assumptions)


@pytest.mark.parametrize(
    ("weights", "is_capped", "note"),
    [
        ((0, 1, 1), True, "VPP 23.06 or later makes an empty table of it: every packet is lost"),
        ((0, 1, 1), False, "VPP before 23.06 makes an empty table of it: every packet is lost"),
        ((1, 0), True, "1 of 2 lists get no bucket"),
        ((1, 0), True, "a weight of 0 among others"),
    ],
)
def test_weights_that_break_a_policy(
    weights: tuple[int, ...], is_capped: bool, note: str, tmp_path: Path
) -> None:
    """What VPP makes of them is said in words."""
    lists = zip((HERE, THERE, ("6655::1",)), weights, strict=False)
    found = answer("balanced", vpp=(shown(tmp_path, *lists),), hashed=Hash(is_capped=is_capped))

    assert any(note in one for one in found.assumptions)
    assert found.is_served == (len(weights) == 2)


def test_a_policy_that_nobody_gets_anything_of(tmp_path: Path) -> None:
    """The flow is dropped, in words and by the exit code."""
    path = shown(tmp_path, (HERE, 0), (THERE, 1), (("6655::1",), 1))
    new, old = (
        simulate("balanced", CLIENT, "--vpp", path, "--vpp-version", version)
        for version in ("v23.06-release", "22.10")
    )

    assert (new.returncode, old.returncode) == (1, 1)
    assert "=> dropped at node1: bucket 2537 is empty" in new.stdout
    assert "=> dropped at node1: no bucket" in old.stdout


def test_policies_that_vpp_does_not_show_or_balance(tmp_path: Path) -> None:
    """A note says which; their lists are taken as the key has them."""
    other = answer("kube-system/kube-dns", vpp=(shown(tmp_path, (HERE, 1)),), protocol="UDP")
    spray = answer("balanced", vpp=(shown(tmp_path, (HERE, 1), kind="Spray"),))

    assert "VPP does not show policy 5555::a" in other.assumptions
    assert any(
        "VPP shows type Spray, which it does not balance" in one for one in spray.assumptions
    )
    assert drawn(spray) == THERE


# Changes ----------------------------------------------------------------------------------------


def test_a_change() -> None:
    """Each steered address of the service has a row, the others are counted, and the flow that was
    asked for is told."""
    done = simulate("balanced", CLIENT, "--then", THEN)
    rows = [line for line in done.stdout.splitlines() if re.search("/128 +│", line)]

    assert [re.split(r" *│ *", row)[1:3] for row in rows] == [
        *(["2001:db8::80/128", "0"], ["2001:db8::80/128", "1"], ["2096::ba1/128", "1"]),
    ]
    assert all(row.count("68.8%") == 3 and "2 to 3" in row for row in rows)
    assert done.stdout.endswith(
        "the change touches 3 of 14 policies on node1\n"
        "after the change the flow has the same endpoint\n"
    )


def test_the_flow_that_moves() -> None:
    """Over many flows as many get another endpoint as the table says, and the first line of the
    change agrees with a draw after it."""
    moved = 0
    for port in range(1, 65):
        found = answer("balanced", sender(port), then=(THEN,))
        moved += found.then != drawn(found)
    line = shares.then_line(found)

    assert 32 <= moved <= 56  # 44 of 64 on average
    assert line is not None
    assert line.startswith("after the change the flow ")


def _cluster(folder: Path, count: int) -> Path:
    """Two nodes and a service with so many pods on node 2."""
    ends = [(f"2001:0:0:2::{0x10 + number:x}", "node2") for number in range(count)]
    bodies = [node(1), node(2), service("big", "2096::b1")]
    bodies.append(endpoint_slice("big", [endpoint(address, name) for address, name in ends]))
    client = ("2001:0:0:1::2", "node1")
    for number, (address, name) in enumerate([client, *ends]):
        metadata = {"namespace": "default", "name": f"big-{number}"}
        status = {"podIPs": [{"ip": address}]}
        body = {"metadata": metadata, "spec": {"nodeName": name}, "status": status}
        bodies.append({"apiVersion": "v1", "kind": "Pod", **body})
    folder.mkdir()
    for number, body in enumerate(bodies):
        (folder / f"{number}.json").write_text(json.dumps(body))
    return folder


def test_a_whole_cluster_after_the_change(tmp_path: Path) -> None:
    """Manifests with Nodes are all that there is then; the worst moment is before the deletes."""
    old, new = _cluster(tmp_path / "old", 8), _cluster(tmp_path / "new", 5)
    found = answer("big", paths=(old,), then=(new,))
    assert found.change is not None
    (one,) = found.change.policies

    assert (one.how, len(one.held), len(one.then), one.change.calls) == ("updated", 8, 5, 3)
    assert 0 < one.change.final.of_kept.share <= one.change.worst.of_kept.share < 1
    assert one.change.final.of_all.share > one.change.final.of_kept.share


def test_a_service_that_goes_and_one_that_comes(tmp_path: Path) -> None:
    """All flows are lost; none was there; nothing is said of endpoints that are kept."""
    full, empty = _cluster(tmp_path / "full", 3), _cluster(tmp_path / "empty", 0)
    gone = answer("big", paths=(full,), then=(empty,))
    new = answer("big", paths=(empty,), then=(full,))
    assert gone.change is not None
    assert new.change is not None

    assert [(one.how, one.change.final.of_all.share) for one in gone.change.policies] == [
        ("gone", 1.0)
    ]
    assert [(one.how, one.change.final.of_all.of) for one in new.change.policies] == [("new", 0)]
    assert (gone.then, shares.then_line(gone)) == ((), "after the change the flow is dropped")
    assert (new.is_served, new.then) == (False, None)


def test_a_change_of_nothing() -> None:
    """The same manifests again touch no policy."""
    found = answer("balanced", then=(PATHS[1] / "balanced.yaml",))

    assert found.change is not None
    assert (found.change.policies, found.change.unchanged) == ((), 14)
    assert found.then == THERE
