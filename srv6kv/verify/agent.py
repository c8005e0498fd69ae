"""Etcd against the agent's states."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from srv6kv.agent.needs import Means
from srv6kv.agent.status import State, ValueStatus
from srv6kv.ligato import keys
from srv6kv.verify.agentstate import FINE, States, needed
from srv6kv.verify.codes import meaning, short
from srv6kv.verify.differences import (
    AGENT,
    COMMAND,
    FOREIGN,
    DesiredKeys,
    Difference,
    Remedy,
    explained,
)

_NONE = {State.NONEXISTENT, State.REMOVED, State.MISSING}
"""States of what the agent does not hold; OBTAINED and DISCOVERED come from VPP itself."""
_REST = {State.PENDING, State.INVALID, State.FAILED, State.RETRYING, State.CONFIGURED}


def differences(
    desired: DesiredKeys, states: States, in_vpp: Collection[str] | None, faults: Collection[str]
) -> Iterator[Difference]:
    """Find every key of etcd that the agent has not applied, and every value that it has without a
    key.

    Args:
        in_vpp: keys whose objects VPP has; None: not known.
        faults: keys that the agent must refuse, which is reported elsewhere.
    """
    concerned = sorted(key for key in desired.keys if desired.concerns(key))
    if concerned and not any(_is_held(states.get(key)) for key in concerned):
        what = f"it holds none of the {len(concerned)} keys in etcd"
        yield explained(keys.CONFIG, AGENT, "AgentReadsNothing", what)
        return
    for key in concerned:
        status = states.get(key)
        if not _is_held(status):
            if key not in faults:
                what = (
                    "it has no state for this key" if status is None else f"it says {status.state}"
                )
                yield explained(key, AGENT, "NotInAgent", what)
        elif status is not None and status.state not in FINE and not status.is_passing:
            has = None if in_vpp is None else key in in_vpp
            yield from _undone(desired, states, status, has)
    for key in sorted(states.keys() - desired.keys):
        if desired.concerns(key) and states[key].state in _REST:
            yield _left(desired, states[key])


def _is_held(status: ValueStatus | None) -> bool:
    return status is not None and status.state not in _NONE


def _undone(
    desired: DesiredKeys, states: States, status: ValueStatus, is_in_vpp: bool | None
) -> Iterator[Difference]:
    key, state = status.key, status.state
    error = f": {short(status.error)}" if status.error else ""
    if state == State.PENDING:
        # The agent does not take a dependency back from the details when it is met.
        unmet = [label for label in status.details if not _is_met(desired, states, key, label)]
        for label in unmet or status.details or ("",):
            yield _pending(desired, states, key, label)
    elif state == State.INVALID:
        fields = f" ({', '.join(status.details)})" if status.details else ""
        yield explained(key, AGENT, "Invalid", f"INVALID{fields}{error}")
    elif state in (State.FAILED, State.RETRYING):
        cause, remedy = meaning(key, status.operation, status.error, is_in_vpp)
        if state == State.RETRYING:
            text = f"ask again in 10 s, the agent is trying; then {remedy.text}"
            remedy = Remedy(remedy.means, text)
        what = f"{status.operation} {state}{error}"
        yield Difference(key, AGENT, state.capitalize(), what, cause, remedy)
    else:
        yield explained(key, AGENT, "Unimplemented", f"it says {state}")


def _is_met(desired: DesiredKeys, states: States, key: str, label: str) -> bool:
    needs = needed(key, desired.values.get(key), label)[1]
    return needs in states and states[needs].state in FINE


def _pending(desired: DesiredKeys, states: States, key: str, label: str) -> Difference:
    name, needs = needed(key, desired.values.get(key), label)
    if not name:
        return Difference(
            *(key, AGENT, "Pending", f"it waits for {label or 'something'}"),
            "what it needs is not there",
            Remedy(None, "see that what it needs is written; the agent goes on by itself then"),
        )
    if needs == keys.INTERFACE:
        cause = "the value names no interface: it waits for ever"
        remedy = Remedy(None, "correct the value")
    elif _is_met(desired, states, key, label):
        cause = f"the agent has {needs} by now"
        remedy = Remedy(Means.RESEND, f"ask again in a moment; then {COMMAND}")
    elif needs in desired.keys:
        state = states[needs].state if needs in states else "not known to it"
        cause = f"{needs} is in etcd, but the agent has it {state}"
        remedy = Remedy(None, "fix that key first; the agent goes on by itself then")
    else:
        cause = f"{needs} is not in etcd"
        remedy = Remedy(None, "have it written; the agent goes on by itself then")
    return Difference(key, AGENT, "Pending", f"it waits for {name} ({label})", cause, remedy)


def _left(desired: DesiredKeys, status: ValueStatus) -> Difference:
    what = f"it holds the value ({status.state}), and etcd has no such key"
    is_ours = desired.ranges.owns(status.key) or status.key in desired.shared
    return explained(status.key, AGENT, "NotInEtcd" if is_ours else FOREIGN, what)
