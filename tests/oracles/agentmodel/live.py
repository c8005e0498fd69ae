"""An agent that follows a real etcd: one watch a model, one transaction a key, and what it writes
back (agent rules A36, A38 and A39)."""

from __future__ import annotations

import json
import queue
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

from agentmodel import values
from agentmodel.agent import Agent
from agentmodel.graph import State, Status
from agentmodel.rest import serve, status_json
from agentmodel.vpp import FakeVpp
from srv6kv.errors import Conflict, Srv6kvError
from srv6kv.etcd.store import Change, Etcd3Store

SECONDS = 15.0
HURRY = 50.0
"""How much faster than the clock the agent's retries come."""
LEASE = 60
_COMPACTED = re.compile(r"revisions before (\d+) are compacted")

Work = Callable[[], None]


class LiveAgent:
    """An agent in a thread of its own, over a VPP of its own, until ``stop``.

    Args:
        address: of etcd, ``host:port``.
        label: of the agent.
        publishes_status: whether ``config-status`` is written (``ENABLE_STATUS_PUBLISHING``).
        age: seconds that it has lived when this begins.
        options: as of ``Agent``.

    Attributes:
        agent: for reading, within ``settled`` or after ``wait``.
        vpp: its VPP.
        rest_url: of its REST server.
    """

    def __init__(
        self,
        address: str,
        label: str,
        *,
        publishes_status: bool = True,
        vpp: FakeVpp | None = None,
        age: int = 0,
        **options: Any,
    ) -> None:
        self.vpp = vpp or FakeVpp()
        self.agent = Agent(self.vpp, **options)
        self.prefix = f"/vnf-agent/{label}/"
        self.lock = threading.RLock()
        self._store = Etcd3Store([address])
        self._publishes = publishes_status
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._watches: dict[str, Any] = {}
        self._seen: dict[str, int] = {}
        self._published: set[str] = set()
        self._lease: Any = None
        self._started = int(time.time())
        self._age = age
        self._ends = ExitStack()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="agent-model", daemon=True)
        self._thread.start()
        self.rest_url = self._ends.enter_context(serve(self.agent, self.lock))
        self._port = int(self.rest_url.rpartition(":")[2])
        self._do(self._start)

    # Life ---------------------------------------------------------------------------------------

    def stop(self) -> None:
        """The process ends; its leased keys go, the others stay."""
        if not self._thread.is_alive():
            return
        self._do(self._end)
        self._work.put(None)
        self._thread.join(SECONDS)
        self._ends.close()
        self._store.close()

    def __enter__(self) -> LiveAgent:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def restart_agent(self) -> None:
        """The agent ends and comes again over the living VPP."""
        self._do(self._end)
        self._do(self._start)

    def leave(self) -> None:
        """The agent ends; nobody answers for it."""
        self._ends.close()
        self._do(self._end)

    def come_back(self) -> None:
        """It begins again, with what etcd has."""
        self._do(self._start)
        self._ends.enter_context(serve(self.agent, self.lock, self._port))

    def mute(self) -> None:
        """It goes on, but its REST server does not answer."""
        self._ends.close()

    def unmute(self) -> None:
        """Its REST server answers again."""
        self._ends.enter_context(serve(self.agent, self.lock, self._port))

    def give(self, changes: Mapping[str, bytes | None]) -> None:
        """As of ``Agent``."""

        def give() -> None:
            self.agent.give(changes)
            self._publish()

        self._do(give)

    def restart_vpp(self) -> None:
        """VPP ends and comes again under the living agent."""
        self._do(self.vpp.restart)
        self._do(self._publish)

    def lose_vpp(self) -> None:
        """VPP ends and stays away for longer than the agent waits, then comes again: the agent does
        not notice, and goes on to say what it said."""
        self._do(lambda: setattr(self.agent, "lost_vpp", int(time.time())))
        self._do(self.vpp.restart)
        self._checked = ""
        self._do(self._publish)

    def restart_both(self) -> None:
        """As the images of the agent do it when either ends (agent rule A46)."""
        self._do(self._end)
        self._do(lambda: self._start(self.agent.restart_with_vpp))

    def disconnect(self) -> None:
        """The way to etcd is cut; the agent goes on with what it has."""
        self._do(self._unwatch)

    def reconnect(self) -> None:
        """The watches go on where they were, without any resync (agent rule A38)."""
        self._do(self._rewatch)

    def _start(self, begin: Work | None = None) -> None:
        self._started, self._age = int(time.time()) - self._age, 0
        self.agent.born = self._started
        self.agent.source = self._read
        (begin or self.agent.restart)()
        self._rewatch()
        self._publish()

    def _end(self) -> None:
        self._unwatch()
        self._seen.clear()
        if self._lease is not None:
            self._lease.revoke()
            self._lease = None
        self._published.clear()

    # Reading ------------------------------------------------------------------------------------

    def _read(self) -> dict[str, bytes]:
        """Every prefix at a revision of its own."""
        found = {}
        for model in values.MODELS:
            snapshot = self._store.read([self.prefix + model.prefix])
            self._seen[model.prefix] = max(snapshot.revision, self._seen.get(model.prefix, 0))
            for entry in snapshot.entries:
                found[entry.key.removeprefix(self.prefix)] = entry.value
        return found

    def _rewatch(self) -> None:
        for model in values.MODELS:
            self._watch(model.prefix)

    def _watch(self, prefix: str) -> None:
        self._watches[prefix] = self._store.watch(
            [self.prefix + prefix],
            self._seen[prefix] + 1,
            lambda changes, revision: self._work.put(partial(self._take, prefix, changes)),
            lambda error: self._work.put(partial(self._lost, prefix, error)),
        )

    def _unwatch(self) -> None:
        watches, self._watches = self._watches, {}
        for watch in watches.values():
            watch.cancel()

    def _take(self, prefix: str, changes: list[Change]) -> None:
        seen = self._seen.get(prefix, 0)
        for change in changes:
            if change.mod_revision <= seen or prefix not in self._watches:
                continue
            self._seen[prefix] = change.mod_revision
            self.agent.change(change.key.removeprefix(self.prefix), change.value)
        self._publish()

    def _lost(self, prefix: str, error: Srv6kvError) -> None:
        """After a compaction the watch goes on behind it; what was in it is lost (rule A38)."""
        found = _COMPACTED.search(str(error))
        if prefix not in self._watches:
            return
        if isinstance(error, Conflict) and found:
            self._seen[prefix] = int(found[1]) - 1
        self._watch(prefix)

    # Writing ------------------------------------------------------------------------------------

    def _publish(self) -> None:
        updates, self.agent.scheduler.updates = self.agent.scheduler.updates, []
        if self._publishes:
            for status in updates:
                self._put_status(status)
        self._put_check()

    def _put_status(self, status: Status) -> None:
        if self._lease is None:
            self._lease = self._store.lease(LEASE)
        key = self.prefix + status.key.replace("config/", "config-status/", 1)
        self._store.put(key, json.dumps(status_json(status)).encode(), lease=self._lease.id)
        self._published.add(status.key)

    def _put_check(self) -> None:
        now = str(int(time.time()))
        states = dict.fromkeys(("etcd", "govpp", "vpp-srplugin"), "OK")
        states["govpp"] = "ERROR" if self.agent.lost_vpp else "OK"
        plugins = [{"name": name, "state": state} for name, state in states.items()]
        body = {
            "state": states["govpp"],
            "start_time": str(self._started),
            "last_change": str(self._started),
            "last_update": now,
            "plugins": plugins,
        }
        checks = f"{self.prefix}check/status/v1/"
        if self._checked != now:
            self._checked = now
            self._store.put(f"{checks}agent", json.dumps(body).encode())
            for plugin in plugins:
                text = {"last_change": str(self._started), **plugin, "last_update": now}
                if plugin["name"] == "govpp" and self.agent.lost_vpp:
                    lost = self.agent.connection
                    text |= {"last_change": str(lost["last_change"]), "error": str(lost["error"])}
                self._store.put(f"{checks}plugin/{plugin['name']}", json.dumps(text).encode())

    _checked = ""

    # The thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        last = time.monotonic()
        while True:
            due = self.agent.scheduler.next_due
            wait = None if due is None else max(0.0, due - self.agent.scheduler.now) / HURRY
            try:
                work = self._work.get(timeout=wait)
            except queue.Empty:
                work = self._publish
            if work is None:
                return
            now = time.monotonic()
            with self.lock:
                try:
                    if due is not None:
                        self.agent.advance((now - last) * HURRY + 0.001)
                        self._publish()
                    work()
                except Exception as error:
                    self._failure = error
            last = now

    def _do(self, work: Work) -> None:
        """Let the thread do that; returns when it is done."""
        done = threading.Event()
        self._work.put(lambda: self._finish(work, done))
        if not done.wait(SECONDS):
            raise AssertionError("the agent's thread hangs")
        self._raise()

    def _finish(self, work: Work, done: threading.Event) -> None:
        try:
            work()
        finally:
            done.set()

    def _raise(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    # Waiting ------------------------------------------------------------------------------------

    def states(self) -> dict[str, Status]:
        """The states now."""
        with self.lock:
            return self.agent.states()

    def wait(self, holds: Callable[[Agent], bool], seconds: float = SECONDS) -> None:
        """Return when that holds of the agent between two events; fails if it never does."""
        deadline = time.monotonic() + seconds
        while True:
            self._raise()
            with self.lock:
                if holds(self.agent):
                    return
                left = self.agent.states()
            if time.monotonic() > deadline:
                odd = [one for one in left.values() if one.state != State.CONFIGURED]
                raise AssertionError(f"waited in vain: {odd[:5]} {self.agent.said[-3:]}")
            self._do(lambda: None)

    def wait_for(self, wanted: dict[str, bytes]) -> None:
        """Return when the agent knows exactly these keys (short) and has nothing to retry."""
        models = {key: text for key, text in wanted.items() if values.model_of(key)}
        self.wait(lambda agent: agent.values == models and agent.scheduler.next_due is None)
