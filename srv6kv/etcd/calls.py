"""Calls on etcd: which endpoint, which deadline, which token.

Every call has a deadline that follows what calls usually take. While one is overdue all members are
asked who leads: it is given up early only if its member hangs and others do not, or if there is a
new leader since it was sent, because what was sent on to the old one is never answered. A member
that waits for a leader that has gone is not left for that. A read is asked again, a write only if
it surely never left. Every failure is one of ours.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import grpc

from srv6kv.errors import SettingsError, Unavailable
from srv6kv.etcd import failures
from srv6kv.etcd.endpoints import Endpoint, Login, Tls
from srv6kv.etcd.latency import LOOK_SECONDS, Latency
from srv6kv.etcd.lineage import Lineage
from srv6kv.etcd.stubs import etcdrpc
from srv6kv.etcd.survey import View, best_of, survey

Metadata = tuple[tuple[str, str], ...]

# Done twice these do no harm.
_RESENDABLE = (
    *("Authenticate", "LeaseGrant", "LeaseRevoke", "LeaseTimeToLive"),
    *("MemberList", "Range", "Status"),
)
_SERVICES = ("Auth", "Cluster", "KV", "Lease", "Maintenance", "Watch")


class Connection:
    """One endpoint with its channel and stubs; nothing is sent before the first call.

    Attributes:
        files: what the certificate files held when it was made; gRPC does not look again.
        views: what the members said when a call here was overdue last.
    """

    def __init__(self, endpoint: Endpoint, tls: Tls, timeout: float) -> None:
        self.endpoint = endpoint
        self.answered = 0.0
        self.views: dict[Endpoint, View] = {}
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
        self._is_cancelled = False

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._call
        except grpc.RpcError as error:
            if self._is_cancelled:  # which is no fault of the endpoint
                raise Unavailable(f"etcd {self.endpoint}: the call was cancelled") from error
            raise self._failure(error) from error

    def cancel(self) -> None:
        """End it; the iterator raises an error or ends."""
        self._is_cancelled = True
        self._call.cancel()


class Calls:
    """All calls of one client, from any thread. ``on_replaced`` is called when the data is not that
    of before, from the thread that has found it."""

    def __init__(
        self, endpoints: Sequence[Endpoint], *, tls: Tls, timeout: float, login: Login | None
    ) -> None:
        self.endpoints = tuple(endpoints)
        self.latency = Latency()
        self.lineage = Lineage()
        self.on_replaced: Callable[[], None] = lambda: None
        self._timeouts = 0
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
            connection, revision = self._connection(), self.lineage.revision
            call = connection.method(service, method)
            send = partial(self._answer, connection, call, request, timeout)
            try:
                answer = self._ask(connection, send)
            except Unavailable as failure:
                # No token was to be had, so nothing was sent.
                failed.append(str(failure))
            except grpc.RpcError as error:
                failed.append(str(self._failure(error, connection, is_write=not is_resendable)))
                if failures.may_be_sent(error) and not is_resendable:
                    break
            else:
                if service == "KV" and self.lineage.is_replaced(answer.header, revision):
                    self.on_replaced()
                return answer
        raise Unavailable("; ".join(failed))

    def stream(
        self,
        service: str,
        method: str,
        requests: Any,
        *,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Stream:
        """A call that goes on, at the current endpoint; without a timeout it has no end."""
        connection = self._connection()
        asked = iter(requests) if isinstance(requests, Iterable) else requests
        send = partial(connection.method(service, method), asked, timeout)
        call = self._ask(connection, send, metadata)
        return Stream(call, connection.endpoint, partial(self._failure, connection=connection))

    def look_elsewhere(self, endpoint: Endpoint) -> None:
        """A stream there is silent: if the member hangs, or has missed an election, leave it."""
        connection = self._connection(endpoint)
        views = self.look_around(connection)
        if _is_vain(views.get(endpoint), views, self.lineage.term):
            self._leave(connection, views)

    def close(self) -> None:
        """Ends every call; later ones are refused as unavailable."""
        with self._lock:
            self._is_closed = True
            connections = list(self._connections.values())
        for connection in connections:
            connection.close()

    def _connection(self, endpoint: Endpoint | None = None) -> Connection:
        """That of an endpoint, else of the current one; it is made when first needed."""
        with self._lock:
            if self._is_closed:
                raise Unavailable("the etcd client is closed")
            endpoint = endpoint or self.endpoints[self._current]
            if endpoint not in self._connections:
                connection = Connection(endpoint, self._tls, self._timeout)
                self._connections[endpoint] = connection
            return self._connections[endpoint]

    def look_around(self, connection: Connection) -> dict[Endpoint, View]:
        """What the members say now, after they had the time to answer."""
        with contextlib.suppress(Unavailable, SettingsError):
            calls = {
                endpoint: self._connection(endpoint).method("Maintenance", "Status")
                for endpoint in self.endpoints
            }
            return survey(calls, connection.endpoint, self.latency.reply)
        return {}

    def _leave(self, connection: Connection, views: dict[Endpoint, View] | None = None) -> None:
        """Make the best endpoint the current one, unless another call has left this one too."""
        if len(self.endpoints) == 1:
            return
        views = self.look_around(connection) if views is None else views
        with self._lock:
            if self.endpoints[self._current] != connection.endpoint:
                return
            if self._timeouts > 1:
                # It lives, and does not work.
                views = {one: view for one, view in views.items() if one != connection.endpoint}
            best = best_of(views, self._order(connection.endpoint))
            if best is not None:
                self._current = self.endpoints.index(best)
            else:
                self._current = (self._current + 1) % len(self.endpoints)

    def _order(self, current: Endpoint) -> list[Endpoint]:
        """The current endpoint, then the others, those first that have answered last."""
        known = self._connections
        return sorted(
            self.endpoints,
            key=lambda one: (one != current, -known[one].answered if one in known else 0.0),
        )

    def _replace(self, connection: Connection) -> None:
        """Drop the connection, so that the next call makes one; running calls may end."""
        with self._lock:
            is_current = self._connections.get(connection.endpoint) is connection
            # One that is being made is not replaced at the first failure.
            if is_current and (connection.answered or self._timeouts > 1):
                del self._connections[connection.endpoint]

    def _renew(self, connection: Connection) -> None:
        """If the certificate files have changed, the next call there uses them; what still runs on
        the old channel may end. Files that cannot be read are looked at again later."""
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
        if isinstance(error, failures.GivenUp):
            pass  # it was looked around before that
        elif error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            self._timed_out(connection)
        else:
            self._leave(connection)
        self._renew(connection)
        return failure

    def _timed_out(self, connection: Connection) -> None:
        """A call came to its end without an answer: on a dead connection, perhaps."""
        self._timeouts += 1
        self.latency.timed_out()
        if connection.endpoint not in connection.views:
            self._replace(connection)
        self._leave(connection, connection.views)

    def _answer(
        self,
        connection: Connection,
        call: Any,
        request: Any,
        timeout: float | None,
        *,
        metadata: Metadata,
    ) -> Any:
        """Waits for the answer of a call as long as there is hope for one."""
        started, term = time.monotonic(), self.lineage.term
        # The first call of all has a connection to wait for on a network that is not known yet.
        least = (timeout or self._timeout) * (1 if self.latency.mean else 2)
        deadline = self.latency.deadline(least)
        running, wait = call.future(request, deadline, metadata=metadata), self.latency.look
        while True:
            try:
                answer = running.result(wait)
            except grpc.FutureTimeoutError:
                wait, views = LOOK_SECONDS / 2, self.look_around(connection)
                connection.views = views
                mine = views.get(connection.endpoint)
                term = min(term or mine.term, mine.term) if mine is not None else term
                if _is_vain(mine, views, term):
                    running.cancel()
                    self._leave(connection, views)
                    raise failures.GivenUp(is_silent=mine is None) from None
            else:
                connection.answered = time.monotonic()
                self._timeouts = 0
                self.latency.answered(connection.answered - started)
                return answer

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
        except (ValueError, grpc.FutureCancelledError) as error:
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
        def call(request: Any, timeout: float | None = None, **_: Any) -> Any:
            # Credentials and metadata are etcd3's ways to send a token; ours is in Calls.
            if method in ("LeaseKeepAlive", "Snapshot", "Watch"):
                return self._calls.stream(self._name, method, request, timeout=timeout)
            return self._calls.unary(self._name, method, request, timeout)

        return call


def _is_vain(mine: View | None, views: dict[Endpoint, View], term: int) -> bool:
    """Whether a call that was sent in a raft term (0: it is not known) will hardly be answered any
    more; ``mine`` is None if its member said nothing, although it had time to."""
    best = max(views.values(), default=None)
    if best is None or not best.has_leader:
        return False  # no other member could answer either
    return mine is None or best.term > term > 0


def _channel_options(timeout: float) -> list[tuple[str, int]]:
    milliseconds = int(timeout * 1000)
    return [
        # A page of 2,000 policies is larger than the 4 MiB that are allowed otherwise.
        ("grpc.max_receive_message_length", -1),
        # Half-open connections are found within 20 s, while a call is running: etcd allows a ping
        # every 5 s then, and else ends the connection of a client that pings. A call that is not
        # answered finds them sooner; less time for the answer would end slow connections.
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 0),
        ("grpc.http2.max_pings_without_data", 0),
        # Tried again soon after an outage; at most one attempt a second during it.
        ("grpc.initial_reconnect_backoff_ms", 100),
        # The time that one attempt has, two round trips at least.
        ("grpc.min_reconnect_backoff_ms", max(milliseconds, 10_000)),
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
