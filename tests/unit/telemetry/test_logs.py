"""Log lines: one for a decision, whatever a name brings along."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator

import pytest

from srv6kv.errors import Unavailable
from srv6kv.notes import Note, Reason, Subject
from srv6kv.telemetry import logs
from srv6kv.telemetry.logs import tell
from srv6kv.telemetry.progress import Progress

log = logging.getLogger("srv6kv")
NOTE = Note(
    Subject("Service", "a/b\nERROR forged"), Reason.MALFORMED, "evil \x1b[31m\u2028\x85text"
)


@pytest.fixture(autouse=True)
def _own_handlers() -> Iterator[None]:
    """The root logger is afterwards as it was."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    root.handlers = []
    yield
    root.handlers, root.level = before
    logging.captureWarnings(False)


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines on standard error since the last call."""
    return capsys.readouterr().err.splitlines()


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    """Text is time, level, and the text or the name with its fields."""
    logs.start("info", "text")
    tell(log, logging.INFO, "sync", put=3, rev=7, why="a b", none="")
    tell(log, logging.WARNING, "warning", "warning so and so", reason="One")
    tell(log, logging.DEBUG, "in sync", rev=7)
    first, second = told(capsys)

    assert first.endswith(" INFO sync put=3 rev=7 why='a b' none=''")
    assert second.endswith(" WARNING warning so and so")


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON is one object a line: ts, level, msg and the fields."""
    logs.start("debug", "json")
    tell(log, logging.INFO, "sync", put=3, rev=7)
    tell(log, logging.WARNING, "warning", "warning so and so", reason="One")
    log.debug("plain %s", "line")
    lines = [json.loads(line) for line in told(capsys)]
    times = [line.pop("ts") for line in lines]

    assert lines == [
        {"level": "info", "msg": "sync", "put": 3, "rev": 7},
        {"level": "warning", "msg": "warning", "reason": "One"},
        {"level": "debug", "msg": "plain line"},
    ]
    assert all(time.endswith("Z") and len(time) == 24 for time in times)


def test_a_trace_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    """What other libraries log with a traceback is one object as well."""
    logs.start("info", "json")
    try:
        raise ValueError("x")
    except ValueError:
        logging.getLogger("other").exception("went wrong")
    (line,) = told(capsys)

    assert json.loads(line)["msg"] == "went wrong"
    assert "ValueError: x" in json.loads(line)["trace"]


@pytest.mark.parametrize("form", logs.FORMATS)
def test_warnings_of_libraries(capsys: pytest.CaptureFixture[str], form: str) -> None:
    """What a library warns of is a log line like any other."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logs.start("info", form)
        warnings.warn("an old way\nto do it", FutureWarning, stacklevel=1)
    (line,) = told(capsys)

    assert "an old way" in (json.loads(line)["msg"] if form == "json" else line)


@pytest.mark.parametrize("form", logs.FORMATS)
def test_text_that_cannot_be_encoded(capsys: pytest.CaptureFixture[str], form: str) -> None:
    """Bytes of a file's name that are no UTF-8 do not spoil a line."""
    logs.start("info", form)
    tell(log, logging.INFO, "settings", file="a\udcff\n.conf")
    (line,) = told(capsys)

    assert "a\\udcff" in line
    if form == "json":
        assert json.loads(line)["file"] == "a\udcff\n.conf"


@pytest.mark.parametrize("form", logs.FORMATS)
def test_a_name_cannot_begin_a_line(capsys: pytest.CaptureFixture[str], form: str) -> None:
    """A note about an object with control characters in its name is one line."""
    logs.start("info", form)
    Progress().notes({NOTE})
    (line,) = told(capsys)

    assert line.isprintable() or form == "json"
    assert "\x1b" not in line
    if form == "json":
        assert json.loads(line)["subject"] == str(NOTE.subject)


def test_an_outage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The same trouble again is said at debug level only, until all was well once."""
    logs.start("info", "json")
    progress = Progress()
    for number in range(3):
        progress.failed(Unavailable(f"try {number}"))
    (line,) = told(capsys)

    assert json.loads(line)["kind"] == "Unavailable"
    assert json.loads(line)["stage"] == "writer"
    assert (
        progress.telemetry.registry.get_sample_value(
            "srv6kv_sync_failures_total", {"stage": "writer"}
        )
        == 3
    )
