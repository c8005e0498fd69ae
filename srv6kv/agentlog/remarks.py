"""Remarks on an agent's log: what its reader has to know besides the values."""

from __future__ import annotations

from typing import NamedTuple

from srv6kv.agentlog import entries


class Remark(NamedTuple):
    """Something about a log that its reader has to know.

    Attributes:
        line: where, counted from 1; 0: the whole log.
        is_bad: something that the log should have could not be read.
    """

    line: int
    text: str
    is_bad: bool = False


class _Failure(NamedTuple):
    line: int
    operation: str
    text: str
    times: int


class Remarks:
    """Collects them; of what recurs it keeps one remark a key."""

    def __init__(self) -> None:
        self._remarks: list[Remark] = []
        self._failures: dict[str, _Failure] = {}
        self._left_out: dict[str, set[str]] = {}
        self._last = -1

    def add(self, line: int, text: str, *, is_bad: bool = False) -> None:
        """Add a remark on one line."""
        self._remarks.append(Remark(line, text, is_bad))

    def count(self, line: int, sequence: int) -> None:
        """The number of a transaction: the agent counts all of them, from 0 when it starts."""
        expected = self._last + 1 if sequence > self._last else 0
        self._last = sequence
        if sequence > expected:
            last = f" to #{sequence - 1}" if sequence > expected + 1 else ""
            self.add(
                line,
                f"#{expected}{last} not in the log before #{sequence}: what the agent was given"
                " there is missing, until its next full resync",
            )

    def fail(self, line: int, operation: str, key: str, text: str) -> None:
        """Note an operation that was executed with an error."""
        before = self._failures.get(key)
        times = before.times + 1 if before else 1
        self._failures[key] = _Failure(line, operation, text, times)

    def leave_out(self, key: str) -> None:
        """Note a key of a model that srv6kv does not know."""
        self._left_out.setdefault(entries.model_of(key), set()).add(key)

    def all(self) -> list[Remark]:
        """Return all remarks so far, by line."""
        found = list(self._remarks)
        for model, names in self._left_out.items():
            text = f"{_number_of('key', len(names))} of a kind that srv6kv does not know, left out"
            found.append(Remark(0, f"{model}: {text}"))
        for key, (line, operation, text, times) in self._failures.items():
            often = "" if times == 1 else f" {times} times, here the last time"
            found.append(Remark(line, f"{operation} of {key} failed{often}: {text}"))
        if self._failures:
            total = sum(failure.times for failure in self._failures.values())
            text = f"{_number_of('operation', total)} failed; the values are those that the agent"
            found.append(Remark(0, f"{text} was asked for"))
        return sorted(found)


def _number_of(what: str, number: int) -> str:
    return f"{number} {what}" + ("s" if number != 1 else "")
