"""Events about the own Node in the API server, for those who look at `kubectl get events`.

An event is worth less than what it reports: a thread of its own sends it, once, and one that is
not accepted, as without the right to create it, is dropped.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import UTC, datetime
from secrets import token_hex

import msgspec

from srv6kv.errors import Srv6kvError
from srv6kv.sources.api import ApiServer

NAMESPACE = "default"
"""Where the kubelet puts the events of a Node, which has no namespace."""
COMPONENT = "srv6kv"
MOST_TEXT = 1000
"""The API server refuses messages above 1,024 bytes."""


class NodeEvents:
    """Creates events about one Node."""

    def __init__(self, api: ApiServer, node: str) -> None:
        self._api = api
        self._node = node

    def warn(self, reason: str, text: str) -> threading.Thread:
        """Send an event of the type Warning, and do not wait for it; the thread that does it."""
        body = msgspec.json.encode(self._event(reason, text, datetime.now(UTC)))
        thread = threading.Thread(target=self._send, args=(body,), name="srv6kv-event", daemon=True)
        thread.start()
        return thread

    def _send(self, body: bytes) -> None:
        with suppress(Srv6kvError):
            self._api.create(f"/api/v1/namespaces/{NAMESPACE}/events", body)

    def _event(self, reason: str, text: str, now: datetime) -> dict[str, object]:
        stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{self._node}.{token_hex(8)}", "namespace": NAMESPACE},
            "involvedObject": {"kind": "Node", "name": self._node, "uid": self._node},
            "reason": reason,
            "message": text[:MOST_TEXT],
            "type": "Warning",
            "source": {"component": COMPONENT, "host": self._node},
            "reportingComponent": COMPONENT,
            "reportingInstance": self._node,
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }
