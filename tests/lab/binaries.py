"""The binaries that the user brings, and what this machine lacks to run them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import podns

from srv6kv.errors import InputError
from srv6kv.etcd import embedded

VPP = "SRV6KV_LAB_VPP"
AGENT = "SRV6KV_LAB_AGENT"


class Lacking(Exception):
    """What the lab needs and does not have, in one line."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where VPP and the agent are.

    Attributes:
        vpp: the daemon.
        vppctl: its command line.
        plugins: the folder of VPP's plugins.
        agent: ligato vpp-agent.
    """

    vpp: Path
    vppctl: Path
    plugins: Path
    agent: Path


def find(environment: Mapping[str, str] = os.environ) -> Binaries:
    """Find the binaries that the environment names.

    Raises:
        Lacking: one of them is not there, or this machine cannot run a lab.
    """
    for name in (VPP, AGENT):
        if not environment.get(name):
            raise Lacking(f"{name} is not set: docs/lab.md")
    root, agent = Path(environment[VPP]), Path(environment[AGENT])
    found = Binaries(
        vpp=root / "bin" / "vpp",
        vppctl=root / "bin" / "vppctl",
        plugins=_plugins(root),
        agent=agent,
    )
    for path in (found.vpp, found.vppctl, found.agent):
        if not os.access(path, os.X_OK):
            raise Lacking(f"no program {path}")
    _check_machine()
    return found


def _plugins(root: Path) -> Path:
    for path in (root / "lib", root / "lib64"):
        if path.is_dir():
            for folder in (path, *path.iterdir()):
                if (folder / "vpp_plugins").is_dir():
                    return folder / "vpp_plugins"
    raise Lacking(f"no folder vpp_plugins below {root}/lib")


def _check_machine() -> None:
    if os.geteuid():
        raise Lacking("only root can run it")
    for tool in ("iptables-restore", "ip6tables-restore"):
        if shutil.which(tool) is None:
            raise Lacking(f"{tool} is not installed")
    if reason := podns.lacking():
        raise Lacking(reason)
    try:
        embedded.program()
    except InputError as error:
        raise Lacking(str(error)) from None
