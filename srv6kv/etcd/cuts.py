"""The limits of a server, measured by what it refused and what was lost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from srv6kv.txn.limits import DEFAULT, Limits, size_of
from srv6kv.txn.transaction import Operation

SMALL_BYTES = 1 << 12
"""What is not larger passes every proxy."""
FEW_LOSSES = 2
MANY_LOSSES = 4
"""For one value alone, which would be left out then."""
GUESS_SECONDS = 600.0
"""So long a limit holds that was guessed from losses, which an outage explains as well."""


class Cuts:
    """The limits of one server.

    A refusal says what it is about. A proxy that ends the connection, or drops what is too large
    for it, says nothing: large commits that are lost again and again, with reads that are answered
    in between, are taken for that.
    """

    def __init__(self) -> None:
        self._limits = DEFAULT
        self._guess: Limits | None = None
        self._until = 0.0
        self._losses = 0
        self._is_guessing = False

    @property
    def limits(self) -> Limits:
        """The limits that hold now."""
        if self._guess is not None and time.monotonic() > self._until:
            self._guess = None
        return self._guess or self._limits

    def operations(self, taken: int) -> None:
        """Lower the number of operations on one level."""
        self._limits = replace(self._limits, operations=taken)
        self._guess = replace(self._guess, operations=taken) if self._guess is not None else None

    def measured(self, request: int, operations: Sequence[Operation]) -> None:
        """The server takes requests of so many bytes, and not these operations."""
        lowered = self._limits.within(request)
        # The measure is of one value; many keys may need more room beside them.
        is_kept = lowered == self._limits or size_of(operations) <= min(lowered.size, lowered.value)
        self._limits, self._guess = lowered.smaller(operations) if is_kept else lowered, None

    def lost(self, operations: Sequence[Operation]) -> None:
        """Count a commit of these operations whose answer was lost."""
        if size_of(operations) <= SMALL_BYTES:
            return
        self._losses += 1
        # Once it was guessed, what is lost next was still too large.
        few = 1 if self._is_guessing else FEW_LOSSES
        if self._losses >= (MANY_LOSSES if len(operations) == 1 else few):
            self._guess = self.limits.smaller(operations)
            self._until = time.monotonic() + GUESS_SECONDS
            self._losses, self._is_guessing = 0, True

    def passed(self) -> None:
        """Forget losses, as a commit was answered."""
        self._losses, self._is_guessing = 0, False
