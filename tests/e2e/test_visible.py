"""Whatever a name, an argument or a server brings along, a terminal shows it and obeys nothing."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from processes import AGENT_STATE, NODE, SEED, environment, srv6kv

import srv6kv as package
from srv6kv.foreign import visible
from srv6kv.txn import recording
from srv6kv.txn.recording import Recorded
from srv6kv.txn.transaction import FullKey, Operation, Transaction

ROOT = Path(package.__file__).parent
CONTROLS = (
    *map(chr, (*range(0x20), *range(0x7F, 0xA0), 0xAD, 0x061C)),
    *map(chr, (*range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070))),
    *("\ufeff", "\ud800", "\udfff", "\U000e0041"),
)
"""C0, DEL, C1, marks without width or of direction, a byte-order mark, halves of pairs, a tag."""
EVIL = "a\x1b[2J\x07\x9b\u202e\u2066\u200b\x7f"
ESCAPED = "a\\x1b[2J\\x07\\x9b\\u202e\\u2066\\u200b\\x7f"


def is_clean(text: str) -> bool:
    """Whether a terminal shows all of it: lines of characters that can be seen."""
    return visible.block(text) == text and not any(
        one in text for one in CONTROLS if one not in "\n\t"
    )


@pytest.mark.parametrize("one", CONTROLS, ids=lambda one: f"{ord(one):04x}")
def test_one_character(one: str) -> None:
    """It is an escape that names it; in JSON one that stands for it."""
    assert visible.line(f"a{one}b").isprintable()
    assert f"{ord(one):02x}" in visible.line(one)
    assert visible.line(one).isascii()
    assert json.loads(visible.encode({"a": one})) == {"a": one}
    assert visible.encode({"a": one}).isascii()


def test_what_can_be_seen_stays() -> None:
    """Letters of all scripts, signs and blanks are as they were."""
    text = "web-1 [fd00::5] <\\> Straße 東京 عربى é 😀"

    assert visible.line(text) == visible.block(text) == text


def test_a_block_keeps_its_lines() -> None:
    """Newlines and tabs of several lines are meant; those of one are not."""
    assert visible.block("a\n\tb\r") == "a\n\tb\\x0d"
    assert visible.line("a\n\tb\r") == "a\\x0a\\x09b\\x0d"


@given(st.text(), st.text(alphabet=st.sampled_from(CONTROLS)))
def test_any_text(text: str, evil: str) -> None:
    """Nothing hidden is left, and JSON means the same as before."""
    value = {"a": [text + evil, evil + text]}

    assert is_clean(visible.block(text + evil))
    assert "\n" not in visible.line(text + evil)
    assert is_clean(visible.encode(value))
    assert json.loads(visible.encode(value)) == value


PRINTERS = {"cli/terminal.py"}


def _prints(path: Path) -> bool:
    """Whether a module writes to standard output or standard error, or has rich do it."""
    names = {"click.echo", "click.secho", "print", "sys.stdout.write", "sys.stderr.write"}
    calls = [item for item in ast.walk(ast.parse(path.read_text())) if isinstance(item, ast.Call)]
    texts = {ast.unparse(item.func) for item in calls}
    return bool(texts & names) or any(text.endswith("console.print") for text in texts)


def test_nothing_else_prints() -> None:
    """One module does; a tree is made as text first."""
    found = {
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        if "gen" not in path.parts and _prints(path)
    }

    assert found == PRINTERS | {"show/trees.py"}


def test_rich_gets_nothing_hidden() -> None:
    """Cells and branches are made where they are shown as they are."""
    found = {
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        if "gen" not in path.parts
        for item in ast.walk(ast.parse(path.read_text()))
        if isinstance(item, ast.Call) and ast.unparse(item.func) == "Text"
        if "visible." not in ast.unparse(item)
    }

    assert found == set()


FILES = ("-f", SEED / "manifests", "--config", SEED / "contiv.conf", "--node", NODE)


@pytest.mark.parametrize(
    "arguments",
    [
        ("explain", f"default/{EVIL}", *FILES),
        ("render", *FILES[:4], "--node", EVIL),
        ("render", "-f", f"/nowhere/{EVIL}", *FILES[2:]),
        ("render", *FILES, "--output", EVIL),
        ("render", *FILES, f"--{EVIL}"),
        ("render", *FILES, "--agent-state", f"/nowhere/{EVIL}"),
        ("render", *FILES[:2], "--config", f"/nowhere/{EVIL}", "--node", NODE),
        ("trace", EVIL, *FILES[:4]),
        ("get", "policies", "--label", EVIL),
        ("get", EVIL),
        ("replay", f"/nowhere/{EVIL}", "--convert"),
        ("verify", "--label", "n", "--etcd", EVIL),
        ("doctor", "--label", EVIL),
        (EVIL,),
    ],
    ids=range(14),
)
def test_arguments_in_errors(arguments: tuple[str | Path, ...]) -> None:
    """An error names what it was given so that it can be seen."""
    done = subprocess.run(
        [sys.executable, "-m", "srv6kv", *map(str, arguments)],
        capture_output=True,
        env=environment(),
    )
    said = done.stderr.decode()

    assert done.returncode == 2
    assert is_clean(said)
    assert "Traceback" not in said


def test_an_argument_that_is_not_utf8() -> None:
    """Bytes of an argument are shown, in whatever encoding the terminal has."""
    for more in ({}, {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}):
        done = subprocess.run(
            [sys.executable, "-m", "srv6kv", "replay", b"/nowhere/\xff\xe2\x80\xae", "--convert"],
            capture_output=True,
            env=environment(**more),
        )

        assert done.returncode == 2
        assert done.stderr.startswith(b"srv6kv: /nowhere/\\udcff\\u202e: ")


def _evil_manifests(folder: Path) -> Path:
    """The sample cluster with an odd object: its name is in a note, its file's too."""
    for file in (SEED / "manifests").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": EVIL}, "spec": {}}
    (folder / "evil.json").write_text(json.dumps(body))
    (folder / "bad\x1b[31m.yaml").write_text("a: [")
    return folder


@pytest.mark.parametrize("output", ["jsonl", "table", "txn", "vpp", "log"])
def test_notes(tmp_path: Path, output: str) -> None:
    """A note names an odd object and an odd file so that they can be seen."""
    done = srv6kv(
        *("render", "-f", _evil_manifests(tmp_path), *FILES[2:]),
        *("--agent-state", AGENT_STATE, "--output", output),
    )

    assert ESCAPED in done.stderr
    assert "bad\\x1b[31m.yaml" in done.stderr
    assert is_clean(done.stdout)
    assert is_clean(done.stderr)


def test_json_is_ascii_there(tmp_path: Path) -> None:
    """JSON has escapes for what cannot be seen, and stands for the same names."""
    done = srv6kv("render", "-f", _evil_manifests(tmp_path), *FILES[2:], "--output", "json")

    assert is_clean(done.stdout)
    assert any(EVIL in note["subject"] for note in json.loads(done.stdout)["warnings"])


def test_a_recording_that_is_printed(tmp_path: Path) -> None:
    """A recording on a terminal can be seen, and still replays to the same keys and values."""
    value = json.dumps({"name": EVIL}, ensure_ascii=False).encode()
    written = Transaction((Operation(FullKey(f"/vnf-agent/n/config/{EVIL}"), value, 0),))
    (tmp_path / "a.txn").write_text(recording.dump(Recorded(1, written)))
    done = srv6kv("replay", tmp_path / "a.txn", "--convert")
    ((again,),) = (one.transaction.operations for one in recording.load(done.stdout))

    assert is_clean(done.stdout)
    assert again.key == written.operations[0].key
    assert json.loads(again.value or b"") == {"name": EVIL}
