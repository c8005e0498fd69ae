"""What VPP has, asked through ``vppctl`` or the agent."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress

from srv6kv.agent.rest import AgentRest
from srv6kv.errors import InputError, Unavailable
from srv6kv.vpp import showsr_read
from srv6kv.vpp.showsr_values import COMMANDS, SECTIONS, ShowSr

SECONDS = 10.0
"""How long one command may take."""
_SOURCE = "show sr encaps source addr"
"""Since VPP 21.01."""

Ask = Callable[[str], str]


def ask(command: Ask, name: str) -> ShowSr:
    """Ask VPP for its SRv6 objects; ``name`` says for errors who is asked. The policies come last:
    VPP 23.06 leaks memory whenever it shows them.

    Raises:
        Unavailable: it is out of reach, or its answer makes no sense.
    """
    name = " ".join(name.split())
    parts = []
    questions = zip(SECTIONS, COMMANDS, strict=True)
    for section, text in sorted(questions, key=lambda question: question[0] == "policies"):
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


def encap_source(command: Ask) -> str | None:
    """Ask VPP for the source of encapsulated packets; None: it does not tell.

    Raises:
        Unavailable: it is out of reach.
    """
    try:
        return showsr_read.read(command(_SOURCE)).encap_source
    except InputError:
        return None


def vppctl(command: str) -> Ask:
    """Make a function that runs a command line with the words of VPP's command behind it."""
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


def interface_names(rest: AgentRest) -> tuple[dict[str, str], str]:
    """Ask the agent for VPP's names of its interfaces.

    Returns:
        The agent's names to VPP's, and why it does not tell them; "" if it does.
    """
    try:
        return rest.interface_names(), ""
    except Unavailable as error:
        return {}, f"the agent cannot tell their names in VPP: {error}"
