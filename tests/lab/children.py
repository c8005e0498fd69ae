"""A server process of the lab: it writes to a log file, and ends with the lab."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lab.netns import Netns
from srv6kv.etcd.embedded import Leash


class Failed(Exception):
    """A process of the lab does not do what it should."""


class Child:
    """One process, started with this object.

    Args:
        log: the file that its output is appended to; beside it stands one with its number.
        command: the program and its arguments.
        place: the namespace that it is in.
        more: what its environment has beside ours.
    """

    def __init__(
        self,
        log: Path,
        command: Sequence[str | Path],
        place: Netns,
        more: Mapping[str, str] | None = None,
    ) -> None:
        self._log = log
        words = [str(word) for word in command]
        with log.open("ab") as output, place.entered():
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(more or {})},
                cwd=log.parent,
                start_new_session=True,
            )
        self._leash = Leash(self._process.pid)
        log.with_suffix(".pid").write_text(f"{self._process.pid} {words[0]}\n")

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def wait_until(self, is_so: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
        """Return as soon as something is so.

        Raises:
            Failed: the process has ended, or it takes too long.
        """
        deadline = time.monotonic() + seconds
        while not is_so():
            if not self.is_running or time.monotonic() > deadline:
                raise Failed(f"{what} did not come:\n{self.last_words()}")
            time.sleep(0.02)

    def last_words(self, lines: int = 15) -> str:
        """The end of its log."""
        text = self._log.read_text(errors="replace").splitlines()[-lines:]
        ended = self._process.poll()
        return "\n".join([*text, f"({self._log.name}, exit code {ended})"])

    def stop(self, seconds: float = 10.0) -> None:
        """End it, in good order if it can; a second call does nothing."""
        self._end(signal.SIGTERM, seconds)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL, 10.0)

    def _end(self, how: signal.Signals, seconds: float) -> None:
        self._leash.let_off()
        self._process.send_signal(how)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.with_suffix(".pid").unlink(missing_ok=True)
