"""What VPP's return codes really mean (agent rule A47).

The agent prints them with the names of VPP's generic error table, which SRv6 does not use.
"""

from __future__ import annotations

import re

from srv6kv.agent.needs import Means, vpp_code
from srv6kv.ligato import keys
from srv6kv.verify.differences import COMMAND, Remedy

_DUMP = re.compile(r" (?:in dump |\(dump: )")
_NO_INDEX = re.compile(r"(?:can't|failed to) find index for")
_MOST_SHOWN = 200
_RESTART = Remedy(None, "restart VPP and the agent together; no change of etcd's keys helps")
_RESEND, _RECREATE = Remedy(Means.RESEND), Remedy(Means.RECREATE)
_REBIND, _REWRITE = Remedy(Means.REBIND), Remedy(Means.REWRITE)
_CORRECT, _LOG = Remedy(None, "correct the value"), Remedy(None, "see VPP's log")
_RESTARTED = "the agent was restarted over a living VPP and cannot read SRv6 back"
_CLEARED = "it was restarted or cleared under the agent"

Meaning = tuple[str, Remedy]
"""The likely cause, and the remedy."""


def _resend_after(first: str) -> Remedy:
    return Remedy(Means.RESEND, f"{first}, then {COMMAND}")


_LOCALSID: dict[int, Meaning] = {
    -1: (f"VPP has this SID already, in whichever VRF: {_RESTARTED}", _RESTART),
    -2: ("VPP has no such interface", _resend_after("see that the interface is there")),
    -3: ("VPP has no table of that VRF", _resend_after("see that the VRF table is there")),
    -4: (
        "VPP's table has an entry for exactly this address: a /128 route, an interface address,"
        " a neighbour or a BSID; or what `sr localsid del` in another table has left",
        _resend_after("remove that entry; restart VPP and the agent together if no key has it"),
    ),
    -5: (
        "VPP could not make the adjacency to the next hop",
        _resend_after("see that interface and next hop are right"),
    ),
    -6: ("a plugin of VPP refused it", _LOG),
}
_POLICY: dict[int, Meaning] = {
    -1: (f"VPP has no such policy: {_CLEARED}", _REWRITE),
    -12: (
        f"VPP has this BSID already ({_RESTARTED}), or its table has an entry for exactly this"
        " address",
        _REBIND,
    ),
    -13: ("VPP has no table of that VRF", _resend_after("see that the VRF table is there")),
    -21: ("the last segment list of a policy cannot be deleted", _RECREATE),
    -22: ("VPP has no such segment list: the agent's index of it is stale", _RECREATE),
    -32: ("VPP has no such segment list: the agent's index of it is stale", _RECREATE),
}
_STEERING: dict[int, Meaning] = {
    -1: ("VPP knows no such kind of traffic", _CORRECT),
    -2: ("VPP has no policy with this BSID, or no such interface", _REWRITE),
    -3: (
        "it is not a hardware interface, and VPP steers no other",
        Remedy(None, "steer another interface"),
    ),
    -4: (f"VPP has no such steering: {_CLEARED}", _REWRITE),
    -5: (
        "its policy inserts instead of encapsulating, which takes IPv6 only",
        Remedy(None, "correct the policy"),
    ),
}
_GONE = (f"VPP had no such object any more: {_CLEARED}", _REWRITE)
_GONE_CODES = {keys.LOCALSID: (-2,), keys.POLICY: (-1,), keys.STEERING: (-4,)}
_BY_KIND = ((keys.LOCALSID, _LOCALSID), (keys.POLICY, _POLICY), (keys.STEERING, _STEERING))


def short(error: str) -> str:
    """An error in one line, without the whole of VPP's text that some have in them."""
    text = " ".join(_DUMP.split(error, maxsplit=1)[0].split())
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 3] + "..."


def meaning(key: str, operation: str, error: str, is_in_vpp: bool | None) -> Meaning:
    """Why an operation on a value failed.

    Args:
        operation: CREATE, UPDATE or DELETE.
        is_in_vpp: whether VPP has the object; None: unknown.
    """
    code = vpp_code(error)
    kinds = [(prefix, table) for prefix, table in _BY_KIND if key.startswith(prefix)]
    if code is None or not kinds:
        return _of_text(error, operation)
    prefix, table = kinds[0]
    if operation == "DELETE" and code in _GONE_CODES[prefix]:
        return _GONE
    if prefix == keys.POLICY and code == -12 and is_in_vpp is False:
        return (
            "VPP's table has an entry for exactly this address, such as a /128 route or a"
            " localsid: VPP has no such policy",
            _REBIND,
        )
    if code not in table:
        return f"VPP refused it, with a code that is not known for it ({code})", _LOG
    return table[code]


def _of_text(error: str, operation: str) -> Meaning:
    if _NO_INDEX.search(error):
        return (
            "VPP has the policy, but the agent does not find its lists in VPP's text: a BSID or"
            " SID is spelt in another way, or the BSID is the beginning of another one",
            _REBIND,
        )
    if "doesn't exist sw index" in error:
        return (
            "the agent does not know the interface any more",
            _resend_after("see that the interface is there"),
        )
    done = operation.lower() if operation in ("CREATE", "UPDATE", "DELETE") else "apply"
    return f"the agent could not {done} it; what VPP has is not known", _RESEND
