"""What an etcd went through, revision by revision, and what must hold in between."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from etcd_server import SECONDS

from srv6kv.errors import Srv6kvError
from srv6kv.etcd.store import Change, Etcd3Store
from srv6kv.txn.transaction import FullKey

POLICY = "config/vpp/srv6/v2/policy/"
ROUTE = "config/vpp/v2/route/"
STEERING = "config/vpp/srv6/v2/steering/"
LOCALSID = "config/vpp/srv6/v2/localsid/"
MARK = "status/edited-by-others"
"""A revision that also puts this key was made by the test, in the part of somebody else."""

State = dict[str, bytes]


class History:
    """Every revision that etcd has had under a label, and those that come.

    Attributes:
        reached: the revisions at which a state was found that was waited for.
    """

    def __init__(self, store: Etcd3Store, label: str) -> None:
        self.prefix = f"/vnf-agent/{label}/"
        self.own_prefix = f"/srv6kv/{label}/"
        self.lost: list[Srv6kvError] = []
        self.reached: set[int] = set()
        self._store = store
        self._events: dict[int, list[Change]] = {}
        self._arrived: dict[int, float] = {}
        self._condition = threading.Condition()
        self._follow()

    def _follow(self) -> None:
        self._store.watch([self.prefix, self.own_prefix], 1, self._take, self.lost.append)

    def _take(self, changes: list[Change], revision: int) -> None:
        with self._condition:
            self._events.setdefault(revision, []).extend(changes)
            self._arrived.setdefault(revision, time.monotonic())
            self._condition.notify_all()

    def wait(self, holds: Callable[[], bool], seconds: float = SECONDS) -> float:
        """Return when that holds of this history, with the time at which it came to hold."""
        with self._condition:
            if not self._condition.wait_for(holds, seconds):
                raise AssertionError(f"waited in vain; newest revisions {self.newest()}")
            return time.monotonic()

    def wait_for(self, state: Mapping[str, bytes], seconds: float = SECONDS) -> None:
        """Return when the agent's keys are exactly these, and what led there has arrived too."""
        with self._condition:
            if not self._condition.wait_for(lambda: self.state() == state, seconds):
                raise AssertionError(f"not reached: {differences(self.state(), state)}")
            self.reached.add(self.last())
        self.catch_up()

    def catch_up(self) -> None:
        """Return when what etcd holds of srv6kv's own keys has arrived: it may run one prefix of a
        watch ahead of another."""
        revisions = {item.mod_revision for item in self._store.read([self.own_prefix]).entries}
        self.wait(lambda: revisions <= self._events.keys())

    def wait_for_news(self, seconds: float) -> None:
        """Return at the next revision, or after so many seconds."""
        with self._condition:
            self._condition.wait(seconds)

    def wait_for_silence(self, seconds: float) -> None:
        """Return when nothing has come for so many seconds."""
        with self._condition:
            while self._condition.wait(seconds):
                pass

    def newest(self) -> list[tuple[int, list[str]]]:
        """The last revisions with their keys, for messages."""
        return [(n, [c.key for c in self._events[n]]) for n in sorted(self._events)[-3:]]

    def revisions(self, after: int = 0) -> list[tuple[int, list[Change]]]:
        """The agent's keys by revision, in the order of their changes, as short keys."""
        with self._condition:
            return [
                (number, found)
                for number in sorted(self._events)
                if number > after and (found := self._short(self._events[number]))
            ]

    def _short(self, changes: Iterable[Change]) -> list[Change]:
        return [
            Change(FullKey(change.key.removeprefix(self.prefix)), change.value, change.mod_revision)
            for change in changes
            if change.key.startswith(self.prefix)
        ]

    def arrival(self, revision: int) -> float:
        """When a revision was seen here."""
        return self._arrived[revision]

    def last(self) -> int:
        """The last revision in which the agent's keys changed."""
        return max((number for number, _ in self.revisions()), default=0)

    def state(self, until: int | None = None) -> State:
        """The agent's keys, short, now or after a revision."""
        state: State = {}
        for number, changes in self.revisions():
            if until is None or number <= until:
                for change in changes:
                    _apply(state, change)
        return state

    def values(self, key: str) -> list[bytes | None]:
        """The values that a key has had, in their order."""
        return [c.value for _, changes in self.revisions() for c in changes if c.key == key]

    def own_values(self) -> list[tuple[str, bytes | None]]:
        """What srv6kv has noted about itself, change by change, without the writer key."""
        with self._condition:
            changes = [c for n in sorted(self._events) for c in self._events[n]]
        return [
            (change.key, change.value)
            for change in changes
            if change.key.startswith(self.own_prefix) and not change.key.endswith("/writer")
        ]

    def tenures(self) -> list[tuple[str, int, int | None]]:
        """Who wrote from which revision until before which: the identities of the writer key."""
        found: list[tuple[str, int, int | None]] = []
        with self._condition:
            changes = [c for n in sorted(self._events) for c in self._events[n]]
        for change in changes:
            if change.key != f"{self.own_prefix}writer":
                continue
            if change.value is None:
                found[-1] = (*found[-1][:2], change.mod_revision)
            else:
                found.append((change.value.decode(), change.mod_revision, None))
        return found


def _apply(state: State, change: Change) -> None:
    if change.value is None:
        state.pop(change.key, None)
    else:
        state[change.key] = change.value


def differences(one: Mapping[str, bytes], other: Mapping[str, bytes]) -> list[str]:
    """The keys in which two states differ, for messages."""
    return [
        f"{key}: {one.get(key)!r} instead of {other.get(key)!r}"
        for key in sorted(one.keys() | other.keys())
        if one.get(key) != other.get(key)
    ]


def violations(
    revisions: Iterable[tuple[int, Sequence[Change]]],
    foreign: Iterable[str] = (),
    whole: Iterable[int] = (),
) -> list[str]:
    """Where, between any two operations, the agent would have met a state it must never meet.

    What others damage is not our fault until it is mended.

    Args:
        revisions: those of a label, from the first.
        foreign: keys that do not count.
        whole: revisions at which everything was as it should be.
    """
    skipped, mended = {MARK, *foreign}, set(whole)
    damaged: set[str] = set()
    values: dict[str, Any] = {}
    found = []
    for number, changes in revisions:
        is_edit = any(change.key == MARK for change in changes)
        for change in changes:
            if change.key in skipped:
                continue
            values.pop(change.key, None)
            if is_edit:
                damaged.add(change.key)
                continue
            damaged.discard(change.key)
            if change.value is not None:
                values[change.key] = json.loads(change.value)
            if not damaged:
                found += [f"{number} after {change.key}: {fault}" for fault in _faults(values)]
        if number in mended:
            damaged.clear()
    return found


def _faults(values: Mapping[str, Any]) -> Iterator[str]:
    policies = {key.removeprefix(POLICY): value for key, value in _under(POLICY, values)}
    for bsid, policy in policies.items():
        lists = policy.get("segment_lists", [])
        if not lists:
            yield f"policy {bsid} has no list"
        for item in lists:
            if len(item["segments"]) == 1 and not _is_reached(item["segments"][0], values):
                yield f"policy {bsid}: localsid {item['segments'][0]} is missing"
        if any(other != bsid and other.startswith(bsid) for other in policies):
            yield f"policy {bsid} is the beginning of another BSID"
    taken = set()
    for key, steering in _under(STEERING, values):
        if steering["policy_bsid"] not in policies:
            yield f"{key} has no policy"
        traffic = steering["l3_traffic"]
        place = (traffic.get("installation_vrf_id", 0), traffic["prefix_address"])
        if place in taken:
            yield f"{key} is the second steering of {place}"
        taken.add(place)


def _is_reached(sid: str, values: Mapping[str, Any]) -> bool:
    """Whether a SID is here, or, as the end of a tunnel is, behind another node."""
    routes = (value for _, value in _under(f"{ROUTE}vrf/", values))
    hops = [r.get("next_hop_addr") for r in routes if r.get("dst_network") == f"{sid}/128"]
    return LOCALSID + sid in values or bool(hops and hops != ["::"])


def _under(prefix: str, values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in values.items() if key.startswith(prefix)]
