"""The exceptions of srv6kv: one line for the operator, an exit code for the command."""

from __future__ import annotations


class Srv6kvError(Exception):
    """Base of all; ``exit_code`` is what a command ends with."""

    exit_code = 2


class SettingsError(Srv6kvError):
    """Settings that are refused; the text names file, line and key."""


class InputError(Srv6kvError):
    """An input file, recording or argument that cannot be read; the text names file and line."""


class Unavailable(Srv6kvError):
    """A server is out of reach, or its answer was lost: what was asked may or may not be done."""

    exit_code = 3


class Conflict(Srv6kvError):
    """A guard did not hold: another writer was first, or the writer key is not ours any more."""

    exit_code = 1


class LimitsLowered(Conflict):
    """Nothing was written, as the server takes less at once: plan again in smaller transactions."""


class Refused(Srv6kvError):
    """The server understood and said no: permissions, size, authentication, quota."""

    exit_code = 3


class TooLarge(Refused):
    """The server, or a proxy before it, takes smaller requests or answers only."""
