"""What ``simulate`` says of the sample cluster, in this process and as a command."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

from processes import NODE, SEED, srv6kv

from srv6kv.cli import cluster, simulating
from srv6kv.cli.simulating import Before, Hash
from srv6kv.simulate.answer import Answer

ROOT = SEED.parent.parent
CONFIG = SEED / "contiv.conf"
PATHS = (SEED / "manifests", SEED.parent / "paths")
FILES = ("-f", PATHS[0], "-f", PATHS[1], "--config", CONFIG)
THEN = SEED.parent / "simulate" / "balanced.yaml"
CLIENT = f"{NODE}/[2001:0:0:1::2]:40000"
HERE, THERE = ("6666:0:0:1::5",), ("7766:f00d::2", "6666:0:0:2::7")
TEXT = """\
pod 2001:0:0:1::2 on node1 sends TCP port 80 to 2096::ba1 with source port 40000
policy 5555::ba1 on node1, lists in the order of a fresh create
    config/vpp/srv6/v2/policy/5555::ba1
hash 0x7fb089e9 of src dst sport dport proto
bucket 1 of 2: < 7766:f00d::2, 6666:0:0:2::7 >
=> pod 2001:0:0:2::7 on node2 has it on port 8080
"""
SHOWN = """\
vpp# show sr policies
SR policies:
[0].-\tBSID: 5555::ba1
\tBehavior: Encapsulation
\tType: {kind}
\tFIB table: 0
\tSegment Lists:
{lists}-----------
"""
NO_ETCD: dict[str, Any] = {"endpoints": ()}


def simulate(destination: str, who: str, *more: str | Path) -> subprocess.CompletedProcess[str]:
    """What simulate says of the cluster in the manifests."""
    return srv6kv("simulate", destination, "--from", who, *FILES, *more)


@lru_cache
def _before(paths: tuple[Path, ...]) -> Before:
    files = cluster.read_files(paths, CONFIG, NODE, None)
    return simulating.read_before(files, {}, NO_ETCD, NODE)


def answer(
    destination: str,
    who: str = CLIENT,
    *,
    paths: tuple[Path, ...] = PATHS,
    hashed: Hash | None = None,
    vpp: tuple[Path, ...] = (),
    then: tuple[Path, ...] = (),
    protocol: str = "",
) -> Answer:
    """The same in this process, which is quicker."""
    before = _before(paths)
    source, port = simulating.sender_of(who)
    after = simulating.read_after(before, NODE, paths, then, CONFIG) if then else None
    asked = simulating.destination_of(destination, protocol, before.scene.cluster)
    return simulating.answer(before, asked, source, port, hashed or Hash(), vpp, after)


def sender(port: int) -> str:
    """The client with another source port."""
    return f"{NODE}/[2001:0:0:1::2]:{port}"


def drawn(found: Answer) -> tuple[str, ...] | None:
    """The segments that the flow gets."""
    assert found.balanced is not None
    assert found.flow is not None
    index = found.flow.backend
    return None if index is None else found.balanced.backends[index].segments


def shown(folder: Path, *lists: tuple[tuple[str, ...], int], kind: str = "Default") -> Path:
    """A file with what VPP prints of one policy."""
    told = "".join(
        f"  \t[{index}].- < {', '.join(segments)}, \b\b > weight: {weight}\n"
        for index, (segments, weight) in enumerate(lists)
    )
    path = folder / "vpp.txt"
    path.write_text(SHOWN.format(kind=kind, lists=told))
    return path
