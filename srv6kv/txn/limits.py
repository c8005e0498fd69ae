"""What fits into one revision, and how a large one is laid out. Pure.

etcd counts operations and compares per level of a transaction and hands the rest of its 128 down,
so 64 branches of 64 operations are the most that two levels carry on a server with its defaults. A
server with other limits, or a proxy that lets less through, is known by `Limits`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from srv6kv.txn.transaction import Operation

# What a plan may fill; beside that srv6kv notes something about itself.
PLAN_BYTES = 1 << 20
OVERHEAD_BYTES = 768
"""Of a request with one operation: its guards and those of the writer key, in long names."""
# The server takes 1.5 MiB; the rest is for the encoding and the compares.
MAX_BYTES = PLAN_BYTES + (1 << 18)

# /vnf-agent/<label>/<class>/<module>/<version>/<type>/: one model of the agent.
_MODEL = re.compile(r"/[^/]+/[^/]+/[^/]+/.+?/v\d+/[^/]+/")


DEFAULT_OPERATIONS = 128
"""etcd's default for ``--max-txn-ops``."""
LEAST_OPERATIONS = 3
"""For one key: its guard, and two compares of the writer key."""
# Two levels compare the writer key and each model: ours are fewer than half of that.
_OPERATIONS_FOR_BRANCHES = 32


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server takes, as far as it is known.

    Attributes:
        operations: of one level of a transaction; LEAST_OPERATIONS at least.
        size: bytes of keys and values that a plan puts into one transaction of several operations.
        value: bytes of a key with its value; what has more is left out.
    """

    operations: int = DEFAULT_OPERATIONS
    size: int = PLAN_BYTES
    value: int = PLAN_BYTES

    @property
    def flat(self) -> int:
        """Operations that have a guard each, beside the compares of the writer key."""
        return self.operations - min(max(self.operations // 4, 2), 8)

    @property
    def branches(self) -> int:
        """Branches of a transaction on two levels, and operations in each; 0: there is no room."""
        return self.operations // 2 if self.operations >= _OPERATIONS_FOR_BRANCHES else 0

    @property
    def most(self) -> int:
        """Operations that can become one revision."""
        return max(self.flat, self.branches**2)

    @property
    def few_planned(self) -> int:
        """Operations of a transaction that is guarded key by key, with room for our own notes."""
        return max(1, self.flat - (8 if self.branches else 4))

    @property
    def planned(self) -> int:
        """Operations of a transaction, with room for our own notes."""
        return max(self.few_planned, self.most - 8) if self.branches else self.few_planned

    def holds(self, operations: Sequence[Operation]) -> bool:
        """Whether these can become one revision; what we note about ourselves included."""
        # A default server is known to have room beside a plan; any other is not.
        most = MAX_BYTES if self.size >= PLAN_BYTES else self.size
        return len(operations) <= self.most and size_of(operations) <= most

    def within(self, request: int) -> Limits:
        """What a server that takes requests of so many bytes leaves for keys and values."""
        room = max(request - OVERHEAD_BYTES, 1)
        # Small values beside their keys, which a guarded transaction names three times.
        return replace(self, size=min(self.size, max(room // 2, 1)), value=min(self.value, room))

    def smaller(self, operations: Sequence[Operation]) -> Limits:
        """What to try when these were too large: half of several, or three quarters of a value
        alone."""
        size = size_of(operations)
        if len(operations) > 1:
            return replace(self, size=max(min(self.size, size) // 2, 1))
        return replace(self, value=max(min(self.value, size) * 3 // 4, 1))


DEFAULT = Limits()


def size_of(operations: Iterable[Operation]) -> int:
    """The bytes of all keys and values."""
    return sum(
        len(operation.key.encode()) + len(operation.value or b"") for operation in operations
    )


def check(operations: Sequence[Operation], limits: Limits = DEFAULT) -> None:
    """ValueError if these cannot become one revision."""
    if len(operations) > limits.most:
        raise ValueError(f"{len(operations)} operations; one revision holds {limits.most}")
    if (size := size_of(operations)) > MAX_BYTES:
        raise ValueError(f"{size} bytes; one revision holds {MAX_BYTES}")
    if len({operation.key for operation in operations}) < len(operations):
        raise ValueError("a key occurs twice in one transaction")
    if len(operations) > limits.flat:
        models = directories_of(operation.key for operation in operations)
        if len(models) + 2 > limits.branches:
            raise ValueError(f"keys of {len(models)} models in one transaction")


def branches_of(
    operations: Sequence[Operation], limits: Limits = DEFAULT
) -> list[Sequence[Operation]]:
    """The operations in their order, in runs that a branch can hold."""
    starts = range(0, len(operations), limits.branches)
    return [operations[start : start + limits.branches] for start in starts]


def directories_of(keys: Iterable[str]) -> list[str]:
    """The prefixes that cover these keys, sorted: that of the model, else of the parent folder."""
    return sorted({_directory_of(key) for key in keys})


def _directory_of(key: str) -> str:
    model = _MODEL.match(key)
    if model:
        return model.group()
    folder, slash, _ = key.rpartition("/")
    return folder + slash or key
