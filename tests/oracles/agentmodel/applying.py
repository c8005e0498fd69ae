"""What the agent's scheduler does with one value, and with those that hang on it.

Rule: agent rules A40 and A46.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agentmodel.descriptors import Descriptor, Failed, Invalid
from agentmodel.graph import Node, Op, State, Txn
from agentmodel.values import model_of
from agentmodel.vpp import FakeVpp

MOST_RETRIES = 3


class Graph:
    """The values, by key, and their dependencies.

    Attributes:
        nodes: what is known of each key.
        rechecks: whether after a create also those that are there are looked at, and go if another
            dependency of theirs is missing: older schedulers are known to, newer ones may.
    """

    def __init__(self, vpp: FakeVpp, descriptors: Mapping[str, Descriptor]) -> None:
        self.vpp = vpp
        self.nodes: dict[str, Node] = {}
        self.rechecks = False
        self._descriptors = descriptors
        self._dependants: dict[str, set[str]] = {}
        self._is_dry = False
        self._branch: set[str] = set()
        self._touched: set[str] = set()
        self._broken: set[str] = set()

    def _descriptor(self, key: str) -> Descriptor:
        model = model_of(key)
        assert model is not None, key
        return self._descriptors[model.prefix]

    def _apply(self, txn: Txn, key: str, value: Any, *, depends: bool = False) -> list[Op]:
        """Create, update or delete one value, and what follows from that."""
        node = self.nodes.get(key)
        if key in self._branch:
            return []
        if node is None:
            if value is None:
                return []
            node = self.nodes[key] = Node(key)
        op = Op(
            self._operation(node, value, depends),
            key,
            node.value,
            value,
            node.state,
            node.state,
            node.error,
            is_retry=txn.kind == "RetryFailedOps",
        )
        if not op.operation:
            return []
        if key in self._broken:
            return []  # it has failed in this transaction already
        node.wanted, node.changed = value, txn.number
        node.is_ours = True
        self._touched.add(key)
        self._branch.add(key)
        try:
            match op.operation:
                case "DELETE":
                    return self._delete(txn, node, op, depends)
                case "CREATE":
                    return self._create(txn, node, op)
                case _:
                    return self._update(txn, node, op)
        finally:
            self._branch.discard(key)

    def _operation(self, node: Node, value: Any, depends: bool) -> str:
        if depends:
            is_ready = not self._unmet(node)
            if node.is_available:
                return "" if is_ready else "DELETE"
            return "CREATE" if is_ready and value is not None else ""
        if value is None:
            return "DELETE"
        return "UPDATE" if node.value is not None and node.is_available else "CREATE"

    def _unmet(self, node: Node) -> tuple[str, ...]:
        return tuple(
            label
            for label, key in node.needs
            if not ((other := self.nodes.get(key)) and other.is_available)
        )

    def _relate(self, node: Node) -> None:
        self._unrelate(node)
        node.needs = self._descriptor(node.key).dependencies(node.value)
        for _, key in node.needs:
            self._dependants.setdefault(key, set()).add(node.key)

    def _unrelate(self, node: Node) -> None:
        for _, key in node.needs:
            self._dependants.get(key, set()).discard(node.key)
        node.needs = ()

    def _forget(self, key: str) -> None:
        self._unrelate(self.nodes.pop(key))

    def _follow(self, txn: Txn, key: str, *, available: bool) -> list[Op]:
        """After a create those that wait for it are tried, before a delete those that have it
        go; by key text (agent rule A40)."""
        done: list[Op] = []
        for name in sorted(self._dependants.get(key, ())):
            node = self.nodes.get(name)
            is_due = node is not None and node.is_available is available
            if node is not None and (is_due or (self.rechecks and not available)):
                done += self._apply(txn, name, node.wanted, depends=True)
        return done

    def _settle(self, node: Node, op: Op, state: State, error: str = "") -> None:
        """What has become of an operation."""
        node.state = op.new_state = state
        node.error = op.error = error
        node.operation = "VALIDATE" if state == State.INVALID else op.operation
        if op.is_recreate:
            node.operation = "UPDATE"
        node.details = self._unmet(node) if state == State.PENDING else ()

    def _fail(self, txn: Txn, node: Node, op: Op, error: Failed) -> None:
        """Agent rule A40: three more attempts, then FAILED."""
        attempt = txn.attempt + 1 if op.is_retry and node.key in txn.values else 1
        self._broken.add(node.key)
        state = State.RETRYING if attempt <= MOST_RETRIES else State.FAILED
        self._settle(node, op, state, str(error))

    def _delete(self, txn: Txn, node: Node, op: Op, is_pending: bool) -> list[Op]:
        """Who depends on it goes first; of what is not available nothing is deleted (rule A46)."""
        if node.value is None and not node.is_available and node.state != State.MISSING:
            self._settle(node, op, State.REMOVED)
            return []
        done: list[Op] = []
        if not node.is_available:
            op.is_noop = True
        else:
            node.is_available = False
            done = self._follow(txn, node.key, available=True)
            try:
                if not self._is_dry:
                    descriptor = self._descriptor(node.key)
                    descriptor.delete(self.vpp, node.value, node.metadata)
            except Failed as error:
                self._fail(txn, node, op, error)
                return [*done, op]
            finally:
                node.metadata = None
        self._settle(node, op, State.PENDING if is_pending else State.REMOVED)
        return [*done, op]

    def _is_valid(self, node: Node, op: Op, value: Any) -> bool:
        """Agent rule A46: an invalid value is kept, and nobody may count on the key any more."""
        try:
            if not self._is_dry:
                self._descriptor(node.key).validate(value)
        except Invalid as error:
            node.value, node.is_available, op.is_noop = value, False, True
            self._settle(node, op, State.INVALID, str(error))
            node.details = (error.field,)
            return False
        return True

    def _create(self, txn: Txn, node: Node, op: Op) -> list[Op]:
        """Waits as PENDING, or is made and lets others be made that wait for it."""
        value = node.wanted
        if not self._is_valid(node, op, value):
            return [op]
        node.value = value
        self._relate(node)
        if self._unmet(node):
            node.is_available, op.is_noop = False, True
            self._settle(node, op, State.PENDING)
            return [op]
        try:
            if not self._is_dry:
                node.metadata = self._descriptor(node.key).create(self.vpp, value)
        except Failed as error:
            node.is_available = False
            self._fail(txn, node, op, error)
            return [op]
        node.is_available = True
        self._settle(node, op, State.CONFIGURED)
        return [op, *self._follow(txn, node.key, available=False)]

    def _update(self, txn: Txn, node: Node, op: Op) -> list[Op]:
        """In place, or as a delete and a create; nothing for what is equivalent but is kept."""
        descriptor, old, new = self._descriptor(node.key), node.value, node.wanted
        if not self._is_valid(node, op, new):
            return [op]
        is_equivalent = descriptor.is_equivalent(old, new)
        if not is_equivalent and descriptor.must_recreate(old, new):
            gone = replace(op, operation="DELETE", new=None, is_recreate=True)
            made = replace(op, operation="CREATE", old=None, is_recreate=True)
            done = self._delete(txn, node, gone, False)
            return done if gone.error else [*done, *self._create(txn, node, made)]
        node.value = new
        self._relate(node)
        if self._unmet(node):
            return self._delete(txn, node, op, True)
        try:
            if not is_equivalent and not self._is_dry:
                node.metadata = descriptor.update(self.vpp, old, new, node.metadata)
        except Failed as error:
            self._fail(txn, node, op, error)
            return [op]
        self._settle(node, op, State.CONFIGURED)
        op.is_noop = is_equivalent
        is_news = not is_equivalent or op.old_state not in (State.CONFIGURED, State.DISCOVERED)
        return [op] if is_news else []
