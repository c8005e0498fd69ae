"""The connection to a Kubernetes API server: credentials, transport, answers as raw bytes.

The ``kubernetes`` library reads kubeconfig files and a pod's service account and makes the
connection pool; it is imported only when the API is used. Its model classes and its informer are
not used (docs/dependencies.md).

How a connection that is dead but open is found:

* TCP keepalive: after 10 s without traffic the kernel asks the peer, and gives up when that and
  three more probes, 5 s apart, stay without an answer; ``TCP_USER_TIMEOUT`` says the same for data
  that was sent. That finds a peer, or a way to it, that is gone, within 30 s.
* Silence: a proxy or a frozen server may go on answering TCP. So no read waits longer than
  ``SILENCE_SECONDS``, or on a watch than the caller says, who renews it where it stood.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import urllib3

from srv6kv import __version__
from srv6kv.errors import InputError, Unavailable
from srv6kv.sources import bodies

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 24.0
BODY_SECONDS = 60.0
"""How long a whole page may take, however its bytes trickle in."""
RELOAD_SECONDS = 60.0
"""Credentials are read again when they are as old as this, and at once after a 401."""
MOST_BYTES = 1 << 28
"""More than this is no page and no event: 500 objects of 512 KiB."""
CHUNK_BYTES = 1 << 18

SOCKET_OPTIONS = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 25_000),
]


class ApiError(Unavailable):
    """A request that was not answered as it should be; ``status`` of HTTP, 0 for no answer or one
    that makes no sense, and the seconds that the server asks to wait."""

    def __init__(self, text: str, status: int = 0, retry_after: float = 0.0) -> None:
        super().__init__(text)
        self.status = status
        self.retry_after = retry_after


class Silent(ApiError):
    """Nothing came for ``SILENCE_SECONDS``."""


class Answer:
    """The body of an answer, as it comes in; closed at the end of its ``with``."""

    def __init__(self, response: Any, what: str) -> None:
        self._response = response
        self._silence = SILENCE_SECONDS
        self.what = what

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()

    def chunks(self) -> Iterator[bytes]:
        """The bytes, piece by piece, as soon as they are there; Silent if none came for a while,
        ApiError if the connection broke before the end."""
        try:
            while chunk := self._response.read1(CHUNK_BYTES):
                yield chunk
        except urllib3.exceptions.ReadTimeoutError:
            raise Silent(f"{self.what}: nothing came for {self._silence:.0f} s") from None
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise ApiError(f"{self.what}: the answer broke off: {_short(error)}") from None

    def lines(self) -> Iterator[list[bytes]]:
        """The lines that end in each piece; what is left at the end was cut and is no line.
        ApiError as for ``chunks``, or if a line has no end."""
        rest: list[bytes] = []
        size = 0
        for chunk in self.chunks():
            *whole, last = chunk.split(b"\n")
            if whole:
                whole[0] = b"".join([*rest, whole[0]])
                rest, size = [], 0
                yield [line for line in whole if line.strip()]
            rest.append(last)
            size += len(last)
            if size > MOST_BYTES:
                raise ApiError(f"{self.what}: an event of more than {MOST_BYTES} bytes")

    def whole(self) -> bytes:
        """All of it; ApiError as for ``chunks``, or if it takes too long or is too long."""
        deadline = time.monotonic() + BODY_SECONDS
        found: list[bytes] = []
        size = 0
        for chunk in self.chunks():
            found.append(chunk)
            size += len(chunk)
            if size > MOST_BYTES or time.monotonic() > deadline:
                raise ApiError(f"{self.what}: the answer does not end")
        return b"".join(found)

    def set_silence(self, seconds: float) -> None:
        """Let reads from now on wait so long for the next piece."""
        self._silence = seconds
        if (connected := self._socket()) is not None:
            connected.settimeout(seconds)

    def _socket(self) -> Any:
        return getattr(getattr(self._response, "connection", None), "sock", None)

    def interrupt(self) -> None:
        """End the reading, from any thread."""
        # Not through the TLS layer: it would drop what the reading thread is using.
        connected = self._socket()
        try:
            if connected is not None:
                socket.socket.shutdown(connected, socket.SHUT_RDWR)
            else:
                self._response.shutdown()
        except (OSError, ValueError, RuntimeError):
            pass  # it has ended already


OnAnswer = Callable[[Answer], None]


class ApiServer:
    """An API server, by whatever credentials there are at the time; for several threads. InputError
    if there are none, or they cannot be read."""

    def __init__(self, kubeconfig: Path | None = None, context: str | None = None) -> None:
        self._load = _loader(kubeconfig, context)
        self._lock = threading.Lock()
        self._configuration: Any = None
        self._pool: Any = None
        self._print: tuple[object, ...] = ()
        self._loaded = 0.0
        try:
            self._reload()
        except Exception as error:
            where = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
            text = f"{where}: no credentials for a Kubernetes API server: {_short(error)}"
            raise InputError(text) from None
        if not self.host.startswith(("https://", "http://")):
            text = f"the API server {self.host!r} is no URL; write https:// and its host"
            raise InputError(text)

    @property
    def host(self) -> str:
        """Its URL."""
        return str(self._configuration.host)

    def get(
        self, path: str, on_answer: OnAnswer = lambda _answer: None, *, silence: float | None = None
    ) -> Answer:
        """Ask; the answer's body is still to be read. ApiError if there was no answer, or another
        one than 200.

        Args:
            on_answer: gets the answer as soon as there is one, also one that is refused.
            silence: seconds that the next piece of the body may take; None: as all else.
        """
        response, answer = self._request("GET", path)
        on_answer(answer)
        if response.status != 200:
            self._refuse(response, answer)
        if silence is not None:
            answer.set_silence(silence)
        return answer

    def create(self, path: str, body: bytes) -> None:
        """Create an object; ApiError if it was not."""
        response, answer = self._request("POST", path, body)
        if response.status not in (200, 201, 202):
            self._refuse(response, answer)
        with answer:
            pass

    def _request(self, method: str, path: str, body: bytes | None = None) -> tuple[Any, Answer]:
        with self._lock:
            self._refresh()
            pool, host, headers = self._pool, self.host, self._headers()
        what = f"{method} {host}{path.partition('?')[0]}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            response = pool.request(
                method,
                host + path,
                body=body,
                headers=headers,
                preload_content=False,
                decode_content=False,
                retries=False,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=SILENCE_SECONDS),
            )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise ApiError(f"{what}: {_short(error)}") from None
        return response, Answer(response, what)

    def drop_connections(self) -> None:
        """Ask whatever is asked from now on over new connections; open answers go on."""
        with self._lock:
            self._pool.clear()

    def _refuse(self, response: Any, answer: Answer) -> None:
        if response.status == 401:
            self._loaded = 0.0
        with answer:
            try:
                message = bodies.message_of(next(answer.chunks(), b""))
            except ApiError:
                message = ""
        text = f"{answer.what}: {response.status} {message or response.reason or ''}".rstrip()
        raise ApiError(text, response.status, _seconds(response.headers.get("Retry-After", "")))

    def _headers(self) -> dict[str, str]:
        settings = self._configuration.auth_settings().values()
        return {
            "Accept": "application/json",
            "User-Agent": f"srv6kv/{__version__}",
            **{one["key"]: one["value"] for one in settings if one["in"] == "header"},
        }

    def _refresh(self) -> None:
        """Credentials change while we run: tokens are rotated, certificates renewed."""
        if self._loaded and time.monotonic() - self._loaded < RELOAD_SECONDS:
            return
        try:
            self._reload()
        except Exception:  # a file half written, a plugin that fails: the old ones may still do
            self._loaded = time.monotonic()

    def _reload(self) -> None:
        from kubernetes.client.rest import RESTClientObject

        configuration = self._load()
        configuration.socket_options = SOCKET_OPTIONS
        now = _fingerprint(configuration)
        if now != self._print:
            self._pool, self._print = RESTClientObject(configuration).pool_manager, now
        self._configuration = configuration
        self._loaded = time.monotonic()


def _loader(kubeconfig: Path | None, context: str | None) -> Callable[[], Any]:
    """What reads the credentials: the file that was named, else the pod's, else the default."""
    from kubernetes import config
    from kubernetes.client import Configuration

    in_cluster = kubeconfig is None and context is None and "KUBERNETES_SERVICE_HOST" in os.environ

    def load() -> Any:
        configuration = Configuration()
        if in_cluster:
            config.load_incluster_config(client_configuration=configuration)
        else:
            path = str(kubeconfig) if kubeconfig is not None else None
            config.load_kube_config(
                path, context, client_configuration=configuration, persist_config=False
            )
        return configuration

    return load


def _fingerprint(configuration: Any) -> tuple[object, ...]:
    """What a pool of connections depends on; tokens go with each request."""
    files = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    return (
        configuration.host,
        configuration.verify_ssl,
        configuration.proxy,
        getattr(configuration, "tls_server_name", None),
        *((path, Path(path).stat().st_mtime_ns) if path else None for path in files),
    )


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() else 0.0


def _short(error: Exception) -> str:
    """The reason in an error of urllib3, which repeats addresses of objects and pools."""
    reason = getattr(error, "reason", None)
    text = str(reason if isinstance(reason, Exception) else error) or type(error).__name__
    return " ".join(text.rpartition(">: ")[2].split())[:200]
