"""What VPP has, in its own words: from files, from ``vppctl``, or through the agent."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from srv6kv.errors import InputError, Unavailable
from srv6kv.offline.reading import stdin
from srv6kv.vpp import showsr_read
from srv6kv.vpp.showsr_values import COMMANDS, SECTIONS, ShowSr

SECONDS = 10.0
"""How long one command may take."""
_SOURCE = "show sr encaps source addr"
"""Since VPP 21.01."""

Ask = Callable[[str], str]


def read_files(paths: Sequence[Path]) -> ShowSr:
    """What was copied into files; ``-`` is standard input.

    Raises:
        InputError: a file cannot be read; names file and line.
    """
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


def ask(command: Ask, name: str) -> ShowSr:
    """What VPP says when it is asked.

    Args:
        command: gives what VPP prints for one of its commands.
        name: of what is asked, for errors.

    Raises:
        Unavailable: it is out of reach, or its answer makes no sense.
    """
    name = " ".join(name.split())
    parts = []
    for section, text in zip(SECTIONS, COMMANDS, strict=True):
        try:
            shown = showsr_read.read(command(text))
        except InputError as error:
            raise Unavailable(f"{name}: {text!r}: {error}") from None
        if getattr(shown, section) is None:
            raise Unavailable(f"{name}: {text!r}: VPP did not show its {section}")
        parts.append(shown)
    with suppress(InputError, Unavailable):  # an older VPP does not know it
        parts.append(showsr_read.read(command(_SOURCE)))
    return showsr_read.merged(parts)


def vppctl(command: str) -> Ask:
    """Asks by running a command line with the words of VPP's command behind it.

    Raises:
        InputError: it is no command line.
    """
    try:
        program = shlex.split(command)
    except ValueError as error:
        raise InputError(f"--vppctl: {command!r}: {error}") from None
    if not program:
        raise InputError("--vppctl: it is empty")
    return lambda text: _run([*program, *text.split()], " ".join(command.split()))


def _run(arguments: Sequence[str], name: str) -> str:
    try:
        done = subprocess.run(
            arguments, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{name}: no answer within {SECONDS:.0f} s") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise Unavailable(f"{name}: cannot be run: {why}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").split("\n")
        why = next((" ".join(line.split()) for line in said if line.strip()), "")
        raise Unavailable(f"{name}: ended with {done.returncode} {why[:200]}".rstrip())
    return done.stdout.decode(errors="replace")
