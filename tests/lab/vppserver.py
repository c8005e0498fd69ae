"""VPP of one node: how it is started, and its command line."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from lab.binaries import Binaries
from lab.children import Child, Failed
from lab.netns import Netns

_START = """\
unix {{
  nodaemon nosyslog nobanner log {folder}/vpp-own.log cli-listen {folder}/cli.sock cli-no-pager
  runtime-dir {folder} poll-sleep-usec 100
}}
api-segment {{ prefix {prefix} }}
socksvr {{ socket-name {folder}/api.sock }}
statseg {{ socket-name {folder}/stats.sock size 256M page-size 4k }}
memory {{ main-heap-size 2G main-heap-page-size 4k }}
buffers {{ buffers-per-numa 16384 page-size 4k }}
plugins {{ path {plugins} plugin dpdk_plugin.so {{ disable }} }}
"""


class Vpp:
    """One VPP, which may be restarted.

    Args:
        binaries: where it is.
        folder: for its sockets and its log.
        place: the namespace that it is in, with the veth ends that it reads.
        prefix: of its shared memory, of no other VPP's.
        commands: what it is told as soon as its sockets are there, before any agent comes: what
            ``srv6kv vpp-exec`` prints. VPP itself would run a start-up file two seconds later, and
            policies that are made before have no encap source.
    """

    def __init__(
        self,
        binaries: Binaries,
        folder: Path,
        place: Netns,
        prefix: str,
        commands: Sequence[str],
    ) -> None:
        self._binaries = binaries
        self._place = place
        self._folder = folder
        self._commands = tuple(commands)
        self._process: Child | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "startup.conf"
        self._config.write_text(
            _START.format(folder=folder, prefix=prefix, plugins=binaries.plugins)
        )

    @property
    def api(self) -> Path:
        """The socket of its API."""
        return self._folder / "api.sock"

    @property
    def stats(self) -> Path:
        """The socket of its counters."""
        return self._folder / "stats.sock"

    @property
    def control(self) -> tuple[str, ...]:
        """The command that asks it."""
        return str(self._binaries.vppctl), "-s", str(self._folder / "cli.sock")

    @property
    def is_running(self) -> bool:
        """Whether it is there."""
        return self._process is not None and self._process.is_running

    @property
    def commands(self) -> tuple[str, ...]:
        """What it is told at its start."""
        return self._commands

    def start(self, *, is_told: bool = True) -> None:
        """Start it, and return when it has its encap source, if it is told that here.

        Raises:
            Failed: it does not come up.
        """
        for name in ("cli.sock", "api.sock", "stats.sock"):
            (self._folder / name).unlink(missing_ok=True)
        command: list[str | Path] = [self._binaries.vpp, "-c", self._config]
        self._process = Child(self._folder / "vpp.log", command, self._place)
        self._process.wait_until(self._has_sockets, "VPP")
        for line in self._commands if is_told else ():
            self._process.wait_until(lambda line=line: self._takes(line), line)  # type: ignore[misc]

    def ctl(self, *words: str) -> str:
        """What it prints for a command.

        Raises:
            Failed: it does not answer.
        """
        done = subprocess.run(
            [*self.control, *words], capture_output=True, text=True, errors="replace", timeout=60
        )
        if done.returncode:
            raise Failed(f"vppctl {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def stop(self) -> None:
        """End it in good order."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()

    def _has_sockets(self) -> bool:
        return self.api.exists() and (self._folder / "cli.sock").exists()

    def _takes(self, line: str) -> bool:
        try:
            return not self.ctl(*line.split()).strip()
        except (Failed, subprocess.TimeoutExpired):
            return False
