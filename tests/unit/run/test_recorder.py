"""The file that ``run --record`` writes: it always replays."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hostile import HOSTILE

from srv6kv.errors import InputError
from srv6kv.run.recorder import Recorder
from srv6kv.txn import recording
from srv6kv.txn.transaction import FullKey, Operation, Transaction

A, B = "/vnf-agent/n/config/a", "/vnf-agent/n/config/b"
PUT = Transaction((Operation(FullKey(A), b'{"a":1}', 0),))
CHANGE = Transaction((Operation(FullKey(A), b'{"a":2}', 5),))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the recording is."""
    return tmp_path / "run.txn"


def lines(path: Path) -> list[str]:
    """The recording without its times."""
    return [
        " ".join(line.split(" ")[:2]) if line.startswith("txn ") else line
        for line in path.read_text().splitlines()
    ]


def record(path: Path, held: dict[str, tuple[bytes, int]], *transactions: Transaction) -> None:
    """What one process writes: what it found, and what it committed."""
    recorder = Recorder(path)
    recorder.snapshot(held)
    for transaction in transactions:
        recorder.append(transaction)
    recorder.close()


def test_new_file(path: Path) -> None:
    """A recording opens with a snapshot of our keys, which may be empty."""
    record(path, {}, PUT)

    assert lines(path) == ["txn 1", "txn 2", f'put 0 {A} {{"a":1}}']


def test_snapshot_of_what_is_there(path: Path) -> None:
    """What etcd held before the recording began is put by its first transaction."""
    record(path, {A: (b'{"a":1}', 5)}, CHANGE)

    assert lines(path) == [
        "txn 1",
        f'put 0 {A} {{"a":1}}',
        "txn 2",
        f'put 5 {A} {{"a":2}}',
    ]


def test_time(path: Path) -> None:
    """A transaction is recorded with the time of its commit, in UTC."""
    record(path, {})

    assert path.read_text().startswith("txn 1 20")
    assert path.read_text().endswith("Z\n")


def test_restart_without_a_change(path: Path) -> None:
    """A restart that finds what the recording ends with adds nothing."""
    record(path, {}, PUT)
    before = path.read_text()
    record(path, {A: (b'{"a":1}', 5)})

    assert path.read_text() == before


def test_restart_after_a_change(path: Path) -> None:
    """A restart adds what has changed since the recording ended as one transaction."""
    record(path, {}, PUT)
    record(path, {B: (b'{"b":1}', 9)})

    assert lines(path)[-3:] == ["txn 3", f'put 0 {B} {{"b":1}}', f"del 1 {A}"]


@pytest.mark.parametrize("rest", ["p", f"put 0 {B} {{", f"put 0 {B} {{}}", "txn 3", "\x00\x00"])
def test_torn_line(path: Path, rest: str) -> None:
    """What a crash has left of a last line is cut off."""
    record(path, {}, PUT)
    with path.open("a") as file:
        file.write(rest)
    record(path, {A: (b'{"a":1}', 5)}, CHANGE)

    assert lines(path)[2:] == [f'put 0 {A} {{"a":1}}', "txn 3", f'put 5 {A} {{"a":2}}']


def test_torn_transaction(path: Path) -> None:
    """A transaction that a crash cut between two lines is made whole by the next snapshot."""
    record(path, {}, PUT)
    with path.open("a") as file:
        file.write(f'txn 3 2026-11-22T10:00:00.000Z\nput 5 {A} {{"a":2}}\nput 0 {B} {{"b"')
    record(path, {A: (b'{"a":2}', 6), B: (b'{"b":1}', 6)})

    assert recording.state_of(recording.load(path.read_text())) == {A: b'{"a":2}', B: b'{"b":1}'}


def test_foreign_garbage(path: Path) -> None:
    """A key of ours that somebody else fills with what is no JSON does not spoil the recording."""
    record(path, {}, PUT)
    record(path, {A: (b"\xffgarbage\n", 7)}, Transaction((Operation(FullKey(A), b'{"a":1}', 7),)))

    assert recording.state_of(recording.load(path.read_text())) == {A: b'{"a":1}'}


def test_no_recording(path: Path) -> None:
    """A file that is no recording is refused and stays as it is."""
    path.write_text("hello\nworld")
    with pytest.raises(InputError, match=r"run\.txn:1: "):
        Recorder(path)

    assert path.read_text() == "hello\nworld"


def test_a_new_file_is_private(path: Path) -> None:
    """Only its owner may read what shows the whole cluster, whatever the umask."""
    before = os.umask(0)
    try:
        record(path, {}, PUT)
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(("mode", "warns"), [(0o644, True), (0o660, True), (0o600, False)])
def test_a_file_that_is_there_keeps_its_mode(
    path: Path, caplog: pytest.LogCaptureFixture, mode: int, warns: bool
) -> None:
    """Somebody may have chosen it; that others may read the recording is told once."""
    path.touch()
    path.chmod(mode)
    record(path, {}, PUT)
    said = [one.getMessage() for one in caplog.records]

    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert (
        said
        == [
            f"{path}: others may read or write the recording (mode {mode:04o})",
        ]
        * warns
    )


def test_hostile_values_of_ours(path: Path) -> None:
    """What others have made of our values is left out as long as it is no JSON: it replays."""
    for value in HOSTILE.values():
        record(path, {A: (b'{"a":1}', 5), B: (value, 6)}, CHANGE)

        assert recording.load(path.read_text())


def test_a_line_that_is_not_utf8(path: Path) -> None:
    """A file that is no recording is refused with its line."""
    path.write_bytes(b"txn 1\nput 0 /a \xff\ntxn 2\n")

    with pytest.raises(InputError, match=f"{path}:2: not UTF-8"):
        Recorder(path)


def test_unwritable(tmp_path: Path) -> None:
    """A file that cannot be written is refused with its name."""
    with pytest.raises(InputError, match="absent"):
        Recorder(tmp_path / "absent" / "run.txn")


FULL_DISK = """
import resource, sys
from pathlib import Path
from srv6kv.run.recorder import Recorder
recorder = Recorder(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
recorder.snapshot({})
recorder.snapshot({"/a": (b"{}", 1)})
recorder.close()
"""


def test_full_disk(path: Path) -> None:
    """A recording that cannot go on says so once, naming the file, and stops nothing else."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True
    )

    assert done.returncode == 0
    assert done.stderr == f"the recording ends: {path}: File too large\n"
