"""A seeded order of edits and faults for two sidecars of one node on three etcd members.

Each member is behind a proxy of its own; what happens is told by the members themselves.
"""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from pathlib import Path

from etcd_cluster import ClusterHistory, EtcdCluster
from etcd_server import eventually
from history import LOCALSID, POLICY, STEERING
from invariants import broken
from processes import CHANGED_SERVICE, NODE, Bench, Process, drop_writer, service
from tcp_proxy import TcpProxy

from srv6kv.errors import Refused, Unavailable
from srv6kv.etcd.store import Etcd3Store

CLOCK = "2096::e9"
"""The address of a service whose port counts the edits."""

COMMIT = b'"segment_lists"'
CLOCK_POD = "2001:0:0:1::6"
PODS = [f"2001:0:0:1::{number}" for number in (2, 3, 5, 6)]
EDITED = ("myservice", "extra", "5555::d765", "5555::e", "6666:0:0:1::5", "6666:0:0:1::6")
"""In keys that the edits may make go; the other policies, steerings and localsids stay."""

WITHIN = 30.0
BRIEF = 0.6
LONG = 7.0


class Schedule(ExitStack):
    """The whole: members, proxies, sidecars, and chance.

    Args:
        folder: where everything is.
        seed: the same seed is the same order of edits and faults.
        longest: seconds that a fault may last.

    Attributes:
        recoveries: by fault, the seconds from its end until etcd held what it should.
        counted: how often each fault was done.
        lost_commits: how many commits have met a proxy that lost them or their answer.
    """

    def __init__(self, folder: Path, seed: int, longest: float) -> None:
        super().__init__()
        self.recoveries: dict[str, list[float]] = {}
        self.counted: Counter[str] = Counter()
        self.lost_commits = 0
        self._longest = longest
        self._seeds = count(1000 * seed)
        self._chance = random.Random(next(self._seeds))
        self._generation = count(1000)
        self._faults = self._all_faults()
        self._members = self.enter_context(EtcdCluster(folder / "etcd"))
        self._endpoints = self._members.endpoints
        self._proxies = [self.enter_context(TcpProxy(endpoint)) for endpoint in self._endpoints]
        # A short deadline: a member may be frozen when it is asked.
        self._store = Etcd3Store(self._endpoints, timeout=1.0)
        self.callback(self._store.close)
        self.bench = Bench(folder / "bench", self._members.members[0], NODE)
        self.bench.settings("srv6kv:", "  replaceWindow: 20ms")
        self.bench.load_agent_state(self._store)
        self.bench.etcd = [part for one in self._proxies for part in ("--etcd", one.endpoint)]
        self.callback(self.bench.end)
        self.history = ClusterHistory(self._endpoints, self.bench.label)
        self.callback(self.history.close)
        self._edit()
        self._sidecars = [self.bench.run(), self.bench.run()]
        self.history.wait_for(self.bench.expected(), WITHIN)
        self._kept = [
            key
            for key in self.history.state()
            if key.startswith((POLICY, STEERING, LOCALSID))
            and not any(text in key for text in EDITED)
        ]

    def _all_faults(self) -> dict[str, Callable[[], None]]:
        return {
            "nothing": lambda: None,
            "sidecar killed": lambda: self._a_sidecar().kill(),
            "sidecar frozen": lambda: self._a_sidecar().send(signal.SIGSTOP),
            "member killed": lambda: self._chance.choice(self._members.members).kill(),
            "member frozen": lambda: self._chance.choice(self._members.members).pause(),
            "two members killed": lambda: self._kill_members(2),
            "all members killed": lambda: self._kill_members(3),
            "answer lost": lambda: self._each(lambda one: one.lose_answer(COMMIT)),
            "request lost": lambda: self._each(lambda one: one.lose_request(COMMIT)),
            "connections cut": lambda: self._each(TcpProxy.cut),
            "link dead": lambda: self._each(TcpProxy.freeze),
            "link slow": self._slow_down,
            "compacted": self._compact,
            "keys edited by others": self._interfere,
            "writer key gone": self._drop_writer,
        }

    def round(self) -> None:
        """Edits and one fault or two, for a while, and the way back."""
        # Anew in each round: how often chance is asked in one may depend on what happens in it.
        self._chance = random.Random(next(self._seeds))
        chosen = self._chance.sample(sorted(self._faults), self._chance.choice((1, 1, 2)))
        self._edit()
        for name in chosen:
            self.history.wait_for_news(self._chance.uniform(0.0, 0.2))
            self._faults[name]()
            self._edit()
            self.counted[name] += 1
        until = time.monotonic() + self._longest * self._chance.random() ** 2
        while (left := until - time.monotonic()) > 0:
            self.history.wait_for_news(left)
        self._end_faults()
        ended = time.monotonic()
        self._edit()
        self.history.wait_for(self.bench.expected(), WITHIN)
        if len(chosen) == 1:
            self.recoveries.setdefault(chosen[0], []).append(time.monotonic() - ended)

    def is_quiet(self, seconds: float) -> bool:
        """Whether nothing is written while nothing changes."""
        before = self.history.last()
        self.history.wait_for_silence(seconds)
        return self.history.last() == before

    def stop(self) -> list[int]:
        """End the sidecars in good order; their exit codes. One that has not begun yet, because the
        last fault killed it, would end by the signal."""
        for process in self._sidecars:
            process.wait_for(" start version=")
        return [process.stop() for process in self._sidecars]

    def breaches(self) -> list[str]:
        """Every breach of an invariant so far, once the sidecars have ended."""
        return broken(self.bench, self.history, kept=self._kept, clock=CLOCK)

    def _edit(self) -> None:
        """The clock goes on, and perhaps a manifest is changed, removed or comes."""
        bench, number = self.bench, self._chance.randrange(6)
        bench.edit("clock.yaml", service("clock", CLOCK, [CLOCK_POD], next(self._generation)))
        match self._chance.randrange(5):
            case 0:
                bench.edit("myservice.yaml", CHANGED_SERVICE.read_text())
            case 1:
                bench.restore()
            case 2:
                (bench.manifests / f"extra-{number}.yaml").unlink(missing_ok=True)
            case 3:
                pods = self._chance.sample(PODS, self._chance.randrange(5))
                text = service(f"extra-{number}", f"2096::e{number}", pods)
                bench.edit(f"extra-{number}.yaml", text)

    def _a_sidecar(self) -> Process:
        return self._chance.choice(self._sidecars)

    def _each(self, harm: Callable[[TcpProxy], None]) -> None:
        for proxy in self._proxies:
            harm(proxy)

    def _slow_down(self) -> None:
        delay = self._chance.uniform(0.01, 0.2)
        for proxy in self._proxies:
            proxy.delay = delay

    def _kill_members(self, number: int) -> None:
        for member in self._chance.sample(self._members.members, number):
            member.kill()

    def _compact(self) -> None:
        """Up to the newest revision, of which nobody here needs to be told any more."""
        with contextlib.suppress(Unavailable):
            revision = self._store.put("/compacted", "").header.revision
            self.history.wait_until_seen(revision)
            self._store.compact(revision)

    def _interfere(self) -> None:
        """Some of our keys are deleted or garbled."""
        ours = sorted(self.history.state().keys() & self.bench.expected().keys())
        mine = [key for key in ours if key.startswith((POLICY, STEERING, LOCALSID))]
        edits = {
            key: self._chance.choice((None, "{}", "not JSON"))
            for key in self._chance.sample(mine, self._chance.randint(1, 3))
        }
        # Not done is well too, if the members are down.
        with contextlib.suppress(Unavailable):
            self.bench.interfere(self._store, edits)

    def _drop_writer(self) -> None:
        with contextlib.suppress(Unavailable, Refused):
            drop_writer(self._store, self.bench.label)

    def _end_faults(self) -> None:
        """Everything is up and reachable again."""
        for proxy in self._proxies:
            has_lost = proxy.struck.is_set()
            if has_lost or self._chance.random() < 0.5:
                proxy.cut()
            self.lost_commits += has_lost
            proxy.forget()
            proxy.delay = 0.0
            proxy.thaw()
        self._members.revive()
        eventually(lambda: self._store.read([self.bench.prefix]), Unavailable)
        for index, process in enumerate(self._sidecars):
            if process.is_running:
                process.send(signal.SIGCONT)
            else:
                self._sidecars[index] = self.bench.run()
