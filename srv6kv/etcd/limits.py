"""What fits into one revision, and how a large one is laid out. Pure: a planner may ask here.

etcd counts operations and compares per level of a transaction and hands the rest of its 128 down,
so 64 branches of 64 operations are the most that two levels carry on a server with its defaults.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from srv6kv.transaction import Operation

FLAT_OPERATIONS = 120
BRANCHES = 64
BRANCH_OPERATIONS = 64
MAX_OPERATIONS = BRANCHES * BRANCH_OPERATIONS
# What a plan may fill; beside that srv6kv notes something about itself.
PLAN_BYTES = 1 << 20
# The server takes 1.5 MiB; the rest is for the encoding and the compares.
MAX_BYTES = PLAN_BYTES + (1 << 18)

# /vnf-agent/<label>/<class>/<module>/<version>/<type>/: one model of the agent.
_MODEL = re.compile(r"/[^/]+/[^/]+/[^/]+/.+?/v\d+/[^/]+/")


def size_of(operations: Iterable[Operation]) -> int:
    """The bytes of all keys and values."""
    return sum(
        len(operation.key.encode()) + len(operation.value or b"") for operation in operations
    )


def check(operations: Sequence[Operation]) -> None:
    """ValueError if these cannot become one revision."""
    if len(operations) > MAX_OPERATIONS:
        raise ValueError(f"{len(operations)} operations; one revision holds {MAX_OPERATIONS}")
    if (size := size_of(operations)) > MAX_BYTES:
        raise ValueError(f"{size} bytes; one revision holds {MAX_BYTES}")
    if len({operation.key for operation in operations}) < len(operations):
        raise ValueError("a key occurs twice in one transaction")
    if len(directories_of(operation.key for operation in operations)) >= BRANCHES:
        raise ValueError(f"keys of {BRANCHES} or more models in one transaction")


def branches_of(operations: Sequence[Operation]) -> list[Sequence[Operation]]:
    """The operations in their order, in runs that a branch can hold."""
    starts = range(0, len(operations), BRANCH_OPERATIONS)
    return [operations[start : start + BRANCH_OPERATIONS] for start in starts]


def directories_of(keys: Iterable[str]) -> list[str]:
    """The prefixes that cover these keys, sorted: that of the model, else of the parent folder."""
    return sorted({_directory_of(key) for key in keys})


def _directory_of(key: str) -> str:
    model = _MODEL.match(key)
    if model:
        return model.group()
    folder, slash, _ = key.rpartition("/")
    return folder + slash or key
