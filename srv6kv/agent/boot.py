"""Network namespaces that are named by a process id, and the boots in which they mean something.

Rule (decision 0030): ``/proc/<pid>/ns/net`` is trusted only within the boot in which it was
observed; under another boot the agent would enter whatever has that pid now and flush its chains.
"""

from __future__ import annotations

import msgspec

from srv6kv import foreign
from srv6kv.ligato import keys

_BY_PID = b'"/proc/'


class Boot(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is noted in etcd about the node's boots.

    Attributes:
        observed: highest mod revision of a namespace that was observed up to now.
        distrusted: up to this mod revision, namespaces were observed in an earlier boot.
    """

    id: str = ""
    observed: int = msgspec.field(default=0, name="learnt")
    distrusted: int = 0


def load(text: bytes | None) -> Boot | None:
    """The note in etcd; None if there is none."""
    try:
        return foreign.decode(text, Boot) if text else None
    except foreign.Unreadable:
        return None


def dump(boot: Boot) -> bytes:
    """Return the text of the note."""
    return msgspec.json.encode(boot)


def begin(noted: Boot | None, boot_id: str) -> Boot:
    """Return the note that holds in the boot ``boot_id``, given the one before."""
    if noted is None or not boot_id:
        return noted or Boot(boot_id)
    return noted if noted.id == boot_id else Boot(boot_id, noted.observed, noted.observed)


def names_a_process(key: str, value: bytes) -> bool:
    """Whether a pod's Linux interface or a rule chain of ours names its namespace by a pid."""
    chain = keys.RULE_CHAIN + keys.OUR_RULE_CHAIN
    return key.startswith((keys.LINUX_INTERFACE, chain)) and _BY_PID in value
