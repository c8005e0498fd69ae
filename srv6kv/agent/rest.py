"""The agent's REST server (agent rule A39), which answers from what the agent holds: states
of values, its history, and VPP's own command line."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlencode

import msgspec
import urllib3

from srv6kv import __version__, foreign
from srv6kv.agent.ask import Server
from srv6kv.agent.attachments import MODELS, Process, parse_dump
from srv6kv.agent.connection import Health, parse_health
from srv6kv.agent.status import ValueStatus, parse_rest
from srv6kv.errors import InputError, Unavailable
from srv6kv.ligato import keys

DEFAULT_URL = "http://127.0.0.1:9191"
"""Where the agent of this machine answers by default."""
MOST_BYTES = 1 << 26
"""More than this is no answer: 100,000 values are 20 MiB."""
UNKNOWN_PREFIX = "unknown key prefix"
_MOST_ERROR = 200
WHOLE_ANSWER = 10.0
"""How often the timeout one question may take, from the look-up of the name to the last byte,
however they trickle in."""
_INTERFACES = "/dump/vpp/v2/interfaces"


class _Named(msgspec.Struct):
    name: str = ""


class _NamedByVpp(msgspec.Struct):
    internal_name: str = ""


class _Interface(msgspec.Struct):
    """An interface as VPP has it, with what the agent has made of its tag."""

    interface: _Named = msgspec.field(default_factory=_Named)
    interface_meta: _NamedByVpp = msgspec.field(default_factory=_NamedByVpp)


class AgentRest:
    """The REST server of one agent; for several threads.

    Args:
        timeout: seconds without a byte until the agent counts as away.

    Raises:
        InputError: that is no such URL.
    """

    def __init__(self, url: str, timeout: float = 3.0) -> None:
        try:
            parsed = urllib3.util.parse_url(url)
        except urllib3.exceptions.LocationParseError:
            parsed = urllib3.util.Url()
        if parsed.scheme not in ("http", "https") or not parsed.host or parsed.query:
            shown = url.rpartition("@")[2]  # a password may stand before it
            raise InputError(f"the agent's REST server {shown!r} is no URL; write http://host:9191")
        path = (parsed.path or "").rstrip("/")
        self.url = f"{parsed.scheme}://{parsed.netloc}{path}"
        self._headers = {"Accept": "application/json", "User-Agent": f"srv6kv/{__version__}"}
        if parsed.auth:
            self._headers |= urllib3.util.make_headers(basic_auth=parsed.auth)
        uses_tls = parsed.scheme == "https"
        self._path = path
        self._server = Server(
            parsed.host.strip("[]"),
            parsed.port or (443 if uses_tls else 80),
            uses_tls=uses_tls,
            silence=timeout,
            whole=WHOLE_ANSWER * timeout,
            most=MOST_BYTES,
        )

    def statuses(self, prefix: str = keys.CONFIG) -> dict[str, ValueStatus]:
        """The states of all values whose key (short form) has the prefix.

        The agent takes as ``key-prefix`` only the exact prefix of one of its models, and refuses
        every other, so all are asked for.

        Raises:
            Unavailable: the agent is away, or its answer makes no sense.
        """
        try:
            found = parse_rest(self._ask("GET", "/scheduler/status"))
        except ValueError as error:
            raise Unavailable(f"GET {self.url}{error}") from None
        return {key: status for key, status in found.items() if key.startswith(prefix)}

    def vpp_command(self, command: str) -> str:
        """What VPP prints for a command of its command line.

        Raises:
            Unavailable: the agent is away, or could not ask VPP.
        """
        body = msgspec.json.encode({"vppclicommand": command})
        answer = self._ask("POST", "/vpp/command", body)
        try:
            return foreign.decode(answer, str, most=MOST_BYTES)
        except foreign.Unreadable:
            return answer.decode(errors="replace")

    def dump(self, prefix: str) -> list[dict[str, Any]]:
        """What the agent holds below the exact prefix of a model: objects with ``Key`` and
        ``Value``.

        Raises:
            Unavailable: the agent is away, does not know the prefix, or answers nonsense.
        """
        return self._objects(_dump_path(prefix, "cached"))

    def attachments(self) -> dict[str, bytes]:
        """What the agent was asked to have of the models of attachment, by key, because what VPP
        has goes with VPP.

        Raises:
            Unavailable: the agent is away, or answers nonsense.
        """
        found: dict[str, bytes] = {}
        for prefix in MODELS:
            found |= self._values(prefix, "NB")
        return found

    def _values(self, prefix: str, view: str) -> dict[str, bytes]:
        """The values below the exact prefix of a model; an agent without the plugin has none."""
        path = _dump_path(prefix, view)
        try:
            return parse_dump(self._ask("GET", path))
        except ValueError as error:
            raise Unavailable(f"GET {self.url}{path}: {error}") from None
        except Unavailable as error:
            if UNKNOWN_PREFIX not in str(error):
                raise
            return {}

    def linux_interfaces(self) -> dict[str, bytes]:
        """The Linux interfaces that the agent finds in the network namespaces that it knows, by
        key.

        Raises:
            Unavailable: the agent is away, or answers nonsense.
        """
        return self._values(keys.LINUX_INTERFACE, "SB")

    def process(self) -> Process | None:
        """Which life of the agent answers; None: it does not say."""
        return self.health().process

    def health(self) -> Health:
        """What the agent says of itself and of its connection to VPP, also if that is an error; it
        may say nothing."""
        try:
            return parse_health(self._ask("GET", "/liveness", also=500))
        except Unavailable:
            return Health()

    def history(self, sequence: int | None = None) -> list[dict[str, Any]]:
        """The agent's transactions as it keeps them, or the one with that number.

        Raises:
            Unavailable: the agent is away, has no such transaction, or answers nonsense.
        """
        number = "" if sequence is None else f"?seq-num={sequence}"
        return self._objects("/scheduler/txn-history" + number)

    def interface_names(self) -> dict[str, str]:
        """The agent's names of interfaces to VPP's, which the agent asks VPP for.

        Raises:
            Unavailable: the agent is away, or cannot ask: it needs VPP's plugin dhcp for that.
        """
        answer = self._ask("GET", _INTERFACES)
        try:
            kind: Any = dict[str, _Interface] | None
            found: dict[str, _Interface] = foreign.decode(answer, kind, most=MOST_BYTES) or {}
        except foreign.Unreadable as error:
            raise Unavailable(f"GET {self.url}{_INTERFACES}: {error}") from None
        both = ((one.interface.name, one.interface_meta.internal_name) for one in found.values())
        return {name: shown for name, shown in both if name and shown}

    def _objects(self, path: str) -> list[dict[str, Any]]:
        answer = self._ask("GET", path)
        try:
            whole = foreign.plain(answer, most=MOST_BYTES)
            listed = [whole] if isinstance(whole, dict) else whole or []
            return foreign.convert(listed, list[dict[str, Any]])
        except foreign.Unreadable as error:
            raise Unavailable(f"GET {self.url}{path}: {error}") from None

    def _ask(self, method: str, path: str, body: bytes | None = None, also: int = 200) -> bytes:
        what = f"{method} {self.url}{path.partition('?')[0]}"
        try:
            answer = self._server.ask(method, self._path + path, self._headers, body)
        except (OSError, http.client.HTTPException, ValueError, Unavailable) as error:
            raise Unavailable(f"{what}: {_short(error)}") from None
        if answer.status not in (200, also):
            said = _error_of(answer.body).removeprefix(f"{answer.status} ") or answer.reason
            raise Unavailable(f"{what}: {answer.status} {said}".rstrip())
        return answer.body


def _dump_path(prefix: str, view: str) -> str:
    return "/scheduler/dump?" + urlencode({"key-prefix": prefix, "view": view}, safe="/")


def _error_of(answer: bytes) -> str:
    """Return the reason that the agent gives for a refusal: ``{"Error": "..."}``, a JSON text, or
    a line that is no JSON."""
    try:
        kind: Any = dict[str, str] | str
        found = foreign.decode(answer, kind)
    except foreign.Unreadable:
        found = answer.decode(errors="replace")
        found = "" if found.lstrip()[:1] in ("<", "{", "[") else found
    text = found if isinstance(found, str) else found.get("Error", "")
    return " ".join(text.split())[:_MOST_ERROR]


def _short(error: Exception) -> str:
    """What an error says, in one line."""
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(said).split())[:200]
