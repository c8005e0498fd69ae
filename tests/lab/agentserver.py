"""The vpp-agent of one node: its settings, its process, and what it says of its values."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path

from lab.binaries import Binaries
from lab.children import Child
from lab.netns import Netns
from lab.vppserver import Vpp
from srv6kv.agent.rest import AgentRest
from srv6kv.errors import Unavailable
from srv6kv.ligato import keys

SECOND = 1_000_000_000
_DONE = ("CONFIGURED", "OBTAINED")


@dataclass(slots=True)
class Machine:
    """The namespace in which agents run: labels and links of other labs are not in it.

    An agent deletes the Linux interfaces that one with its label has made before: two labs, whose
    agents have the same labels, would delete each other's.

    Attributes:
        place: the namespace.
        address: where what listens in it is reached.
        etcd: host:port of etcd, as it is reached from it.
    """

    place: Netns
    address: str
    etcd: str
    _ports: Iterator[int] = field(default_factory=lambda: count(9100))

    def port(self) -> int:
        """A port that no other server in it has."""
        return next(self._ports)


class Agent:
    """One agent, which may be restarted.

    Args:
        binaries: where it is.
        folder: for its settings and its log.
        label: its microservice label.
        machine: where it runs, and how it is reached.
        vpp: what it programs.
    """

    def __init__(
        self, binaries: Binaries, folder: Path, label: str, machine: Machine, vpp: Vpp
    ) -> None:
        self._place = machine.place
        self._binaries = binaries
        self._folder = folder
        self._label = label
        self._vpp = vpp
        self._process: Child | None = None
        http, grpc = machine.port(), machine.port()
        self.url = f"http://{machine.address}:{http}"
        self.rest = AgentRest(self.url, timeout=10.0)
        self._write("http.conf", f'endpoint: "[::]:{http}"\n')
        self._write("grpc.conf", f'endpoint: "[::1]:{grpc}"\n')
        self._write(
            "etcd.conf",
            "insecure-transport: true\ndial-timeout: 1s\nallow-delayed-start: true\n"
            f'endpoints:\n - "{machine.etcd}"\n',
        )
        self.configure()

    def configure(self, reply_seconds: int = 1) -> None:
        """Set, from its next start on, how long it waits until it takes VPP for gone.

        Its own limits, 250 ms and one failure, are too narrow for a machine with other work. A VPP
        that has ended is noticed after one such time, one that is slow after ten.
        """
        self._write(
            "govpp.conf",
            f"binapi-socket-path: {self._vpp.api}\nstats-socket-path: {self._vpp.stats}\n"
            f"reply-timeout: {20 * SECOND}\n"
            f"health-check-reply-timeout: {reply_seconds * SECOND}\n"
            "health-check-threshold: 10\n",
        )

    @property
    def is_running(self) -> bool:
        """Whether it is there."""
        return self._process is not None and self._process.is_running

    def start(self, through: Sequence[str | Path] = (), **more: str) -> None:
        """Start it, and return when its REST server answers.

        Args:
            through: a program that starts it.
            more: what its environment has beside ours.

        Raises:
            Failed: it does not come up.
        """
        command = [*through, self._binaries.agent, f"--config-dir={self._folder}"]
        self._process = Child(
            self._folder / "agent.log",
            command,
            self._place,
            {"MICROSERVICE_LABEL": self._label, **more},
        )
        self._process.wait_until(self._answers, "the agent's REST server")

    def stop(self) -> None:
        """End it in good order."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()

    def states(self) -> dict[str, str]:
        """The state of each value by its key (short form), also of those that it found in VPP.

        Raises:
            Unavailable: it does not answer.
        """
        return {key: status.state for key, status in self.rest.statuses().items()}

    def unfinished(self, expected: set[str]) -> dict[str, str]:
        """The keys that are not as they should be, each with its state.

        Args:
            expected: the keys (short form) that etcd has.
        """
        states = self.states()
        found = {key: states.get(key, "unknown") for key in expected}
        found |= {key: state for key, state in states.items() if key.startswith(keys.CONFIG)}
        return {
            key: state if key in expected else f"{state}, not in etcd"
            for key, state in found.items()
            if state not in _DONE or (key not in expected and state == "CONFIGURED")
        }

    def errors(self) -> dict[str, str]:
        """What it says of the values that failed."""
        found = self.rest.statuses()
        return {key: status.error for key, status in found.items() if status.error}

    def times_of(self, key: str) -> list[tuple[float, float]]:
        """When it began and ended to do something about a value (Unix seconds).

        Args:
            key: the value's (short form).
        """
        with urllib.request.urlopen(f"{self.url}/scheduler/txn-history", timeout=60) as answer:
            found = json.load(answer)
        return [
            (_seconds(one["Start"]), _seconds(one["Stop"]))
            for one in found
            if any(done["Key"] == key for done in one.get("Executed") or ())
        ]

    def interfaces(self) -> dict[str, str]:
        """The names of its interfaces in VPP, by its own."""
        with urllib.request.urlopen(f"{self.url}/dump/vpp/v2/interfaces", timeout=30) as answer:
            found = json.load(answer).values()
        return {
            one["interface"]["name"]: one["interface_meta"]["internal_name"]
            for one in found
            if one["interface_meta"]["tag"]
        }

    def resync(self) -> None:
        """Have it read etcd again and make VPP follow."""
        request = urllib.request.Request(f"{self.url}/scheduler/downstream-resync", method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            json.load(answer)

    def _answers(self) -> bool:
        with contextlib.suppress(Unavailable):
            self.rest.statuses()
            return True
        return False

    def _write(self, name: str, text: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / name).write_text(text)


def _seconds(text: str) -> float:
    """A time of the agent's, which has nanoseconds."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")
