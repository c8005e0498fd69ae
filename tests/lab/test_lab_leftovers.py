"""Nothing of a lab is left, however it ends; shown without VPP and agent."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import podns
import pytest
from etcd_server import eventually

HOLD = """
import sys, threading
from pathlib import Path
sys.path[:0] = sys.argv[1:]
from lab.children import Child
from lab.leftovers import Leftovers
from lab.netns import namespaces

left = Leftovers()
with namespaces(left.namespaces, {"a": False}) as made:
    Child(left.folder / "server.log", ["sleep", "1000"], made["a"])
    Path("/dev/shm", left.links + "x").touch()
    link = ["ip", "link", "add", left.links + "1a", "type", "veth", "peer", "name", "eth0"]
    made["a"].run(*link)
    made["a"].run("ip", "link", "set", left.links + "1a", "netns", "1")
    print(left.namespaces, left.links, left.folder, flush=True)
    threading.Event().wait()
"""
TESTS = Path(__file__).parents[1]


def _left(namespaces: str, links: str, folder: str) -> list[str]:
    """What bears the names of a lab."""
    found = [*Path("/run/netns").glob(f"{namespaces}*"), *Path("/dev/shm").glob(f"{links}*")]
    listed = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True)
    lines = [line for line in listed.stdout.splitlines() if f": {links}" in line]
    pids = [
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/cwd")
        if path.exists() and str(path.resolve()).startswith(folder)
    ]
    files = [folder] if Path(folder).exists() else []
    return [*map(str, found), *lines, *pids, *files]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left(how: signal.Signals) -> None:
    """Processes, namespaces, links, shared memory and files go with the process that made them."""
    if reason := podns.lacking():
        pytest.skip(reason)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(TESTS), str(TESTS / "support")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert holder.stdout is not None
    namespaces, links, folder = holder.stdout.readline().split()

    assert len(_left(namespaces, links, folder)) == 5

    holder.send_signal(how)
    holder.wait(30)
    holder.stdout.close()

    def check_gone() -> None:
        assert _left(namespaces, links, folder) == []

    eventually(check_gone, AssertionError, 30)
