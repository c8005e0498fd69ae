"""Writes transaction logs as agents do, in the forms of both generations (agent rule A48).

``LogWriter`` counts transactions as an agent does; its ``text`` is what the agent printed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from srv6kv.agentlog import writer
from srv6kv.ligato.schema import Api, message_of

Values = Sequence[tuple[str, bytes | None]]

WIDTH = 118
START = "2026-11-22 23:27:51.552 +0000 UTC"

NOISE = """\
time="2026-11-22 23:27:51.55201" level=info msg="Transaction #6 successful! (took 1ms)" \
logger=kvscheduler
"""


class Operation(NamedTuple):
    """An operation as it is logged; ``lines`` follow its key."""

    what: str
    key: str
    lines: tuple[str, ...] = ()


def created(key: str, value: bytes, api: Api, flags: str = "", error: str = "") -> Operation:
    """A CREATE of a value."""
    lines = [f"- value: {_text(key, value, api)} "]
    if error:
        lines.append(f"- error: {error}")
    return Operation(f"CREATE{f' [{flags}]' if flags else ''}", key, tuple(lines))


def _text(key: str, value: bytes | None, api: Api) -> str:
    if value is None:
        return writer.NIL
    if message_of(key) is None:
        return " ".join(["{", *_plain(json.loads(value), api), "}"])
    return writer.value_text(key, value, api)


def _plain(value: dict[str, Any], api: Api) -> list[str]:
    """The fields of a message whose type is not known, as the JSON has them."""
    fields = []
    for name, item in value.items():
        if isinstance(item, dict):
            inner = _plain(item, api)
            text = "".join(f"{one} " for one in inner)
            fields.append(f"{name}:<{text}>" if api == "v2" else f"{name}:{{{text.rstrip()}}}")
        else:
            fields.append(f"{name}:{item if name == 'type' else json.dumps(item)}")
    return fields


class LogWriter:
    """An agent's log that grows."""

    def __init__(self, api: Api, sequence: int = 0) -> None:
        self.api = api
        self.text = ""
        self.sequence = sequence

    def change(
        self, values: Values, operations: Iterable[Operation] | None = None, start: str = START
    ) -> None:
        """A transaction from the north; without operations every value was created or deleted."""
        self._add("NBTransaction", "", values, self._done(values, operations), start)

    def resync(
        self,
        state: Mapping[str, bytes],
        gone: Iterable[str] = (),
        kind: str = "Full Resync",
        start: str = START,
    ) -> None:
        """A full resync, or an NB Sync: all values, and a NIL for what is not among them now."""
        values = sorted([*state.items(), *((key, None) for key in gone)])
        self._add("NBTransaction", kind, values, self._done(values, None), start)

    def sb_sync(self) -> None:
        """What an agent of 3.3 or later does first: it has no values."""
        self._add("NBTransaction", "SB Sync", None, [], START)

    def notification(self, key: str, value: bytes = b"{}") -> None:
        """VPP tells something that nobody from the north has asked for."""
        self._add("SBNotification", "", [(key, value)], [], START)

    def retry(self, values: Values, of: int, attempt: int, error: str = "") -> None:
        """Values are tried again, by the agent itself."""
        self._retried = of, attempt
        operations = [
            created(key, value, self.api, "RETRY", error) for key, value in values if value
        ]
        self._add("RetryFailedOps", "", values, operations, START)

    def _done(self, values: Values, operations: Iterable[Operation] | None) -> list[Operation]:
        if operations is not None:
            return list(operations)
        return [
            Operation("DELETE", key, (f"- value: {writer.NIL} ",))
            if value is None
            else created(key, value, self.api)
            for key, value in values
        ]

    def _add(
        self,
        kind: str,
        resync: str,
        values: Values | None,
        operations: list[Operation],
        start: str,
    ) -> None:
        number = self.sequence
        self.sequence += 1
        lines = [*self._header(number, kind, resync), "  * transaction arguments:"]
        word = "seq-num" if self.api == "v2" else "seqNum"
        lines += [f"      - {word}: {number}", f"      - type: {self._type(kind, resync)}"]
        if values is not None:
            lines.append("      - values:" if values else "      - values: NONE")
        for key, value in values or ():
            lines += [f"          - key: {key}", f"            val: {_text(key, value, self.api)}"]
        if kind == "RetryFailedOps":
            lines += ["  * planned operations:", *_operations(operations)]
        lines += ["", f"o{'-' * WIDTH}o", *self._result(operations, start), f"x{'-' * WIDTH}x"]
        lines += [_line(*self._footer(number, kind)), f"x{'-' * WIDTH}x", "", ""]
        self.text += "\n".join(lines)

    def _header(self, number: int, kind: str, resync: str) -> list[str]:
        frame = f"+{'=' * WIDTH}+"
        if self.api == "v2":
            told = f"{kind} ({resync})" if resync else kind
            return [frame, _line(f"Transaction #{number}", told), frame]
        names = {"Full Resync": "FullResync", "NB Sync": "UpstreamResync"}
        info = names.get(resync, "DownstreamResync" if resync else "")
        if kind == "RetryFailedOps":
            info = "retrying failed TXN #{} (attempt {})".format(*self._retried)
        return [frame, _line(f"#{number} - {kind}", info), frame]

    def _footer(self, number: int, kind: str) -> tuple[str, str]:
        told = f"#{number}" if self.api == "v2" else f"#{number} - {kind}"
        return told, "took 400us"

    def _type(self, kind: str, resync: str) -> str:
        pretty = {"NBTransaction": "NB Transaction", "SBNotification": "SB Notification"}
        name = kind if self.api == "v2" else pretty.get(kind, "Retry Transaction")
        if kind == "RetryFailedOps":
            of, attempt = self._retried
            mark = "" if self.api == "v2" else "#"
            return f"{name} (for txn {mark}{of}, attempt #{attempt})"
        return f"{name}, {resync}" if resync else name

    def _result(self, operations: list[Operation], start: str) -> list[str]:
        if not operations:
            return ["  * executed operations:", *_operations(operations)]
        return [
            f"  * executed operations ({start} -> {start}, dur: 0s):",
            *_operations(operations),
        ]


def _line(left: str, right: str) -> str:
    return f"| {left} {right.rjust(WIDTH - 3 - len(left))} |"


def _operations(operations: Sequence[Operation]) -> list[str]:
    if not operations:
        return ["      <NONE>"]
    lines = []
    for number, one in enumerate(operations, start=1):
        lines += [f"      {number}. {one.what}:", f"          - key: {one.key}"]
        lines += [f"          {line}" for line in one.lines]
    return lines
