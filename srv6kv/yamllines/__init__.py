"""YAML and JSON text as values that know their line.

Rule: what comes out is JSON. The parser of PyYAML gives events; documents are built from them here,
without recursion and with limits, so that no text can hang or crash the process: PyYAML's own
composer recurses as deep as the text nests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import yaml

from srv6kv import errors
from srv6kv.yamllines import scalars
from srv6kv.yamllines.scalars import Scalar

MAX_DEPTH = 200  # the deepest CustomResourceDefinitions nest about 60
MAX_COPIES = 100_000  # values behind aliases: no hand-written manifest comes near
_LOOKAHEAD = 2000  # characters: libyaml reads 1,024 ahead for the end of a key

Plain: TypeAlias = "Scalar | dict[str, Plain] | list[Plain]"

_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
_NO_YAML = "not valid YAML"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = re.compile(
    "[^\x09\x0a\x0d\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)
_BREAKS_OF_YAML = re.compile("[\x85\u2028\u2029]")
_JSON_TOKEN = re.compile(
    r'[ \t\r\n]*(?:(?P<mark>[\[\]{},:])|(?P<text>"(?:[^"\\]|\\.)*")|(?P<word>[^\s\[\]{},:"]+))'
)


class TextError(errors.InputError):
    """A text that is no YAML or JSON, or more than this program reads: its line, and the
    problem."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Node:
    """One value and where it stands, lines counted from 1.

    Attributes:
        line: of its key in a mapping, else of its own beginning.
        text_line: of the first line of a text's content; a block begins below its ``|``.
        is_verbatim: whether the lines of a text are lines of the file (a ``|`` block).
    """

    value: Scalar | dict[str, Node] | list[Node]
    line: int
    text_line: int
    is_verbatim: bool = False

    def plain(self) -> Plain:
        """The value without lines."""
        match self.value:
            case dict(entries):
                return {key: node.plain() for key, node in entries.items()}
            case list(items):
                return [node.plain() for node in items]
            case scalar:
                return scalar

    def at(self, *path: str) -> Node | None:
        """The node under these keys, each in the mapping under the one before."""
        found: Node | None = self
        for key in path:
            found = found.value.get(key) if found and isinstance(found.value, dict) else None
        return found

    def value_at(self, *path: str) -> object:
        """The value of the node under these keys; None also if there is none."""
        found = self.at(*path)
        return found.value if found else None


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A text inside a document, such as the contiv.conf of a ConfigMap, and the file and line where
    it begins.

    Attributes:
        is_verbatim: whether its lines are lines of that file; else all of it counts as one line.
    """

    text: str
    name: str
    line: int
    is_verbatim: bool


def documents(text: str) -> list[Node]:
    """The documents of a text, empty ones included as null; none if it holds comments only.
    TextError if it is no YAML or JSON, has a key twice or a foreign tag, or is beyond the
    limits."""
    text = text.removeprefix("\ufeff")
    if not text.strip():
        return []
    # To YAML these end a line, also within a text; to JSON they are characters like others.
    is_json = looks_like_json(text) and _BREAKS_OF_YAML.search(text) is not None
    if is_json and (found := _from_json(text)):
        return found
    try:
        return _from_yaml(text)
    except TextError as refused:
        # Legal JSON that YAML refuses: tabs, surrogate pairs, long keys, DEL.
        if looks_like_json(text) and (found := _from_json(text)):
            return found
        raise refused


def looks_like_json(text: str) -> bool:
    """Whether the first character opens a JSON object or array."""
    return text.lstrip()[:1] in ("{", "[")


def _from_yaml(text: str) -> list[Node]:
    if bad := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, bad.start()) + 1
        raise TextError(line, f"character {bad.group()!a} is not allowed")
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            _feed(builder, event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if mark and _is_too_deep(text, mark.index):
            raise TextError(mark.line + 1, _TOO_DEEP) from None
        last = text.rstrip().count("\n") + 1  # the parser may point behind the end
        raise TextError(min(mark.line + 1 if mark else 1, last), _one_line(error)) from None
    except yaml.YAMLError as error:  # pragma: no cover  its only case is looked for above
        raise TextError(1, f"{_NO_YAML}: {' '.join(str(error).split())}") from None
    return builder.documents


def _is_too_deep(text: str, index: int) -> bool:
    """Whether the parser gave up at one more bracket while more are open than are read here.

    It reads ahead for the end of a key, so it may meet a limit of its own (1,000 levels in PyYAML
    6.0.4) before it gives an event for the first of them.
    """
    near = text[max(0, index - _LOOKAHEAD) : index + 1]
    opened = sum(map(near.count, "[{")) - sum(map(near.count, "]}"))
    return near.endswith(("[", "{")) and opened > MAX_DEPTH


def _one_line(error: yaml.MarkedYAMLError) -> str:
    """Our verdict, then the parser's words, which differ from version to version."""
    words = [" ".join(part.split()) for part in (error.problem, error.context) if part]
    return f"{_NO_YAML}: {', '.join(words)}"


def _feed(builder: _Builder, event: yaml.Event) -> None:
    line = event.start_mark.line + 1 if event.start_mark else 1
    match event:
        case yaml.ScalarEvent():
            value = _scalar(event, line)
            is_plain = bool(event.implicit[0]) and event.tag is None
            below = event.style in ("|", ">")
            node = Node(value, line, line + below, event.style == "|")
            builder.scalar(event.value, node, is_plain, event.anchor)
        case yaml.AliasEvent():
            builder.alias(event.anchor or "", line)
        case yaml.MappingStartEvent():
            _check_tag(event.tag, "map", line)
            builder.open({}, line, event.anchor)
        case yaml.SequenceStartEvent():
            _check_tag(event.tag, "seq", line)
            builder.open([], line, event.anchor)
        case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
            builder.close()
        case yaml.DocumentStartEvent():
            builder.forget_anchors()
        case _:  # the ends of documents and the stream carry nothing
            pass


def _from_json(text: str) -> list[Node]:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return []
    builder = _Builder()
    line, counted = 1, 0
    for token in _JSON_TOKEN.finditer(text):
        start = token.start(token.lastgroup or 0)
        line, counted = line + text.count("\n", counted, start), start
        match token.lastgroup, token.group(token.lastgroup or 0):
            case "mark", "{":
                builder.open({}, line, None)
            case "mark", "[":
                builder.open([], line, None)
            case "mark", "}" | "]":
                builder.close()
            case "text", quoted:
                content = _encodable(json.loads(quoted), line)
                builder.scalar(content, Node(content, line, line), False, None)
            case "word", word:
                builder.scalar(word, Node(scalars.resolve(word), line, line), True, None)
    return builder.documents


def _scalar(event: yaml.ScalarEvent, line: int) -> Scalar:
    text = _encodable(event.value, line)
    if event.tag is None and event.implicit[0]:
        return scalars.resolve(text)
    try:
        return scalars.tagged(text, event.tag)
    except ValueError as error:
        raise TextError(line, str(error)) from None


def _check_tag(tag: str | None, kind: str, line: int) -> None:
    if tag not in (None, "!", scalars.CORE + kind):
        raise TextError(line, f"tag {scalars.tag_text(tag)} is not supported here")


def _encodable(text: str, line: int) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise TextError(line, "a text holds half of a surrogate pair") from None
    return text


@dataclass(slots=True)
class _Frame:
    """A mapping or list that is still open."""

    container: dict[str, Node] | list[Node]
    line: int
    anchor: str | None
    values_before: int
    has_key: bool = False
    key: str = ""
    key_line: int = 0
    is_merging: bool = False
    merged: list[dict[str, Node]] = field(default_factory=list)


class _Builder:
    """Documents from events; their source has checked their shape."""

    def __init__(self) -> None:
        self.documents: list[Node] = []
        self._frames: list[_Frame] = []
        self._anchors: dict[str, tuple[Node, int] | None] = {}
        self._values = 0  # so far, those behind aliases counted at every use
        self._copies = 0

    def _awaits_key(self) -> bool:
        frame = self._frames[-1] if self._frames else None
        return frame is not None and not frame.has_key and isinstance(frame.container, dict)

    def forget_anchors(self) -> None:
        self._anchors.clear()

    def scalar(self, text: str, node: Node, is_plain: bool, anchor: str | None) -> None:
        self._values += 1
        if anchor is not None:
            self._anchors[anchor] = (node, 1)
        if self._awaits_key():
            self._key(self._frames[-1], text, node.line, is_plain)
        else:
            self._attach(node)

    def _key(self, frame: _Frame, text: str, line: int, is_plain: bool) -> None:
        frame.is_merging = is_plain and text == "<<"
        if not frame.is_merging and isinstance(frame.container, dict) and text in frame.container:
            first = frame.container[text].line
            raise TextError(line, f"key {text[:60]!a} is there twice, first at line {first}")
        frame.has_key, frame.key, frame.key_line = True, text, line

    def open(self, container: dict[str, Node] | list[Node], line: int, anchor: str | None) -> None:
        if self._awaits_key():
            raise TextError(line, "a key must be text, not a list or a mapping")
        if len(self._frames) == MAX_DEPTH:
            raise TextError(line, _TOO_DEEP)
        if anchor is not None:
            self._anchors[anchor] = None
        self._values += 1
        self._frames.append(_Frame(container, line, anchor, self._values - 1))

    def close(self) -> None:
        frame = self._frames.pop()
        if isinstance(frame.container, dict):
            for source in frame.merged:
                for key, node in source.items():
                    frame.container.setdefault(key, node)
        node = Node(frame.container, frame.line, frame.line)
        if frame.anchor is not None:
            self._anchors[frame.anchor] = (node, self._values - frame.values_before)
        self._attach(node)

    def alias(self, name: str, line: int) -> None:
        target = self._anchors.get(name)
        if target is None:
            what = "contains itself" if name in self._anchors else "is not defined before"
            raise TextError(line, f"alias {name[:60]!a} {what}")
        if self._awaits_key():
            raise TextError(line, "a key must be text, not an alias")
        node, size = target
        self._values += size
        self._copies += size
        if self._copies > MAX_COPIES:
            raise TextError(line, f"aliases stand for more than {MAX_COPIES} values")
        self._attach(Node(node.value, line, node.text_line, node.is_verbatim))

    def _attach(self, node: Node) -> None:
        if not self._frames:
            self.documents.append(node)
            return
        frame = self._frames[-1]
        if isinstance(frame.container, list):
            frame.container.append(node)
        elif frame.is_merging:
            frame.merged.extend(_mappings(node))
            frame.has_key, frame.is_merging = False, False
        else:
            marked = Node(node.value, frame.key_line, node.text_line, node.is_verbatim)
            frame.container[frame.key] = marked
            frame.has_key = False


def _mappings(node: Node) -> Iterator[dict[str, Node]]:
    """Return the mappings of a merge key: one, or a list of them."""
    for source in node.value if isinstance(node.value, list) else [node]:
        if not isinstance(source.value, dict):
            raise TextError(node.line, "<< takes a mapping or a list of mappings")
        yield source.value
