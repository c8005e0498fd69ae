"""The keys below ``/srv6kv/<label>/`` in which srv6kv notes what it must know after a restart: the
ranges in use, the shared keys that it wrote, the boot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from srv6kv import foreign
from srv6kv.agent import boot
from srv6kv.agent.boot import Boot
from srv6kv.ligato import keys
from srv6kv.plan import ownership
from srv6kv.plan.ownership import Ranges
from srv6kv.plan.plan import MOST_RANGES_BYTES, MOST_SHARED_BYTES, Ledger, dump_shared
from srv6kv.sync import unreadable
from srv6kv.txn.transaction import Operation


class LedgerKeys:
    """Holds these keys as etcd does, and what they say.

    Args:
        prefix: of the keys.
        boot_id: of the kernel; "": unknown.

    Attributes:
        ledger: the ranges and shared keys.
        unreadable: why a key cannot be read, by its name in full.
    """

    def __init__(self, prefix: str, boot_id: str) -> None:
        self.prefix = prefix
        self.ledger = Ledger()
        self.unreadable: dict[str, str] = {}
        self._actual: dict[str, bytes] = {}
        self._boot_id = boot_id
        self._boot = Boot(boot_id)

    def reset(self, values: dict[str, bytes]) -> None:
        """Replace the values of all keys, by their names below the prefix."""
        self._actual = values
        self.ledger = ledger_of(values)
        self.unreadable = unreadable.of_ours(self.prefix, values)
        self._boot = boot.begin(boot.load(values.get("boot")), self._boot_id)

    def differing(self, values: Mapping[str, bytes]) -> set[str]:
        """Find the keys, in full, whose values are not these."""
        names = values.keys() | self._actual.keys()
        return {self.prefix + name for name in names if values.get(name) != self._actual.get(name)}

    @property
    def is_new_boot(self) -> bool:
        """Whether etcd notes an earlier boot than this one."""
        noted = boot.load(self._actual.get("boot"))
        return noted is not None and noted.id != self._boot.id

    def _is_of_others(self, key: str, value: bytes) -> bool:
        """What we wrote because annotations say so must not outlive them."""
        return self.ledger.shared.get(key, "").encode() != value

    def trusted(self, key: str, value: bytes | None, revision: int) -> bytes | None:
        """Return the value of an attachment key (short form); None if it is ours or of an earlier
        boot."""
        if value is None or not self._is_of_others(key, value):
            return None
        is_old = revision <= self._boot.distrusted and _names_a_process(key, value)
        return None if is_old else value

    def note_namespace(self, key: str, value: bytes | None, revision: int) -> None:
        """Note the revision of a namespace, if an attachment key of others names one by a process:
        after a reboot it is not trusted."""
        if value is not None and _names_a_process(key, value) and self._is_of_others(key, value):
            newest = max(self._boot.learnt, revision)
            self._boot = msgspec.structs.replace(self._boot, learnt=newest)

    def operations(self, ranges: Ranges, shared: dict[str, str]) -> tuple[Operation, ...]:
        """Make the operations that note ranges, shared keys and the boot."""
        desired = {"ranges": ranges.dump(), "shared": dump_shared(shared)}
        return (*self._puts(desired), *self.boot_operations())

    def boot_operations(self) -> tuple[Operation, ...]:
        """Make the operation that notes the boot, if it is to be noted."""
        return self._puts({"boot": boot.dump(self._boot)} if self._boot.id else {})

    def _puts(self, desired: dict[str, bytes]) -> tuple[Operation, ...]:
        return tuple(
            Operation(self.prefix + name, value, 0)
            for name, value in desired.items()
            if self._actual.get(name) != value
        )

    def apply(self, operations: Iterable[Operation]) -> None:
        """Apply operations of our own that etcd has done."""
        for operation in operations:
            if operation.value is not None:
                self._actual[operation.key.removeprefix(self.prefix)] = operation.value
                self.unreadable.pop(operation.key, None)
        self.ledger = ledger_of(self._actual)


def _names_a_process(key: str, value: bytes) -> bool:
    return key.startswith(keys.LINUX_INTERFACE) and boot.names_a_process(key, value)


def ledger_of(values: Mapping[str, bytes]) -> Ledger:
    """Read what srv6kv has noted about itself; a value that is so large that we cannot have written
    it counts as none."""
    ranges, text = values.get("ranges", b""), values.get("shared", b"{}")
    try:
        is_large = len(text) > MOST_SHARED_BYTES
        shared = {} if is_large else foreign.decode(text, dict[str, str])
    except foreign.Unreadable:
        shared = {}
    return Ledger(ownership.load(ranges if len(ranges) <= MOST_RANGES_BYTES else None), shared)
