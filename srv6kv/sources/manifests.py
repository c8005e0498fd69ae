"""Kubernetes manifests in files as a source of raw objects, for want of an API server.

Rule: all reading of manifests happens here; what a text means for the objects is decided in
``lastgood``. No thread, no sleep: the caller scans every 100 ms.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from srv6kv import foreign
from srv6kv.errors import InputError
from srv6kv.kube.gaps import ANYTHING
from srv6kv.kube.model import Gap, Identity
from srv6kv.notes import Kind, Note, Reason, Subject
from srv6kv.sources import lastgood
from srv6kv.sources.lastgood import Version
from srv6kv.sources.objects import RawObject

__all__ = ["INPUT_REASONS", "Identity", "ManifestDirectory", "RawObject", "Scan", "read"]

SUFFIXES = (".yaml", ".yml", ".json")
_UNREAD = (Reason.MANIFEST_UNREADABLE, Reason.MANIFESTS_UNAVAILABLE)
INPUT_REASONS = frozenset({*_UNREAD, Reason.MANIFEST_OBJECT_UNNAMED})
"""``render`` ends with exit code 2 after one of these."""

COARSE_TIMES = 2.0  # seconds; no file system rounds modification times to more
MAX_BYTES = 64 << 20  # an etcd would not hold what a larger manifest defines
SCANS_UNTIL_GONE = 2  # editors that save by renaming leave the name empty for a moment

Signature: TypeAlias = tuple[int, int, int]  # modification time in ns, size, inode


@dataclass(frozen=True, slots=True)
class Scan:
    """What a look at the directory found: each object that changed as it is now, None if it is
    gone, and all notes that hold at present; both sorted."""

    changes: tuple[tuple[Identity, RawObject | None], ...]
    notes: tuple[Note, ...]


@dataclass(slots=True)
class _File:
    """What is known of one file.

    Attributes:
        version: the last good one.
        seen: its signature at the last scan; ``read`` the one under which it was last read.
        is_final: whether that was late enough for a coarse clock to have moved on.
        is_known: whether it was read, or found to be unreadable, at all.
    """

    version: Version = field(default_factory=Version)
    seen: Signature | None = None
    read: Signature | None = None
    is_final: bool = True
    is_known: bool = False
    absences: int = 0


class ManifestDirectory:
    """The manifests directly inside one directory, or one manifest; both may come and go. The clock
    gives seconds since the epoch, as modification times count."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = self._folder = path
        self._clock = clock
        self._files: dict[str, _File] = {}
        self._has_listed = False
        self._is_stale = False
        self._objects: dict[Identity, RawObject] = {}
        self._notes: list[Note] = []

    @property
    def is_complete(self) -> bool:
        """Whether the directory was listed and every file in it read or found unreadable."""
        return self._has_listed and all(file.is_known for file in self._files.values())

    @property
    def has_gaps(self) -> bool:
        """Whether a file could never be read, so that it is unknown what it defines."""
        return any(
            note.reason is Reason.MANIFEST_UNREADABLE and not file.version.text
            for file in self._files.values()
            for note in file.version.notes
        )

    @property
    def unnamed(self) -> frozenset[tuple[str, Gap]]:
        """What documents without a name could define, by file."""
        files = self._files.items()
        return frozenset((name, gap) for name, file in files for gap in file.version.gaps)

    def scan(self) -> Scan:
        """What changed since the last scan, and all notes."""
        try:
            names = self._names()
        except (OSError, ValueError) as error:
            for file in self._files.values():
                file.absences = 0
            said = f"{_reason(error)}; all objects stay as they were"
            subject = Subject(Kind.FILE, _shown(self._path))
            return self._result(Note(subject, Reason.MANIFESTS_UNAVAILABLE, said))
        self._has_listed = True
        for name in sorted(names | self._files.keys()):
            self._look_at(name, name in names)
        return self._result()

    def _names(self) -> set[str]:
        """The names of the files; OSError or ValueError if the path cannot be read."""
        if stat.S_ISREG(self._path.stat().st_mode):
            with self._path.open("rb"):  # what is named and cannot be read says nothing at all
                self._folder = self._path.parent
            return {self._path.name}
        self._folder = self._path
        return _manifests_in(self._path)

    def _look_at(self, name: str, is_listed: bool) -> None:
        try:
            signature = _signature(self._folder / name) if is_listed else None
            if signature is None and name in self._files and _is_no_file(self._folder / name):
                raise OSError("it is not a file any more")  # what it held was not removed
        except OSError as error:
            file = self._files.setdefault(name, _File())
            file.seen, file.read, file.absences = None, None, 0
            self._replace(file, lastgood.unreadable(file.version, _shown(name), _reason(error)))
            return
        if signature is None:
            if name in self._files:
                self._mark_absent(self._files[name], name)
            return
        file = self._files.setdefault(name, _File())
        file.absences = 0
        if signature != file.seen:
            file.seen = signature  # perhaps in the middle of a save: read when it stays so
        elif signature != file.read or (not file.is_final and not self._is_fresh(signature)):
            self._read(name, file, signature)

    def _mark_absent(self, file: _File, name: str) -> None:
        file.seen = None
        file.absences += 1
        if file.absences >= SCANS_UNTIL_GONE:
            del self._files[name]
            self._is_stale = True

    def _is_fresh(self, signature: Signature) -> bool:
        """Whether a second change may hide behind the rounded time of the first."""
        return self._clock() - signature[0] / 1e9 < COARSE_TIMES

    def _read(self, name: str, file: _File, signature: Signature) -> None:
        try:
            content, found = _content(self._folder / name)
        except FileNotFoundError:
            file.seen = None  # gone since it was listed: the next scan decides
            return
        except OSError as error:
            # Not marked as read: permissions change without a trace in the signature.
            self._replace(file, lastgood.unreadable(file.version, _shown(name), _reason(error)))
            return
        if found != signature:
            file.seen = None
            return
        file.read, file.is_final = signature, not self._is_fresh(signature)
        self._replace(file, _after(file.version, content, _shown(name)))

    def _replace(self, file: _File, version: Version) -> None:
        file.is_known = True
        self._is_stale = self._is_stale or version is not file.version
        file.version = version

    def _result(self, *notes: Note) -> Scan:
        changes: list[tuple[Identity, RawObject | None]] = []
        if self._is_stale:
            versions = [self._files[name].version for name in sorted(self._files)]
            now, self._notes = lastgood.merged(versions)
            changes = [
                (identity, now.get(identity))
                for identity in sorted(now.keys() | self._objects.keys())
                if not _is_same(now.get(identity), self._objects.get(identity))
            ]
            self._objects, self._is_stale = now, False
        return Scan(tuple(changes), tuple(sorted((*self._notes, *notes))))


def read(paths: Iterable[str | Path], stdin: bytes = b"") -> tuple[list[RawObject], list[Note]]:
    """The objects of files, directories and ``-`` (stdin), sorted, and notes on what is amiss. Of
    an object that is defined twice the last one counts.

    A file of a directory that cannot be read, and a text that makes no sense, is a note with one of
    INPUT_REASONS; the others count. InputError if one of the paths itself cannot be read.
    """
    objects, notes, _ = read_with_gaps(paths, stdin)
    return objects, notes


def read_with_gaps(
    paths: Iterable[str | Path], stdin: bytes = b""
) -> tuple[list[RawObject], list[Note], frozenset[Gap]]:
    """The same, and what may be defined there that cannot be read."""
    versions: list[Version] = []
    for path in dict.fromkeys(str(path) for path in paths):
        if path == "-":
            versions.append(_after(Version(), stdin, "<stdin>"))
        else:
            versions.extend(_read_path(Path(path)))
    objects, notes = lastgood.merged(versions)
    gaps = frozenset[Gap]().union(*(version.gaps for version in versions))
    if any(note.reason in _UNREAD for note in notes):
        gaps |= {ANYTHING}
    return [objects[identity] for identity in sorted(objects)], sorted(notes), gaps


def _read_path(path: Path) -> list[Version]:
    try:
        if not path.is_dir():
            return [_after(Version(), _content(path)[0], _shown(path))]
        inside = (_read_file(path / name) for name in sorted(_manifests_in(path)))
        return [version for version in inside if version is not None]
    except (OSError, ValueError) as error:
        raise InputError(f"{_shown(path)}: {_reason(error)}") from None


def _read_file(path: Path) -> Version | None:
    """What is read of a file that was not named itself; None if there is none, as for a scan."""
    try:
        if _signature(path) is None:
            return None
        content, _ = _content(path)
    except OSError as error:
        return lastgood.unreadable(Version(), _shown(path), _reason(error))
    return _after(Version(), content, _shown(path))


def _after(last: Version, content: bytes, file: str) -> Version:
    try:
        text = foreign.text(content)
    except foreign.Unreadable as error:
        return lastgood.unreadable(last, f"{file}:{error.line}", str(error))
    if text == last.text and not last.notes:
        return last
    return lastgood.after(last, text, file)


def _manifests_in(directory: Path) -> set[str]:
    names = os.listdir(directory)
    return {name for name in names if name.endswith(SUFFIXES) and not name.startswith(".")}


def _signature(path: Path) -> Signature | None:
    """The signature of a file, links followed; None if there is none or it is no regular file,
    OSError if there is a name, but what it stands for cannot be looked at."""
    try:
        found = path.stat()
    except FileNotFoundError:
        if path.is_symlink():  # it leads nowhere, but it was not removed
            raise
        return None
    return _signature_of(found) if stat.S_ISREG(found.st_mode) else None


def _is_no_file(path: Path) -> bool:
    """Whether there is something that is no regular file, links followed."""
    with contextlib.suppress(OSError):
        return not stat.S_ISREG(path.stat().st_mode)
    return False


def _signature_of(found: os.stat_result) -> Signature:
    return found.st_mtime_ns, found.st_size, found.st_ino


def _content(path: Path) -> tuple[bytes, Signature]:
    """The bytes of a file and its signature after they were read; OSError if it is too large."""
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > MAX_BYTES or len(content := stream.read(MAX_BYTES + 1)) > MAX_BYTES:
            raise OSError(f"larger than {MAX_BYTES >> 20} MiB")
        return content, _signature_of(os.fstat(stream.fileno()))


def _is_same(one: RawObject | None, other: RawObject | None) -> bool:
    if one is None or other is None or one is other:
        return one is other
    # Python takes 1, 1.0 and true for equal; the reader of the object does not.
    return one.body == other.body and _bytes(one) == _bytes(other)


def _bytes(found: RawObject) -> str:
    return json.dumps(found.body, sort_keys=True)


def _reason(error: OSError | ValueError) -> str:
    what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"cannot be read: {what}"


def _shown(path: str | Path) -> str:
    # A file name may be any bytes; notes are printed as UTF-8.
    return str(path).encode("utf-8", "backslashreplace").decode()
