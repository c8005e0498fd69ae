"""The agent's REST server on loopback (agent rule A39)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from google.protobuf import json_format

from agentmodel import log, values
from agentmodel.agent import Agent
from agentmodel.graph import Op, State, Status, Txn

Json = dict[str, Any]


class Refused(Exception):
    """An answer other than 200; its body is an object with an ``Error`` unless one is given."""

    def __init__(self, code: int, text: str, body: Any = None) -> None:
        super().__init__(text)
        self.code = code
        self.body = {"Error": text} if body is None else body


def status_json(status: Status) -> Json:
    """As protobuf's JSON has it: proto names, no defaults."""
    return {
        name: item
        for name, item in (
            ("key", status.key),
            ("state", str(status.state) if status.state != State.NONEXISTENT else ""),
            ("error", status.error),
            ("last_operation", status.operation if status.operation != "UNDEFINED" else ""),
            ("details", list(status.details)),
        )
        if item
    }


def _value_json(value: Any) -> Any:
    if value is None or isinstance(value, values.Plain):
        return value.body if value is not None else None
    return json_format.MessageToDict(value, preserving_proto_field_name=True)


VIEWS = ("SB", "NB", "cached")
_FROM_NB, _FROM_SB = 1, 2
"""Origins are numbers."""


def recorded(key: str, value: Any, version: tuple[int, int]) -> Any:
    """A value as a dump has it, with lowerCamel names: bare in agents 2.x; beside the message's
    name, as a text until 3.2 and as an object after that."""
    if value is None:
        return None
    if isinstance(value, values.Plain):
        body, name = _camel(value.body), _PLAIN.get(values.model_of(key).prefix, "")  # type: ignore[union-attr]
    else:
        body, name = json_format.MessageToDict(value), value.DESCRIPTOR.full_name
    if version < (3, 0):
        return body
    return {"ProtoMsgName": name, "ProtoMsgData": json.dumps(body) if version < (3, 3) else body}


_PLAIN = {values.INTERFACE: "ligato.vpp.interfaces.Interface"}


def _camel(body: Any) -> Any:
    if isinstance(body, list):
        return [_camel(item) for item in body]
    if not isinstance(body, dict):
        return body
    return {
        head + "".join(part.title() for part in tail): _camel(item)
        for name, item in body.items()
        for head, *tail in [name.split("_")]
    }


def _op_json(op: Op) -> Json:
    return {
        "Operation": op.operation,
        "Key": op.key,
        "PrevValue": _value_json(op.old),
        "NewValue": _value_json(op.new),
        "PrevState": op.old_state,
        "NewState": op.new_state,
        **({"PrevErrMsg": op.old_error} if op.old_error else {}),
        **({"NewErrMsg": op.error} if op.error else {}),
        **({"NOOP": True} if op.is_noop else {}),
        **({"IsRetry": True} if op.is_retry else {}),
        **({"IsRecreate": True} if op.is_recreate else {}),
    }


def _txn_json(txn: Txn) -> Json:
    return {
        "SeqNum": txn.number,
        "TxnType": txn.kind,
        **({"ResyncType": txn.resync} if txn.resync else {}),
        **({"RetryForTxn": txn.retries, "RetryAttempt": txn.attempt} if txn.attempt else {}),
        "Values": [
            {"Key": key, "Value": _value_json(value)} for key, value in sorted(txn.values.items())
        ],
        "Executed": [_op_json(op) for op in txn.executed],
    }


class Rest:
    """Answers for one agent; ``lock`` is held while it is asked."""

    def __init__(self, agent: Agent, lock: threading.RLock) -> None:
        self.agent = agent
        self.lock = lock

    def get(self, path: str, query: Json) -> Any:
        """The answer to a GET. Raises ``Refused``."""
        self.agent.asked[path] += 1
        match path:
            case "/scheduler/status":
                return self._status(query)
            case "/scheduler/dump":
                return self._dump(query)
            case "/scheduler/txn-history":
                return self._history(query)
            case "/dump/vpp/v2/interfaces":
                return self._interfaces()
            case "/liveness" | "/readiness":
                return self._alive()
        raise Refused(404, "404 page not found")

    def _model(self, prefix: str) -> values.Model:
        """Only the exact prefix of a model is known."""
        for model in values.MODELS:
            if model.prefix == prefix:
                return model
        raise Refused(500, "unknown key prefix")

    def _status(self, query: Json) -> Any:
        found = self.agent.states()
        if key := query.get("key"):
            status = found.get(key, Status(key, State.NONEXISTENT))
            return {"value": status_json(status)}
        if prefix := query.get("key-prefix"):
            self._model(prefix)
            found = {key: one for key, one in found.items() if key.startswith(prefix)}
        return [{"value": status_json(one)} for one in found.values()]

    def _dump(self, query: Json) -> Any:
        """Values by the exact prefix of a model; ``null`` if there are none. NB is what was asked
        of the agent, also what waits; the others are what it has made of it."""
        if not query:
            return {"Descriptors": [], "KeyPrefixes": [], "Views": list(VIEWS)}
        model = self._model(query.get("key-prefix", ""))
        view = query.get("view", "SB")
        if view not in VIEWS:
            raise Refused(500, "unrecognized system view")
        if view == "SB" and model.prefix.startswith("config/vpp/srv6/"):
            raise Refused(500, "descriptor does not support Retrieve operation")
        found = []
        for key, node in self.agent.scheduler.nodes.items():
            value = node.wanted if view == "NB" else node.value
            is_there = node.is_ours if view == "NB" else node.is_available
            if model.matches(key) and is_there and value is not None:
                item = recorded(key, value, self.agent.version)
                origin = _FROM_NB if node.is_ours else _FROM_SB
                found.append({"Key": key, "Value": item, "Origin": origin, "Metadata": None})
        return found or None

    def _interfaces(self) -> Any:
        """What VPP has, by its index; the agent finds its own names in VPP's tags, and what has
        none is UNTAGGED. It asks for DHCP clients too, and without VPP's plugin fails at that."""
        if not self.agent.vpp.has_dhcp:
            why = "unknown message: dhcp_client_dump_51077d14"
            why = f"failed to dump interface DHCP clients: {why}"
            raise Refused(500, f"500 Internal server error: request failed: {why}\n")
        names = {"UNTAGGED-local0": "local0", **self.agent.vpp.names}
        return {
            str(index): {
                "interface": {"name": name, "enabled": True, "Link": None},
                "interface_meta": {"sw_if_index": index, "internal_name": shown, "tag": name},
            }
            for index, (name, shown) in enumerate(names.items())
        }

    def _alive(self) -> Any:
        """The health probe of cn-infra: numbers, and no state while it is INIT (0); an ERROR has
        code 500."""
        now = int(time.time())
        lived = {"start_time": self.agent.born, "last_update": now} if self.agent.born else {}
        plugins = {"govpp": {**self.agent.connection, "last_update": now}}
        state = self.agent.connection["state"]
        body = {"state": state, **lived, "PluginStatus": plugins, "NonFatalPlugins": None}
        if state != 1:
            raise Refused(500, "ERROR", body)
        return body

    def _history(self, query: Json) -> Any:
        history = self.agent.history
        if number := query.get("seq-num"):
            if int(number) >= len(history):
                raise Refused(404, "transaction with such sequence is not recorded")
            history = history[int(number) : int(number) + 1]
        if query.get("format") == "text":
            return "\n".join(log.text_of(txn, "", "0s", self.agent.api) for txn in history)
        found = [_txn_json(txn) for txn in history]
        return found[0] if number else found

    def post(self, path: str, body: Json) -> Any:
        """The answer to a POST. Raises ``Refused``."""
        if path == "/vpp/command":
            command = body.get("vppclicommand", "")
            if self.agent.lost_vpp:
                why = f"VPP CLI command '{command}' failed: not connected to VPP"
                text = f"500 Internal server error: sending request failed: {why}, ignoring\n"
                raise Refused(500, text, text)
            return self.agent.vpp.cli(command)
        if path == "/scheduler/downstream-resync":
            self.agent.scheduler.resync(
                {
                    key: node.wanted
                    for key, node in self.agent.scheduler.nodes.items()
                    if node.is_ours and node.wanted is not None
                }
            )
            return "SB was successfully synchronized with KVScheduler\n"
        raise Refused(404, "404 page not found")


@contextmanager
def serve(agent: Agent, lock: threading.RLock | None = None, port: int = 0) -> Iterator[str]:
    """The URL of an agent's REST server, which ends with the context; port 0 is any."""
    rest = Rest(agent, lock or threading.RLock())

    class Handler(_Handler):
        answers = rest

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    answers: Rest

    def do_GET(self) -> None:  # the library's name
        url = urlsplit(self.path)
        query = {name: found[0] for name, found in parse_qs(url.query).items()}
        self._answer(lambda: self.answers.get(url.path, query))

    def do_POST(self) -> None:  # the library's name
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(lambda: self.answers.post(self.path, json.loads(text or b"{}")))

    def _answer(self, ask: Any) -> None:
        code = 200
        try:
            with self.answers.lock:
                body = json.dumps(ask()).encode()
        except Refused as error:
            code, body = error.code, json.dumps(error.body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's name
        """Say nothing."""
