"""The keys below ``/srv6kv/<label>/`` in which srv6kv notes what it must know after a restart: the
ranges in use, the shared keys that it wrote, the boot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from srv6kv import foreign
from srv6kv.ligato import keys
from srv6kv.notes import Kind, Note, Reason, Subject
from srv6kv.plan import ownership
from srv6kv.plan.ownership import Ranges
from srv6kv.plan.plan import MOST_RANGES_BYTES, MOST_SHARED_BYTES, Ledger, dump_shared
from srv6kv.txn.transaction import Operation

_BY_PID = b'"/proc/'


class Boot(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is noted in etcd about the node's boots.

    Rule (decision 0030): ``/proc/<pid>/ns/net`` is trusted only within the boot in which it was
    observed; under another boot the agent would enter whatever has that pid now and flush its
    chains.

    Attributes:
        id: the kernel's boot id; "" if it is unknown.
        observed: highest mod revision of a namespace that was observed up to now.
        distrusted: up to this mod revision, namespaces were observed in an earlier boot.
    """

    id: str = ""
    observed: int = 0
    distrusted: int = 0


def names_a_process(key: str, value: bytes) -> bool:
    """Whether a pod's Linux interface or a rule chain of ours names its namespace by a pid."""
    chain = keys.RULE_CHAIN + keys.OUR_RULE_CHAIN
    return key.startswith((keys.LINUX_INTERFACE, chain)) and _BY_PID in value


MOST = 20
"""More keys of others that cannot be read are one note."""
_NOTED: dict[str, Any] = {"boot": Boot, "ranges": dict[str, list[str]], "shared": dict[str, str]}


class LedgerKeys:
    """Holds these keys as etcd does, and what they say.

    Args:
        boot_id: of the kernel; "": unknown.

    Attributes:
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
        self.unreadable = {}
        for name, kind in _NOTED.items():
            try:
                foreign.decode(values.get(name) or b"{}", kind)
            except foreign.Unreadable as error:
                self.unreadable[self.prefix + name] = str(error)
        noted, now = self._noted_boot(), self._boot_id
        self._boot = noted or Boot(now)
        if noted is not None and now not in ("", noted.id):
            self._boot = Boot(now, noted.observed, noted.observed)

    def _noted_boot(self) -> Boot | None:
        text = self._actual.get("boot")
        try:
            return foreign.decode(text, Boot) if text else None
        except foreign.Unreadable:
            return None

    def differing(self, values: Mapping[str, bytes]) -> set[str]:
        """Find the keys, in full, whose values are not these."""
        names = values.keys() | self._actual.keys()
        return {self.prefix + name for name in names if values.get(name) != self._actual.get(name)}

    @property
    def is_new_boot(self) -> bool:
        """Whether etcd notes an earlier boot than this one."""
        noted = self._noted_boot()
        return noted is not None and noted.id != self._boot.id

    def accept(self, key: str, value: bytes | None, revision: int) -> bytes | None:
        """Note the revision of an attachment key (short form) that names a namespace by a process:
        after a reboot it is not trusted.

        Returns:
            The value; None if it is of an earlier boot, or ours: what we wrote because annotations
            say so must not outlive them.
        """
        if value is None or self.ledger.shared.get(key, "").encode() == value:
            return None
        if not (key.startswith(keys.LINUX_INTERFACE) and names_a_process(key, value)):
            return value
        newest = max(self._boot.observed, revision)
        self._boot = msgspec.structs.replace(self._boot, observed=newest)
        return None if revision <= self._boot.distrusted else value

    def operations(self, ranges: Ranges, shared: dict[str, str]) -> tuple[Operation, ...]:
        """Make the operations that note ranges, shared keys and the boot."""
        desired = {"ranges": ranges.dump(), "shared": dump_shared(shared)}
        return (*self._puts(desired), *self.boot_operations())

    def boot_operations(self) -> tuple[Operation, ...]:
        """Make the operation that notes the boot, if it is to be noted."""
        return self._puts({"boot": msgspec.json.encode(self._boot)} if self._boot.id else {})

    def _puts(self, desired: dict[str, bytes]) -> tuple[Operation, ...]:
        return tuple(
            Operation(keys.full(self.prefix, name), value, 0)
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


def warnings(ours: Mapping[str, str], prefix: str, others: Mapping[str, str]) -> Iterator[Note]:
    """Warn about each of our keys that cannot be read, of others about the first ones.

    Args:
        ours: why, by key in full.
        others: why, by short key.
    """
    reason = Reason.VALUE_UNREADABLE
    for key, why in ours.items():
        text = f"{why}; it counts as absent and is written again"
        yield Note(Subject(Kind.KEY, key), reason, text)
    for key in sorted(others)[:MOST]:
        yield Note(Subject(Kind.KEY, prefix + key), reason, f"{others[key]}; it counts as absent")
    if len(others) > MOST:
        more = f"{len(others) - MOST} more cannot be read; they count as absent"
        yield Note(Subject(Kind.KEYS, prefix), reason, more)
