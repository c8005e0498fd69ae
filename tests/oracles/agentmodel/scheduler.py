"""The agent's scheduler: one transaction at a time, a graph of dependencies, retries.

Rule: agent rules A40 and A46. Time is virtual: ``now`` moves only by ``advance``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agentmodel.applying import Graph
from agentmodel.descriptors import Descriptor
from agentmodel.graph import Node, Op, State, Status, Txn
from agentmodel.values import VRF_TABLE
from agentmodel.vpp import FakeVpp

FIRST_RETRY = 1.0
"""Seconds; each further one waits twice as long: 1, 2 and 4 s (agent rule A40)."""


@dataclass(slots=True)
class _Retry:
    due: float
    keys: list[str]
    number: int
    attempt: int
    delay: float
    since: int


class Scheduler(Graph):
    """The graph of one agent process.

    Attributes:
        history: every transaction.
        updates: the states that have changed, in order, until somebody takes them away.
        now: seconds.
    """

    def __init__(self, vpp: FakeVpp, descriptors: Mapping[str, Descriptor]) -> None:
        super().__init__(vpp, descriptors)
        self.history: list[Txn] = []
        self.updates: list[Status] = []
        self.now = 0.0
        self.on_txn: Callable[[Txn], None] = lambda txn: None
        self._retries: list[_Retry] = []

    # Transactions -------------------------------------------------------------------------------

    def change(self, values: Mapping[str, Any]) -> Txn:
        """A transaction of these values; None deletes."""
        return self._run(Txn(len(self.history), values=dict(values)))

    def resync(self, values: Mapping[str, Any], kind: str = "FullResync") -> Txn:
        """Everything that is wanted; what is not in it goes. First VPP is read where it can be."""
        txn = Txn(len(self.history), resync=kind, values=dict(values))
        self._refresh()
        for key, node in sorted(self.nodes.items()):
            if node.is_ours and key not in txn.values:
                txn.values[key] = None
        return self._run(txn)

    @property
    def next_due(self) -> float | None:
        """When the next retry is due."""
        return min((retry.due for retry in self._retries), default=None)

    def advance(self, seconds: float) -> None:
        """Let time go by, with the retries that fall due."""
        end = self.now + seconds
        while (due := self.next_due) is not None and due <= end:
            self.now = due
            retry = min(self._retries, key=lambda one: one.due)
            self._retries.remove(retry)
            self._retry(retry)
        self.now = end

    def rest(self) -> None:
        """Let time go by until nothing is to be retried."""
        while (due := self.next_due) is not None:
            self.advance(due - self.now)

    def _retry(self, retry: _Retry) -> None:
        keys = [
            key
            for key in retry.keys
            if key in self.nodes and self.nodes[key].changed <= retry.since
        ]
        if not keys:
            return
        txn = Txn(
            len(self.history),
            "RetryFailedOps",
            values={key: self.nodes[key].wanted for key in keys},
            retries=retry.number,
            attempt=retry.attempt,
        )
        txn.planned = self._simulated(txn)
        self._run(txn, retry)

    def _run(self, txn: Txn, retry: _Retry | None = None) -> Txn:
        before = {key: node.status for key, node in self.nodes.items()} if txn.resync else None
        self._touched.clear()
        self._broken.clear()
        txn.executed = _compressed(self._execute(txn))
        self.history.append(txn)
        self.on_txn(txn)
        self._report(before)
        self._schedule(txn, retry)
        for key in [key for key in self._touched if self._is_gone(key)]:
            self._forget(key)
        return txn

    def _is_gone(self, key: str) -> bool:
        return key in self.nodes and self.nodes[key].state == State.REMOVED

    def _report(self, before: Mapping[str, Status] | None) -> None:
        keys = self.nodes.keys() if before is not None else self._touched & self.nodes.keys()
        for key in sorted(keys):
            status = self.nodes[key].status
            if before is None or before.get(key) != status or key in self._touched:
                self.updates.append(status)

    def _schedule(self, txn: Txn, retry: _Retry | None) -> None:
        failed = [key for key in sorted(self._touched) if self._state(key) == State.RETRYING]
        again = [key for key in failed if retry is not None and key in retry.keys]
        fresh = [key for key in failed if key not in again]
        if retry is not None and again:
            delay = retry.delay * 2
            self._retries.append(
                _Retry(self.now + delay, again, retry.number, retry.attempt + 1, delay, txn.number)
            )
        if fresh:
            due = self.now + FIRST_RETRY
            self._retries.append(_Retry(due, fresh, txn.number, 1, FIRST_RETRY, txn.number))

    def _state(self, key: str) -> State:
        return self.nodes[key].state if key in self.nodes else State.NONEXISTENT

    def _simulated(self, txn: Txn) -> list[Op]:
        """What the transaction would do if nothing failed; retries are always planned (7)."""
        saved = {key: copy.copy(node) for key, node in self.nodes.items()}
        dependants = {key: set(found) for key, found in self._dependants.items()}
        self._is_dry = True
        self._touched.clear()
        self._broken.clear()
        try:
            return _compressed(self._execute(txn))
        finally:
            self._is_dry, self.nodes, self._dependants = False, saved, dependants

    def _execute(self, txn: Txn) -> list[Op]:
        """Agent rule A40: deletes, re-creates, creates, updates; in each by key text."""
        order = sorted(txn.values, key=lambda key: (self._group(key, txn.values[key]), key))
        return [op for key in order for op in self._apply(txn, key, txn.values[key])]

    def _group(self, key: str, value: Any) -> int:
        node = self.nodes.get(key)
        if value is None:
            return 0
        if node is None or node.value is None or not node.is_available:
            return 2
        return 1 if self._must_recreate(key, node.value, value) else 3

    def _must_recreate(self, key: str, old: Any, new: Any) -> bool:
        descriptor = self._descriptor(key)
        return not descriptor.is_equivalent(old, new) and descriptor.must_recreate(old, new)

    # Reading VPP --------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """What VPP has is there, what it lacks is MISSING; SRv6 is believed (agent rule A46)."""
        for prefix, descriptor in self._descriptors.items():
            found = descriptor.retrieve(self.vpp)
            if found is None:
                continue
            for key, value in found.items():
                self._discover(key, value)
            for key, node in self.nodes.items():
                if key.startswith(prefix) and node.is_available and key not in found:
                    node.is_available, node.value, node.state = False, None, State.MISSING

    def _discover(self, key: str, value: Any) -> None:
        node = self.nodes.get(key)
        if node is None:
            is_ours = not key.startswith(f"{VRF_TABLE}id/0/")  # VRF 0 is nobody's (agent rule A41)
            state = State.DISCOVERED if is_ours else State.OBTAINED
            node = self.nodes[key] = Node(key, is_ours=is_ours, state=state)
        elif not node.is_available:
            node.state = State.DISCOVERED
        node.value, node.is_available = value, True


def _compressed(ops: list[Op]) -> list[Op]:
    """A value that waits and is made later in the same transaction is told of once."""
    last = {}
    for op in ops:
        if op.operation == "CREATE":
            last[op.key] = op
    found = []
    for op in ops:
        final = last.get(op.key)
        is_wait = op.operation == "CREATE" and op.new_state == State.PENDING
        if is_wait and final is not op and final is not None:
            final.old, final.old_state, final.old_error = op.old, op.old_state, op.old_error
        else:
            found.append(op)
    return found
