"""``run --record``: appends what is committed to a file, so that the file always replays."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from srv6kv import foreign
from srv6kv.errors import InputError
from srv6kv.telemetry.logs import rfc3339, tell
from srv6kv.txn import recording
from srv6kv.txn.recording import Recorded
from srv6kv.txn.transaction import Transaction

log = logging.getLogger("srv6kv")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _warn_of_readers(path: Path, mode: int) -> None:
    if stat.S_ISREG(mode) and mode & 0o077:
        text = f"{path}: others may read or write the recording (mode {stat.S_IMODE(mode):04o})"
        tell(log, logging.WARNING, "recording", text, path=str(path))


class Recorder:
    """A recording that grows.

    A new file is its owner's alone: what it holds shows the whole cluster. A file that is there
    keeps its mode, which may be on purpose, with a warning, and is continued: what changed
    since it ended becomes one transaction. What a crash left of a last line is cut off. If the file
    cannot be written later on, the recording ends with one error in the log; the sidecar goes on.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state: dict[str, bytes] = {}
        self._number = 0
        try:
            with open(path, "a+b", opener=_private) as file:
                file.seek(0)
                content = file.read()
                whole = content[: content.rfind(b"\n") + 1]
                found = recording.load(foreign.text(whole, most=sys.maxsize), str(path))
                if whole != content:
                    file.truncate(len(whole))
                _warn_of_readers(path, os.fstat(file.fileno()).st_mode)
            self._file = path.open("a", encoding="utf-8")
        except foreign.Unreadable as error:
            raise InputError(f"{path}:{error.line}: {error}") from None
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: {error}") from None
        if found:
            self._number = found[-1].number
            self._state = recording.state_of(found)
        self._is_new = not found

    def snapshot(self, actual: Mapping[str, tuple[bytes, int]]) -> None:
        """Bring the recording to our keys in etcd; the first transaction is always there."""
        difference = recording.difference(self._state, actual)
        if difference or self._is_new:
            self.append(difference)
        self._is_new = False

    def append(self, transaction: Transaction) -> None:
        """Add a transaction that was committed."""
        if self._file.closed:
            return
        self._number += 1
        now = rfc3339(time.time())
        try:
            self._file.write(recording.dump(Recorded(self._number, transaction, now)))
            self._file.flush()
        except OSError as error:
            log.error("the recording ends: %s: %s", self._path, error.strerror)
            self.close()
        recording.apply(transaction, self._state)

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):  # said when it was written
            self._file.close()
