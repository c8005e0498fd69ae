"""Which of the members to ask: all of them are asked at once who leads.

The question (``Status``) is answered by each member from what it knows itself, so it distinguishes
a member that hangs from one that waits for a leader that has gone.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import grpc

from srv6kv.etcd.stubs import etcdrpc


@dataclass(frozen=True, slots=True, order=True)
class View:
    """What a member says, the better one greater: whether it knows a leader, and the raft term in
    which it lives; a member that is cut off stays behind."""

    has_leader: bool
    term: int


def survey(calls: Mapping[Any, Any], first: Any, seconds: float) -> dict[Any, View]:
    """The views of those members that answer, by their stubs of ``Status``. The ``first`` has all
    of the seconds to answer; of the others more than half are enough."""
    done: SimpleQueue[Any] = SimpleQueue()
    running = {}
    for endpoint, status in calls.items():
        try:
            call = status.future(etcdrpc.StatusRequest(), seconds)
        except ValueError:  # the channel was closed by another thread
            continue
        running[endpoint] = call
        call.add_done_callback(lambda _, endpoint=endpoint: done.put(endpoint))
    deadline = time.monotonic() + seconds
    views: dict[Any, View] = {}
    open_calls = set(running)
    while open_calls and (first in open_calls or 2 * len(views) <= len(calls)):
        try:
            endpoint = done.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            break
        open_calls.discard(endpoint)
        view = _view_of(running[endpoint])
        if view is not None:
            views[endpoint] = view
    for endpoint in open_calls:
        running[endpoint].cancel()
    return views


def best_of(views: Mapping[Any, View], order: Sequence[Any]) -> Any:
    """The endpoint to ask; of equals the first in order; None if none has answered."""
    known = [endpoint for endpoint in order if endpoint in views]
    return max(known, key=lambda endpoint: views[endpoint], default=None)


def _view_of(call: Any) -> View | None:
    try:
        answer = call.result()
    except grpc.FutureCancelledError:
        return None
    except grpc.RpcError as error:
        # Who refuses the question is alive.
        is_alive = error.code() in _REFUSALS
        return View(has_leader=True, term=0) if is_alive else None
    return View(has_leader=answer.leader != 0, term=answer.raftTerm)


_REFUSALS = (
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.INVALID_ARGUMENT,
)
