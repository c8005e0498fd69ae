"""What VPP's return codes really mean (agent rule A47).

The agent prints them with the names of VPP's generic error table, which SRv6 does not use.
"""

from __future__ import annotations

import re

from srv6kv.agent.needs import vpp_code
from srv6kv.ligato import keys
from srv6kv.verify.differences import FLIP, MOVE, REWRITE, TOUCH

_DUMP = re.compile(r" (?:in dump |\(dump: )")
_NO_INDEX = re.compile(r"(?:can't|failed to) find index for")
_MOST_SHOWN = 200
_RESTART = "restart VPP and the agent together; no change of etcd's keys helps"
_RESTARTED = "the agent was restarted over a living VPP and cannot read SRv6 back"
_CLEARED = "it was restarted or cleared under the agent"

Meaning = tuple[str, str]
"""The likely cause, and the cure."""

_LOCALSID: dict[int, Meaning] = {
    -1: (f"VPP has this SID already, in whichever VRF: {_RESTARTED}", _RESTART),
    -2: ("VPP has no such interface", f"see that the interface is there, then {TOUCH}"),
    -3: ("VPP has no table of that VRF", f"see that the VRF table is there, then {TOUCH}"),
    -4: (
        "VPP's table has an entry for exactly this address: a /128 route, an interface address,"
        " a neighbour or a BSID",
        f"remove that entry, then {TOUCH}",
    ),
    -5: (
        "VPP could not make the adjacency to the next hop",
        f"see that interface and next hop are right, then {TOUCH}",
    ),
    -6: ("a plugin of VPP refused it", "see VPP's log"),
}
_POLICY: dict[int, Meaning] = {
    -1: (f"VPP has no such policy: {_CLEARED}", REWRITE),
    -12: (
        f"VPP has this BSID already ({_RESTARTED}), or its table has an entry for exactly this"
        " address",
        MOVE,
    ),
    -13: ("VPP has no table of that VRF", f"see that the VRF table is there, then {TOUCH}"),
    -21: ("the last segment list of a policy cannot be deleted", FLIP),
    -22: ("VPP has no such segment list: the agent's index of it is stale", FLIP),
    -32: ("VPP has no such segment list: the agent's index of it is stale", FLIP),
}
_STEERING: dict[int, Meaning] = {
    -1: ("VPP knows no such kind of traffic", "correct the value"),
    -2: ("VPP has no policy with this BSID, or no such interface", REWRITE),
    -3: ("it is not a hardware interface, and VPP steers no other", "steer another interface"),
    -4: (f"VPP has no such steering: {_CLEARED}", REWRITE),
    -5: (
        "its policy inserts instead of encapsulating, which takes IPv6 only",
        "correct the policy",
    ),
}
_GONE = (f"VPP had no such object any more: {_CLEARED}", REWRITE)
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
            MOVE,
        )
    if code not in table:
        return f"VPP refused it, with a code that is not known for it ({code})", "see VPP's log"
    return table[code]


def _of_text(error: str, operation: str) -> Meaning:
    if _NO_INDEX.search(error):
        return (
            "VPP has the policy, but the agent does not find its lists in VPP's text: a BSID or"
            " SID is spelt in another way, or the BSID is the beginning of another one",
            MOVE,
        )
    if "doesn't exist sw index" in error:
        return (
            "the agent does not know the interface any more",
            f"see that the interface is there, then {TOUCH}",
        )
    done = operation.lower() if operation in ("CREATE", "UPDATE", "DELETE") else "apply"
    return f"the agent could not {done} it; what VPP has is not known", TOUCH
