"""What ends with the lab: its processes, namespaces, links, shared memory and folder.

A shell beside the lab waits for the end of a pipe that only the lab's process holds open. Then it
removes everything whose name begins with the lab's. So nothing is left on Ctrl-C, SIGTERM, SIGKILL
or a test that fails.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

_SWEEP = r"""
read -r line
for round in 1 2 3; do
    for file in "$3"/*.pid; do
        read -r pid name < "$file" || continue
        # The number may be another's by now: its command line says whose it is.
        grep -qs -- "$name" "/proc/$pid/cmdline" && kill -9 "$pid"
    done
    for path in /run/netns/"$1"*; do
        [ -e "$path" ] && ip netns delete "${path##*/}"
    done
    ip -oneline link | sed -n "s/^[0-9]*: \($2[^@:]*\).*/\1/p" | while read -r link; do
        ip link delete "$link"
    done
    rm -rf /dev/shm/"$2"*
    left=$(ls -d /run/netns/"$1"* 2>/dev/null)
    [ -z "$left" ] && break
    sleep 0.5
done
rm -rf "$3"
"""


class Leftovers:
    """The names of one lab, and who removes what bears them.

    Attributes:
        number: what its names differ in from those of other labs.
        namespaces: how the names of its namespaces begin.
        links: how the names of its links in this namespace begin; three more characters and a
            digit fit.
        folder: for its files; short, because the path of a Unix socket holds 107 characters.
    """

    def __init__(self) -> None:
        self.number = secrets.token_hex(2)
        self.namespaces = f"srv6lab-{self.number}-"
        self.links = f"sl{self.number}"
        self.folder = Path(tempfile.mkdtemp(prefix=f"srv6lab-{self.number}-"))
        self._sweeper = subprocess.Popen(
            ["/bin/sh", "-c", _SWEEP, "sh", self.namespaces, self.links, str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def sweep(self, logs: Path | None = None) -> None:
        """Remove everything now, and return when that is done.

        Args:
            logs: a folder to copy the log files to before.
        """
        if logs is not None:
            logs.mkdir(parents=True, exist_ok=True)
            for log in self.folder.rglob("*.log"):
                with contextlib.suppress(OSError):
                    name = "-".join(log.relative_to(self.folder).parts)
                    shutil.copy(log, logs / name)
        assert self._sweeper.stdin is not None
        self._sweeper.stdin.close()
        self._sweeper.wait(60)
