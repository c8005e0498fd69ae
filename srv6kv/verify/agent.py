"""Etcd against the states that the agent tells of its values."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from srv6kv.agent.status import State, ValueStatus
from srv6kv.ligato import keys
from srv6kv.verify.codes import meaning, short
from srv6kv.verify.differences import AGENT, FOREIGN, TOUCH, Difference, Held
from srv6kv.verify.needs import needed

_FINE = {State.CONFIGURED, State.OBTAINED, State.DISCOVERED}
_NONE = {State.NONEXISTENT, State.REMOVED, State.MISSING}
"""States of what the agent does not hold; OBTAINED and DISCOVERED come from VPP itself."""
_REST = {State.PENDING, State.INVALID, State.FAILED, State.RETRYING, State.CONFIGURED}

States = Mapping[str, ValueStatus]


def differences(
    held: Held, states: States, in_vpp: Collection[str] | None, faults: Collection[str]
) -> Iterator[Difference]:
    """Every key of etcd that the agent does not hold for done, and every value that it holds
    without a key.

    Args:
        in_vpp: keys whose objects VPP has; None: not known.
        faults: keys that the agent must refuse, which is told elsewhere.
    """
    concerned = sorted(key for key in held.keys if held.concerns(key))
    if concerned and not any(_is_held(states.get(key)) for key in concerned):
        yield _deaf(concerned)
        return
    for key in concerned:
        status = states.get(key)
        if not _is_held(status):
            if key not in faults:
                yield _unread(key, status)
        elif status is not None and status.state not in _FINE:
            has = None if in_vpp is None else key in in_vpp
            yield from _undone(held, states, status, has)
    for key in sorted(states.keys() - held.keys):
        if held.concerns(key) and states[key].state in _REST:
            yield _left(held, states[key])


def _is_held(status: ValueStatus | None) -> bool:
    return status is not None and status.state not in _NONE


def _deaf(concerned: Collection[str]) -> Difference:
    return Difference(
        *(
            keys.CONFIG,
            AGENT,
            "AgentReadsNothing",
            f"it holds none of the {len(concerned)} keys in etcd",
        ),
        "it reads another etcd or another label, has not begun, or dropped a resync in which one"
        " key did not fit its value",
        "compare the agent's MICROSERVICE_LABEL and etcd.conf with --label and --etcd; see its log",
    )


def _unread(key: str, status: ValueStatus | None) -> Difference:
    what = "it has no state for this key"
    if status is not None:
        what = f"it says {status.state}"
    return Difference(
        *(key, AGENT, "NotInAgent", what),
        "it has missed the change, has not come to it yet, its word was lost on the way to etcd, or"
        " its image has no plugin for it",
        f"{TOUCH}, which writes the key as it is; ask again after that",
    )


def _undone(
    held: Held, states: States, status: ValueStatus, is_in_vpp: bool | None
) -> Iterator[Difference]:
    key, state = status.key, status.state
    error = f": {short(status.error)}" if status.error else ""
    if state == State.PENDING:
        # The agent does not take a dependency back from the details when it is met.
        unmet = [label for label in status.details if not _is_met(held, states, key, label)]
        for label in unmet or status.details or ("",):
            yield _pending(held, states, key, label)
    elif state == State.INVALID:
        fields = f" ({', '.join(status.details)})" if status.details else ""
        yield Difference(
            *(key, AGENT, "Invalid", f"INVALID{fields}{error}"),
            "the agent refuses the value; what an earlier value of the key made stays in VPP, and"
            " the agent has forgotten it",
            "correct the value; if VPP had an object of this key, restart VPP and the agent",
        )
    elif state in (State.FAILED, State.RETRYING):
        cause, cure = meaning(key, status.operation, status.error, is_in_vpp)
        if state == State.RETRYING:
            cure = f"ask again in 10 s, the agent is trying; then {cure}"
        what = f"{status.operation} {state}{error}"
        yield Difference(key, AGENT, state.capitalize(), what, cause, cure)
    else:
        yield Difference(
            *(key, AGENT, "Unimplemented", f"it says {state}"),
            "this image of the agent has no plugin for it",
            "use an image with the plugin; docs/install.md tells which",
        )


def _is_met(held: Held, states: States, key: str, label: str) -> bool:
    needs = needed(key, held.values.get(key), label)[1]
    return needs in states and states[needs].state in _FINE


def _pending(held: Held, states: States, key: str, label: str) -> Difference:
    name, needs = needed(key, held.values.get(key), label)
    if not name:
        return Difference(
            *(key, AGENT, "Pending", f"it waits for {label or 'something'}"),
            "what it needs is not there",
            "see that what it needs is written; the agent goes on by itself then",
        )
    if needs == keys.INTERFACE:
        cause, cure = "the value names no interface: it waits for ever", "correct the value"
    elif _is_met(held, states, key, label):
        cause, cure = f"the agent has {needs} by now", f"ask again in a moment; then {TOUCH}"
    elif needs in held.keys:
        state = states[needs].state if needs in states else "not known to it"
        cause = f"{needs} is in etcd, but the agent has it {state}"
        cure = "mend that key first; the agent goes on by itself then"
    else:
        cause = f"nobody has written {needs}"
        cure = "have it written; the agent goes on by itself then"
    return Difference(key, AGENT, "Pending", f"it waits for {name} ({label})", cause, cure)


def _left(held: Held, status: ValueStatus) -> Difference:
    what = f"it holds the value ({status.state}), and etcd has no such key"
    if not (held.ranges.owns(status.key) or status.key in held.shared):
        return Difference(
            *(status.key, AGENT, FOREIGN, what),
            "another source of the agent wrote it, such as Contiv or gRPC",
            "nothing, unless nobody should have",
        )
    return Difference(
        *(status.key, AGENT, "NotInEtcd", what),
        "it has missed the deletion, or failed in it",
        f"{TOUCH}, which writes the key and deletes it again",
    )
