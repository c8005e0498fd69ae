"""What VPP has, in its own words, from files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from srv6kv.errors import InputError
from srv6kv.offline.reading import stdin
from srv6kv.vpp import showsr_read
from srv6kv.vpp.showsr_values import ShowSr


def read_files(paths: Sequence[Path]) -> ShowSr:
    """What was copied into files; ``-`` is standard input."""
    return showsr_read.merged(_read_file(path) for path in paths)


def _read_file(path: Path) -> ShowSr:
    name = "standard input" if str(path) == "-" else str(path)
    try:
        text = stdin() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror}") from None
    try:
        return showsr_read.read(text.decode(errors="replace"))
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
