"""The lines of an agent are found under whatever a container, a collector or a journal adds."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from srv6kv.agentlog.loglines import plain

LINES = [
    "+======================================================================+",
    "| #7 - NBTransaction                                                    |",
    "  * transaction arguments:",
    "          - key: config/vpp/srv6/v2/policy/5555::d765",
    '            val: { bsid:"5555::d765" }',
    "",
    "x #7                                                        took 400us x",
    'time="2026-11-22 23:27:51" level=info msg="Transaction #7 successful!"',
]
TIME = "2026-11-22T23:27:51.552123456Z"

WRAPPINGS: dict[str, Callable[[str], str]] = {
    "as it is": lambda line: line,
    "carriage returns": lambda line: f"{line}\r",
    "docker and kubectl with time stamps": lambda line: f"{TIME} {line}",
    "kubectl with prefix": lambda line: f"[pod/vswitch-x7k2p/vpp-agent] {line}",
    "kubectl with both": lambda line: f"[pod/vswitch-x7k2p/vpp-agent] {TIME} {line}",
    "compose": lambda line: f"vpp-agent-1  | {line}",
    "compose in colour": lambda line: f"\x1b[36mvpp-agent-1  | \x1b[0m{line}",
    "containerd's files": lambda line: f"2026-11-22T23:27:51.552123456+01:00 stdout F {line}",
    "journal": lambda line: f"Nov  2 23:27:51 node1 vpp-agent[4711]: {line}",
    "journal to the microsecond": lambda line: f"Nov 22 23:27:51.552123 node1 docker[7]: {line}",
    "journal, ISO time": lambda line: f"2026-11-22T23:27:51+0000 node1 docker[7]: {line}",
    "journal, whole date": lambda line: f"Sun 2026-11-22 23:27:51 UTC node1 docker[7]: {line}",
    "journal, seconds": lambda line: f"1795390071.552123 node1 docker[7]: {line}",
    "journal, since the start": lambda line: f"[  123.552123] node1 docker[7]: {line}",
    "docker service": lambda line: f"vpp_agent.1.x7k2p@node1    | {line}",
    "docker's files": lambda line: json.dumps(
        {"log": f"{line}\n", "stream": "stdout", "time": TIME}
    ),
    "a collector": lambda line: json.dumps({"kubernetes": {"pod": "x"}, "message": line}),
    "journal as JSON": lambda line: json.dumps({"MESSAGE": line, "PRIORITY": "6"}),
    "journal as JSON, bytes": lambda line: json.dumps({"MESSAGE": list(line.encode())}),
}


@pytest.mark.parametrize("wrapped", WRAPPINGS.values(), ids=WRAPPINGS.keys())
def test_wrappings(wrapped: Callable[[str], str]) -> None:
    """Every line comes out as the agent printed it, with its number."""
    found = list(plain(f"{wrapped(line)}\n" for line in LINES))

    assert found == list(enumerate(LINES, start=1))


def test_several_lines_in_one_of_json() -> None:
    """A text of several lines in one line of JSON is several lines, all with its number."""
    text = json.dumps({"level": "info", "msg": "\n".join(LINES)})

    assert list(plain([text])) == [(1, line) for line in LINES]


def test_a_text_of_json() -> None:
    """A whole answer that is one JSON string is its lines."""
    assert list(plain([json.dumps("\n".join(LINES))])) == [(1, line) for line in LINES]


def test_byte_order_mark() -> None:
    """A mark at the very beginning does not hide what follows."""
    assert list(plain([f"\ufeff{TIME} {LINES[2]}\n"])) == [(1, LINES[2])]


def test_a_line_that_containerd_has_cut() -> None:
    """Parts of a long line are put together, also with a line of the other stream in between."""
    parts = [
        f"{TIME} stdout P {LINES[3][:20]}",
        f"{TIME} stderr F panic",
        f"{TIME} stdout P {LINES[3][20:30]}",
        f"{TIME} stdout F {LINES[3][30:]}",
        f"{TIME} stdout F {LINES[4]}",
    ]

    assert list(plain(parts)) == [(2, "panic"), (1, LINES[3]), (5, LINES[4])]


def test_a_line_that_docker_has_cut() -> None:
    """Docker cuts lines at 16 KiB; only the last part of a line has a newline."""
    line = "            val: " + "x" * 40_000
    texts = [line[:16384], line[16384:32768], line[32768:] + "\n", "next\n"]
    parts = [json.dumps({"log": text, "stream": "stdout", "time": TIME}) for text in texts]

    assert list(plain(parts)) == [(1, line), (4, "next")]


def test_a_line_whose_rest_never_came() -> None:
    """What there is of a cut line is passed on when the log ends."""
    assert list(plain([f"{TIME} stdout P val"])) == [(1, "val")]


@pytest.mark.parametrize(
    "line",
    [
        '{"a":1}',
        '{"msg":7}',
        '{"cut',
        "[x] not a pod's name | y",
        "2026-11-22 23:27:51 with a blank",
        "x | 7",
        "{ 1 }",
        '{"MESSAGE":[256]}',
        '{"MESSAGE":["x"]}',
        f"{TIME} - key: x",
    ],
)
def test_what_is_no_wrapping(line: str) -> None:
    """Other lines keep what says something: at least no text gets lost."""
    ((number, found),) = plain([line])

    assert number == 1
    assert line.endswith(found)
    assert found
