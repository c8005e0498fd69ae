"""The states that the agent reports of values and of itself (agent rule A39): etcd's keys
``config-status/...`` and ``check/status/v1/...`` below ``/vnf-agent/<label>/``, and the answers of
its REST server.

States and operations come as names or, from agents 3.0 and 3.1, as numbers; what has its default
may be absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from srv6kv import foreign
from srv6kv.ligato import keys
from srv6kv.ligato.chains import is_copy

STATUS = "config-status/"
"""Where the state of ``config/...`` is published; only with ``ENABLE_STATUS_PUBLISHING``."""
CHECK = "check/status/v1/"
CHECK_AGENT = CHECK + "agent"
CHECK_PLUGIN = CHECK + "plugin/"
"""Rewritten every 10 s, by no lease: look at ``last_update``."""


class State(StrEnum):
    """The state of a value, in the order of its numbers 0 to 10."""

    NONEXISTENT = "NONEXISTENT"
    MISSING = "MISSING"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    REMOVED = "REMOVED"
    CONFIGURED = "CONFIGURED"
    OBTAINED = "OBTAINED"
    DISCOVERED = "DISCOVERED"
    PENDING = "PENDING"
    INVALID = "INVALID"
    FAILED = "FAILED"
    RETRYING = "RETRYING"


_STATES = tuple(State)
_OPERATIONS = ("UNDEFINED", "VALIDATE", "CREATE", "UPDATE", "DELETE")
_MOST = 1 << 63
_MOST_ERROR = 2000
"""Some errors have all policies of VPP in them; its code is at the end."""
_SHOWN = 40
_HEALTH = ("INIT", "OK", "ERROR")


@dataclass(frozen=True, slots=True)
class ValueStatus:
    """The state of one value.

    Attributes:
        key: short form, ``config/...``.
        error: why the last operation failed; of a text without end the beginning and the end.
        details: unmet dependencies (PENDING), or fields (INVALID).
    """

    key: str
    state: State
    operation: str = "UNDEFINED"
    error: str = ""
    details: tuple[str, ...] = ()

    @property
    def is_passing(self) -> bool:
        """Whether the agent says this for about a second of every copy of a pod's rules that
        changes, while the other one works (agent rule A50)."""
        is_retrying = self.state is State.RETRYING and self.operation == "UPDATE"
        return is_retrying and is_copy(self.key)


@dataclass(frozen=True, slots=True)
class PluginStatus:
    """The state of one plugin of the agent; state: INIT, OK or ERROR, since
    ``last_change`` (Unix seconds; 0: unknown)."""

    name: str
    state: str
    error: str = ""
    last_change: int = 0


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """The state of the agent itself: INIT, OK or ERROR, times: Unix seconds."""

    state: str
    start_time: int = 0
    last_update: int = 0
    plugins: tuple[PluginStatus, ...] = ()


class _Published(msgspec.Struct):
    """Names as the agent writes them; absent and null are the default."""

    key: str | None = None
    state: str | int | None = None
    last_operation: str | int | None = None
    error: str | None = None
    details: list[str] | None = None


class _Answered(msgspec.Struct):
    value: _Published


class _Plugin(msgspec.Struct):
    name: str | None = None
    state: str | int | None = None
    error: str | None = None
    last_change: str | int | None = None


class _Agent(msgspec.Struct):
    state: str | int | None = None
    start_time: str | int | None = None
    last_update: str | int | None = None
    plugins: list[_Plugin] | None = None


Read = TypeVar("Read")


def status_key(key: str) -> str:
    """Where the state of a key (both in short form) is published."""
    return STATUS + key.removeprefix(keys.CONFIG)


def config_key(key: str) -> str:
    """Whose state a ``config-status/...`` key has."""
    return keys.CONFIG + key.removeprefix(STATUS)


def parse_status(key: str, value: bytes) -> ValueStatus:
    """One published state.

    Args:
        key: below ``/vnf-agent/<label>/``; ``config-status/...``, or that whose state it is.

    Raises:
        ValueError: it makes no sense; names key and field.
    """
    body = _read(key, value, _Published)
    own = config_key(key) if key.startswith(STATUS) else key
    if body.key not in (None, "", own):
        raise ValueError(f"{key}: key: {body.key[: len(own) + _SHOWN]!r} is another one")
    return _status_of(own, body, key)


def parse_rest(answer: bytes) -> dict[str, ValueStatus]:
    """The answer of ``GET /scheduler/status``: a list, or one object; by key.

    What cannot be read in one element leaves that one out: nothing is known about it then.

    Raises:
        ValueError: the whole is no such answer.
    """
    most = foreign.MOST_ANSWER_BYTES
    with suppress(ValueError):
        listed = foreign.decode(answer, list[_Answered], most=most)
        return {one.key: one for one in _statuses(item.value for item in listed)}
    try:
        whole = foreign.plain(answer, most=most)
    except foreign.Unreadable as error:
        raise ValueError(f"/scheduler/status: {error}") from None
    if not isinstance(whole, dict | list | None):
        raise ValueError("/scheduler/status: neither a list nor an object")
    elements = [whole] if isinstance(whole, dict) else whole or []
    return {status.key: status for status in _statuses(_readable(elements))}


def _readable(elements: list[Any]) -> Iterator[_Published]:
    for element in elements:
        with suppress(ValueError):
            yield foreign.convert(element, _Answered).value


def _statuses(bodies: Iterable[_Published]) -> Iterator[ValueStatus]:
    for body in bodies:
        if body.key:
            with suppress(ValueError):
                yield _status_of(body.key, body, body.key)


def parse_agent(value: bytes) -> AgentStatus:
    """The value of ``check/status/v1/agent``.

    Raises:
        ValueError: it makes no sense; names key and field.
    """
    body = _read(CHECK_AGENT, value, _Agent)
    return AgentStatus(
        _name(CHECK_AGENT, "state", body.state, _HEALTH),
        _number(CHECK_AGENT, "start_time", body.start_time),
        _number(CHECK_AGENT, "last_update", body.last_update),
        tuple(_plugin(one.name or "", one) for one in body.plugins or ()),
    )


def parse_plugin(key: str, value: bytes) -> PluginStatus:
    """The value of ``check/status/v1/plugin/<name>``.

    Raises:
        ValueError: it makes no sense; names key and field.
    """
    return parse_plugin_body(key.removeprefix(CHECK_PLUGIN), value)


def parse_plugin_body(name: str, value: bytes) -> PluginStatus:
    """The state of the plugin with that name, which the agent's probe has in the same form.

    Raises:
        ValueError: it makes no sense; names key and field.
    """
    return _plugin(name, _read(CHECK_PLUGIN + name, value, _Plugin))


def _plugin(name: str, body: _Plugin) -> PluginStatus:
    key = CHECK_PLUGIN + name
    state = _name(key, "state", body.state, _HEALTH)
    changed = _number(key, "last_change", body.last_change)
    return PluginStatus(name, state, body.error or "", changed)


def _read(key: str, value: bytes, kind: type[Read]) -> Read:
    try:
        return foreign.decode(value, kind)
    except foreign.Unreadable as error:
        raise ValueError(f"{key}: {error}") from None


def _status_of(key: str, body: _Published, where: str) -> ValueStatus:
    return ValueStatus(
        key,
        State(_name(where, "state", body.state, _STATES)),
        _name(where, "last_operation", body.last_operation, _OPERATIONS),
        _brief(body.error or ""),
        tuple(body.details or ()),
    )


def _brief(error: str) -> str:
    half = _MOST_ERROR // 2
    return error if len(error) <= _MOST_ERROR else f"{error[:half]} ... {error[-half:]}"


def _name(key: str, field: str, value: str | int | None, names: tuple[str, ...]) -> str:
    """A name of the agent's, given as such or by its number."""
    if isinstance(value, str) and value in names:
        return value
    number = 0 if value is None else value
    if isinstance(number, int) and 0 <= number < len(names):
        return names[number]
    raise ValueError(f"{key}: {field}: {_shown(value)!r} is none of {', '.join(names)}")


def _shown(value: str | int | None) -> str | int | None:
    return value[:_SHOWN] if isinstance(value, str) else value


def _number(key: str, field: str, value: str | int | None) -> int:
    """An integer of 64 bits, which protobuf's JSON writes as text."""
    with suppress(ValueError):
        if -_MOST <= (number := int(value or 0)) < _MOST:
            return number
    raise ValueError(f"{key}: {field}: {_shown(value)!r} is no integer of 64 bits")
