"""A server of etcd's API on loopback that passes calls on to a real one, and lies about watches as
what lies between a client and etcd may do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any, Self

import grpc

from srv6kv.etcd.stubs import etcdrpc

WATCH = "/etcdserverpb.Watch/Watch"
STREAMS = (WATCH, "/etcdserverpb.Lease/LeaseKeepAlive")


class EtcdRelay(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc ships no types
    """The server; started by ``with``.

    Attributes:
        answers_progress: whether requests for progress on a watch reach etcd.
        passes_events: whether changes that a watch reports come back.
        watches: how many streams of watches there were.
        progress_requests: how many requests for progress came.
        probes: how many watches were asked for on a stream after the first request for progress.
        ranges: how many reads there were.
    """

    def __init__(self, target: str) -> None:
        self.answers_progress = True
        self.passes_events = True
        self.watches = self.progress_requests = self.probes = self.ranges = 0
        self._muted = 0
        self._condition = threading.Condition()
        self._channel = grpc.insecure_channel(target)
        self._server = grpc.server(futures.ThreadPoolExecutor(32), handlers=(self,))
        self._port = self._server.add_insecure_port("127.0.0.1:0")

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait()
        self._channel.close()

    @property
    def endpoint(self) -> str:
        """Where clients find it."""
        return f"127.0.0.1:{self._port}"

    def mute(self, further: int = 0) -> None:
        """Nothing more comes back on any watch that is open now, and on so many further ones, and
        none of them ends."""
        with self._condition:
            self._muted = self.watches + further

    def wait_for(self, holds: Callable[[], bool], seconds: float = 15) -> None:
        """Return when that holds of what came."""
        with self._condition:
            enough = self._condition.wait_for(holds, seconds)
        assert enough, f"{self.watches} watches, {self.progress_requests} and {self.probes}"

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """How a call is passed on."""
        method = details.method
        if method == WATCH:
            return grpc.stream_stream_rpc_method_handler(self._watch)
        if method in STREAMS:
            call = self._channel.stream_stream(method)
            return grpc.stream_stream_rpc_method_handler(lambda requests, _: call(requests))
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._ask(method, request, context)
        )

    def _ask(self, method: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        if method == "/etcdserverpb.KV/Range":
            with self._condition:
                self.ranges += 1
        try:
            answer: bytes = self._channel.unary_unary(method)(request, timeout=10)
            return answer
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())
            raise

    def _watch(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        with self._condition:
            self.watches += 1
            number = self.watches
            self._condition.notify_all()
        call = self._channel.stream_stream(WATCH)(self._passed(requests))
        context.add_callback(call.cancel)
        try:
            for data in call:
                if number > self._muted and self._passes(data):
                    yield data
        except grpc.RpcError as error:
            if context.is_active():
                context.abort(error.code(), error.details())

    def _passes(self, data: bytes) -> bool:
        return self.passes_events or not etcdrpc.WatchResponse.FromString(data).events

    def _passed(self, requests: Iterator[bytes]) -> Iterator[bytes]:
        has_begun = False
        for data in requests:
            request: Any = etcdrpc.WatchRequest.FromString(data)
            is_progress = request.HasField("progress_request")
            with self._condition:
                self.progress_requests += is_progress
                self.probes += has_begun and request.HasField("create_request")
                self._condition.notify_all()
            has_begun |= is_progress
            if self.answers_progress or not is_progress:
                yield data
