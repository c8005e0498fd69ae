"""Calls on etcd: which endpoint, which deadline, which token.

Every call has a deadline. An endpoint that does not answer is left for the next one; a read is
asked again there, a write only if it surely never left. Every failure is one of ours.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import grpc

from srv6kv.errors import SettingsError, Unavailable
from srv6kv.etcd import failures
from srv6kv.etcd.endpoints import Endpoint, Login, Tls
from srv6kv.etcd.stubs import etcdrpc

Metadata = tuple[tuple[str, str], ...]

# Done twice these do no harm.
_RESENDABLE = frozenset(
    {
        "Authenticate",
        "LeaseGrant",
        "LeaseKeepAlive",
        "LeaseRevoke",
        "LeaseTimeToLive",
        "MemberList",
        "Range",
        "Status",
    }
)
_SERVICES = ("Auth", "Cluster", "KV", "Lease", "Maintenance", "Watch")


class Connection:
    """One endpoint with its channel and stubs; nothing is sent before the first call.

    Attributes:
        files: what the certificate files held when it was made; gRPC does not look again.

    Raises:
        SettingsError: a certificate file cannot be read.
    """

    def __init__(self, endpoint: Endpoint, tls: Tls, timeout: float) -> None:
        self.endpoint = endpoint
        self.files = _read(tls) if endpoint.uses_tls else ()
        options = _channel_options(timeout)
        # Without the scheme, a host name before a colon may be taken for one.
        target = f"dns:///{endpoint}"
        if endpoint.uses_tls:
            credentials = grpc.ssl_channel_credentials(*self.files)
            self._channel = grpc.secure_channel(target, credentials, options=options)
        else:
            self._channel = grpc.insecure_channel(target, options=options)
        self._stubs = {name: getattr(etcdrpc, f"{name}Stub")(self._channel) for name in _SERVICES}

    def method(self, service: str, method: str) -> Any:
        """The generated call of that name."""
        return getattr(self._stubs[service], method)

    def close(self) -> None:
        """Ends every call on it."""
        self._channel.close()


class Stream:
    """A running call that answers more than once; iterating raises our errors."""

    def __init__(
        self, call: Any, endpoint: Endpoint, failure: Callable[[grpc.RpcError], Unavailable]
    ) -> None:
        self.endpoint = endpoint
        self._call = call
        self._failure = failure

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._call
        except grpc.RpcError as error:
            raise self._failure(error) from error

    def cancel(self) -> None:
        """Ends it; whoever iterates gets an error or the end."""
        self._call.cancel()


class Calls:
    """All calls of one client, from any thread."""

    def __init__(
        self, endpoints: Sequence[Endpoint], *, tls: Tls, timeout: float, login: Login | None
    ) -> None:
        self.endpoints = tuple(endpoints)
        self._tls = tls
        self._timeout = timeout
        self._login = login
        self._lock = threading.Lock()
        self._connections: dict[Endpoint, Connection] = {}
        self._current = 0
        self._is_closed = False
        self._login_lock = threading.Lock()
        self._token: str | None = None

    def unary(self, service: str, method: str, request: Any, timeout: float | None = None) -> Any:
        """The answer of one call, from the first endpoint that gives one."""
        is_resendable = method in _RESENDABLE
        failed: list[str] = []
        for _ in self.endpoints:
            connection = self._connection()
            send = partial(connection.method(service, method), request, timeout or self._timeout)
            try:
                return self._ask(connection, send)
            except Unavailable as failure:
                # No token was to be had, so nothing was sent.
                failed.append(str(failure))
            except grpc.RpcError as error:
                failed.append(str(self._failure(error, connection, is_write=not is_resendable)))
                if failures.may_be_sent(error) and not is_resendable:
                    break
        raise Unavailable("; ".join(failed))

    def stream(
        self,
        service: str,
        method: str,
        requests: Iterable[Any],
        *,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Stream:
        """A call that goes on, at the current endpoint; without a timeout it has no end."""
        connection = self._connection()
        send = partial(connection.method(service, method), iter(requests), timeout)
        call = self._ask(connection, send, metadata)
        return Stream(call, connection.endpoint, partial(self._failure, connection=connection))

    def close(self) -> None:
        """Ends every call; later ones are refused as unavailable."""
        with self._lock:
            self._is_closed = True
            connections = list(self._connections.values())
        for connection in connections:
            connection.close()

    def _connection(self) -> Connection:
        """The current endpoint's; it is made when first needed."""
        with self._lock:
            if self._is_closed:
                raise Unavailable("the etcd client is closed")
            endpoint = self.endpoints[self._current]
            if endpoint not in self._connections:
                connection = Connection(endpoint, self._tls, self._timeout)
                self._connections[endpoint] = connection
            return self._connections[endpoint]

    def _leave(self, connection: Connection) -> None:
        """Makes the next endpoint the current one, unless another call has done so."""
        with self._lock:
            if self.endpoints[self._current] == connection.endpoint:
                self._current = (self._current + 1) % len(self.endpoints)

    def _renew(self, connection: Connection) -> None:
        """If the certificate files have changed, the next call there uses them; what still runs on
        the old channel may end in peace. Files that cannot be read are looked at again later."""
        if not connection.files:
            return
        with self._lock:
            if self._connections.get(connection.endpoint) is not connection:
                return
            with contextlib.suppress(SettingsError):
                if _read(self._tls) != connection.files:
                    other = Connection(connection.endpoint, self._tls, self._timeout)
                    self._connections[connection.endpoint] = other

    def _failure(
        self, error: grpc.RpcError, connection: Connection, *, is_write: bool = False
    ) -> Unavailable:
        """Leaves an endpoint that did not answer and returns that; raises what is a definite no."""
        failure = failures.classify(error, connection.endpoint, is_write=is_write)
        if not isinstance(failure, Unavailable):
            raise failure from error
        self._leave(connection)
        self._renew(connection)
        return failure

    def _ask(self, connection: Connection, send: Callable[..., Any], more: Metadata = ()) -> Any:
        """Makes a call with our token, and once more with a new one if that is what it needs."""
        token = self._token_for(connection, stale=None)
        try:
            return self._send(send, token, more)
        except grpc.RpcError as error:
            if self._login is None or not failures.is_token_error(error):
                raise
        return self._send(send, self._token_for(connection, stale=token), more)

    def _send(self, send: Callable[..., Any], token: str, more: Metadata) -> Any:
        # As metadata, because gRPC takes call credentials only over TLS.
        own: Metadata = (("token", token),) if token else ()
        try:
            return send(metadata=own + more)
        except ValueError as error:
            # What grpc raises when another thread has closed the channel in between.
            if self._is_closed:
                raise Unavailable("the etcd client is closed") from error
            raise

    def _token_for(self, connection: Connection, *, stale: str | None) -> str:
        """A token other than the stale one; empty if none is needed."""
        if self._login is None:
            return ""
        with self._login_lock:
            if self._token is None or self._token == stale:
                self._token = None
                self._token = self._authenticate(connection, self._login)
            return self._token

    def _authenticate(self, connection: Connection, login: Login) -> str:
        request = etcdrpc.AuthenticateRequest(name=login.user, password=login.password)
        try:
            answer = connection.method("Auth", "Authenticate")(request, self._timeout)
        except grpc.RpcError as error:
            if failures.is_login_needless(error):
                return ""
            raise self._failure(error, connection) from error
        token: str = answer.token
        return token


class Service:
    """A generated stub as the library etcd3 knows it, whose calls go through ours."""

    def __init__(self, calls: Calls, name: str) -> None:
        self._calls = calls
        self._name = name

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def call(
            request: Any,
            timeout: float | None = None,
            credentials: Any = None,
            metadata: Any = None,
        ) -> Any:
            # Credentials and metadata are etcd3's ways to send a token; ours is in Calls.
            if method in ("LeaseKeepAlive", "Watch"):
                return self._calls.stream(self._name, method, request, timeout=timeout)
            return self._calls.unary(self._name, method, request, timeout)

        return call


def _channel_options(timeout: float) -> list[tuple[str, int]]:
    milliseconds = int(timeout * 1000)
    return [
        # A page of 2,000 policies is larger than the 4 MiB that are allowed otherwise.
        ("grpc.max_receive_message_length", -1),
        # Half-open connections are found within 13 s, while a call is running: etcd allows a ping
        # every 5 s then, and else ends the connection of whoever pings.
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 3_000),
        ("grpc.keepalive_permit_without_calls", 0),
        ("grpc.http2.max_pings_without_data", 0),
        # Tried again soon after an outage; at most one attempt a second during it.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", milliseconds),
        ("grpc.max_reconnect_backoff_ms", 1_000),
        ("grpc.dns_min_time_between_resolutions_ms", 1_000),
        # Two clients of one process do not share a connection, nor its backoff.
        ("grpc.use_local_subchannel_pool", 1),
        # etcd is in the cluster; a proxy of the environment is for what is outside.
        ("grpc.enable_http_proxy", 0),
    ]


def _read(tls: Tls) -> tuple[bytes | None, ...]:
    """What is in the files of the CA, the key and the certificate, in this order."""
    try:
        return tuple(path.read_bytes() if path else None for path in (tls.ca, tls.key, tls.cert))
    except OSError as error:
        raise SettingsError(f"etcd: {error.filename}: {error.strerror}") from error
