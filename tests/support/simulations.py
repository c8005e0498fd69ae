"""What ``simulate`` says of the sample cluster, in this process and as a command."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from pathlib import Path

from processes import NODE, SEED, srv6kv

from srv6kv.cli import cluster
from srv6kv.offline.reading import read_changed, read_vpp
from srv6kv.simulate import flow, question
from srv6kv.simulate.answer import Answer
from srv6kv.simulate.flow import Before, Hash

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


def simulate(destination: str, who: str, *more: str | Path) -> subprocess.CompletedProcess[str]:
    """What simulate says of the cluster in the manifests."""
    return srv6kv("simulate", destination, "--from", who, *FILES, *more)


@lru_cache
def _before(paths: tuple[Path, ...]) -> Before:
    files = cluster.read_files(paths, CONFIG, NODE, None)
    return flow.before_of(files, {}, None)


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
    source, port = question.sender_of(who)
    after = None
    if then:
        files = read_changed(before.files, paths, then, cluster.given(CONFIG), NODE)
        after = flow.after_of(before, NODE, files)
    asked = question.destination_of(destination, protocol, before.scene.cluster)
    shows = read_vpp(vpp) if vpp else None
    return flow.answer(before, asked, source, port, hashed or Hash(), shows, after)


def sender(port: int) -> str:
    """The client with another source port."""
    return f"{NODE}/[2001:0:0:1::2]:{port}"


def drawn(found: Answer) -> tuple[str, ...] | None:
    """The segments that the flow gets."""
    assert found.balanced is not None
    assert found.flow is not None
    index = found.flow.endpoint
    return None if index is None else found.balanced.endpoints[index].segments


def shown(folder: Path, *lists: tuple[tuple[str, ...], int], kind: str = "Default") -> Path:
    """A file with what VPP prints of one policy."""
    told = "".join(
        f"  \t[{index}].- < {', '.join(segments)}, \b\b > weight: {weight}\n"
        for index, (segments, weight) in enumerate(lists)
    )
    path = folder / "vpp.txt"
    path.write_text(SHOWN.format(kind=kind, lists=told))
    return path
