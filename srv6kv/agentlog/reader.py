"""Reads an agent's log, or the text of its transaction history, into what it was given.

Rule: what is whole is kept. Whatever is cut, lost or unreadable is a remark with its line, never
an exception. Only northbound transactions count: a retry and a notification repeat or report
something, and an SB sync has no values (agent rule A48).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from srv6kv.agentlog import entries, loglines, writer
from srv6kv.agentlog.entries import Kind, Logged, Stage
from srv6kv.agentlog.remarks import Remark, Remarks
from srv6kv.ligato import schema

_SEQUENCE = re.compile(r"\d{1,18}$")
_OTHER_LOGGERS = ('time="', '{"', "level=")
"""How a line of the agent's own logger begins."""


@dataclass(slots=True)
class _Open:
    """The transaction that is being read.

    Attributes:
        is_fragment: it began without any header: a cut log, or lines that were cut out.
        has_values: the log says that its values follow, or that there are none.
        is_closed: something followed the last value, so none is missing.
        has_result: its execution was logged with a frame around it, which has to end.
        key: a key whose value or error is to come, with its line.
        text: the beginning of a value that is not complete yet.
    """

    logged: Logged
    stage: Stage = Stage.ARGUMENTS
    header: str = ""
    is_fragment: bool = False
    has_kind: bool = False
    has_values: bool = False
    is_closed: bool = False
    has_result: bool = False
    key: tuple[int, str] | None = None
    text: str = ""


class LogReader:
    """Reads one log; ``remarks`` is complete when ``read`` has come to its end.

    Attributes:
        labels: the labels that keys of the log began with.
    """

    def __init__(self) -> None:
        self.labels: set[str] = set()
        self._remarks = Remarks()
        self._open: _Open | None = None
        self._header: tuple[int, str, str] | None = None
        self._operation = ""

    def read(self, log: Iterable[str]) -> Iterator[Logged]:
        """Yield the northbound transactions in the order of the log; keeps one at a time."""
        for number, line in loglines.plain(log):
            if (done := self._read_line(number, line)) is not None:
                yield done
        if (done := self._close(0)) is not None:
            yield done
        if self._header is not None:
            start, sequence, _ = self._header
            self._remarks.add(start, f"the log ends after the header of transaction #{sequence}")

    def remarks(self) -> list[Remark]:
        """Return the remarks on what was read so far, by line."""
        return self._remarks.all()

    # Lines --------------------------------------------------------------------------------------

    def _read_line(self, number: int, line: str) -> Logged | None:
        """A line; the transaction before it, if that ends here."""
        text = line.strip()
        match text[:1]:
            case "":
                if self._open is not None and self._open.key is None:
                    self._open.is_closed = True
            case "-" if text[1:2] == " ":
                return self._read_item(number, text, line)
            case "v" if text.startswith("val:"):
                self._read_value(number, line.partition("val:")[2])
            case "*" if text == "* transaction arguments:":
                return self._begin(number)
            case "*" if stage := entries.section_of(text):
                self._leave_values(number)
                if self._open is not None:
                    self._open.stage = stage
                    if stage is Stage.EXECUTED:
                        self._open.logged.time = entries.time_of(text)
            case "+" | "o" | "x" | "|" if self._read_frame(number, text):
                pass
            case _ if text[0].isdigit() and (found := entries.OPERATION.match(text)):
                self._operation = found[1]
                self._leave_values(number)
            case _:
                self._continue_value(line)
        return None

    def _read_item(self, number: int, text: str, line: str) -> Logged | None:
        """A line ``- <word>: <rest>``."""
        word, _, rest = text[2:].partition(":")
        rest, now = rest.strip(), self._open
        match word:
            case "key":
                return self._read_key(number, rest)
            case "value" | "prev-value" | "new-value":
                self._leave_values(number)
            case "error":
                if now is not None and now.stage is Stage.EXECUTED and now.key is not None:
                    self._remarks.fail(number, self._operation, now.key[1], rest)
            case "seqNum" | "seq-num" if _SEQUENCE.match(rest):
                done = self._expect_arguments(number)
                if self._open is not None:
                    self._open.logged.sequence = int(rest)
                self._remarks.count(number, int(rest))
                return done
            case "values" if rest in ("", "NONE"):
                done = self._expect_arguments(number)
                if (now := self._open) is not None:
                    now.stage, now.has_values, now.is_closed = Stage.VALUES, True, rest == "NONE"
                return done
            case "type" if now is None or now.stage in (Stage.ARGUMENTS, Stage.DONE):
                done = self._expect_arguments(number)
                if (now := self._open) is not None:
                    now.logged.kind, now.has_kind = entries.kind_of(rest, now.header), True
                return done
            case _:
                self._continue_value(line)
        return None

    def _read_frame(self, number: int, text: str) -> bool:
        """Whether it is part of a frame; a header or footer has number and type."""
        now = self._open
        if found := entries.HEADER.match(text):
            if not found[3].startswith("took "):
                self._header = number, found[1], found[3]
            elif now is not None and not now.has_kind and found[2] not in (None, "NBTransaction"):
                now.logged.kind = Kind.OTHER
            return True
        if entries.FRAME.match(text) is None:
            return False
        self._leave_values(number)
        if now is not None:
            now.has_result |= text[0] == "o"
            now.stage = Stage.DONE if text[0] == "x" else now.stage
        return True

    # Stages -------------------------------------------------------------------------------------

    def _expect_arguments(self, number: int) -> Logged | None:
        """Arguments of a transaction whose beginning is not in the log begin another one."""
        if self._open is None or self._open.stage is not Stage.ARGUMENTS:
            return self._begin(number)
        return None

    def _begin(self, number: int) -> Logged | None:
        done = self._close(number)
        header = self._header[2] if self._header is not None else ""
        self._open, self._header = _Open(Logged(number), header=header), None
        return done

    def _leave_values(self, number: int) -> None:
        """Here comes what never stands among values."""
        now = self._open
        if now is None or now.stage is not Stage.VALUES:
            return
        if not now.is_fragment:
            self._drop_value(now, is_bad=True)
        now.key, now.text, now.is_closed, now.stage = None, "", True, Stage.PLANNED
        if now.is_fragment and not now.logged.values:
            self._open = None  # its lines were those of an operation

    def _close(self, number: int) -> Logged | None:
        """The transaction that ends; ``number`` is 0 where the log ends, too."""
        now, self._open = self._open, None
        if now is None:
            return None
        logged = now.logged
        if now.stage is Stage.VALUES:
            self._drop_value(now, is_bad=number > 0 and not now.is_fragment)
        if logged.kind is Kind.OTHER:
            return None
        if now.is_fragment:
            if number > 0 or now.stage is not Stage.VALUES:
                self._remarks.add(logged.line, "here begins what is left of a transaction")
            return logged if logged.values else None
        if not now.has_values:
            self._remarks.add(
                logged.line, f"{logged.name} is cut before its values", is_bad=number > 0
            )
            return None
        if not now.is_closed:
            self._remarks.add(logged.line, f"the log is cut within the values of {logged.name}")
            logged.kind = Kind.CHANGE  # a reader that does not see all of them deletes none
        elif number == 0 and now.has_result and now.stage is not Stage.DONE:
            self._remarks.add(logged.line, f"the log ends within the operations of {logged.name}")
        return logged

    # Keys and values ----------------------------------------------------------------------------

    def _read_key(self, number: int, key: str) -> Logged | None:
        done = None
        if self._open is None or self._open.stage is Stage.DONE:
            done = self._close(number)
            self._open = _Open(Logged(number), Stage.VALUES, is_fragment=True)
        now = self._open
        if now.stage is Stage.ARGUMENTS:
            return done  # a line of the description
        if now.stage is Stage.VALUES:
            self._drop_value(now, is_bad=True)
            now.is_closed = False
        label, short = entries.parted(key)
        if label:
            self.labels.add(label)
        now.key = number, short
        return done

    def _drop_value(self, now: _Open, *, is_bad: bool) -> None:
        """The value of the last key, if there was one, is not wholly in the log."""
        if now.key is not None and now.logged.kind is not Kind.OTHER:
            line, key = now.key
            what = "is cut off" if now.text else "is missing"
            self._remarks.add(line, f"the value of {key} {what}", is_bad=is_bad)
            now.logged.unreadable.add(key)
        now.key, now.text = None, ""

    def _read_value(self, number: int, text: str) -> None:
        now = self._open
        if now is None:
            self._remarks.add(number, "here begins what is left of a transaction: a value")
        elif now.stage is Stage.VALUES:
            if now.text:
                self._drop_value(now, is_bad=True)
            if now.key is None:
                self._remarks.add(number, "a value without a key", is_bad=True)
            else:
                self._read(now, text)

    def _read(self, now: _Open, text: str) -> None:
        """The value of the last key, or, if brackets are open, the beginning of it."""
        assert now.key is not None
        line, key = now.key
        if now.logged.kind is not Kind.OTHER:
            if schema.message_of(key) is None:
                self._remarks.leave_out(key)
            else:
                try:
                    value = writer.parse_value(key, text)
                    entries.refuse_other(key, value)
                    now.logged.values.append((key, value))
                except ValueError as error:
                    if entries.is_open(text):
                        now.text = text or " "
                        return
                    self._remarks.add(line, f"cannot be read: {error}", is_bad=True)
                    now.logged.unreadable.add(key)
        now.key, now.text = None, ""

    def _continue_value(self, line: str) -> None:
        """Append a line to the value that is open; without one, skip it."""
        now = self._open
        if now is not None and now.text and not line.lstrip().startswith(_OTHER_LOGGERS):
            self._read(now, now.text + line)
