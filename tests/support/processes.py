"""Real processes of srv6kv, the sample cluster around them, and what they are told.

Address plan: that of ``examples/seed``. Node 1 is the node under test, its pods with wiring are
``2001:0:0:1::2``, ``::3``, ``::5`` and ``::6``; services live in ``2096::/110``.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import starts
from click.testing import CliRunner
from etcd_server import SECONDS
from history import MARK, POLICY, State

from srv6kv.cli import cluster, main
from srv6kv.etcd.embedded import EmbeddedEtcd, Leash, freeze
from srv6kv.etcd.store import Etcd3Store, writer_key
from srv6kv.etcd.values import KeyValue
from srv6kv.foreign import typed
from srv6kv.txn.transaction import FullKey

SEED = Path(__file__).parents[2] / "examples" / "seed"
NODE = "node1"
AGENT_STATE = SEED / "agent-state-node1.json"
CHANGED_SERVICE = SEED / "change" / "myservice.yaml"
MYSERVICE = POLICY + "5555::d765"


def environment(**more: str) -> dict[str, str]:
    """Ours without what would be an option of srv6kv."""
    ours = (
        *("CONTIV_CONFIG", "MICROSERVICE_LABEL", "NODE_NAME", "SRV6KV_ETCD"),
        *("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"),
    )
    return {**{k: v for k, v in os.environ.items() if k not in ours}, **more}


IN_HERE = frozenset(
    ["doctor", "explain", "get", "plan", "render", "simulate", "trace", "verify", "vpp-exec"]
)
"""Commands that only look, without threads or handlers of signals of their own."""


def srv6kv(
    *arguments: str | Path, stdin: str | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """What a command does that ends by itself; in this process where that is the same, which spares
    the start of another."""
    words = [str(one) for one in arguments]
    if words[0] in IN_HERE:
        return _done_in_here(words, stdin or "", environment(**more))
    with TemporaryFile("w+") as given, TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        given.write(stdin or "")
        given.seek(0)
        files = [one.fileno() for one in (given, out, err)]
        process = starts.begin(words, environment(**more), *files)
        try:
            code = process.wait(60)
        finally:
            process.kill()
            process.wait()
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(words, code, out.read(), err.read())


def _done_in_here(
    words: list[str], stdin: str, env: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    code: str | int | None = 0
    changes = {**dict.fromkeys(os.environ.keys() - env.keys()), **env}
    before, sys.argv = sys.argv, ["srv6kv", *words]
    try:
        with CliRunner().isolation(stdin, changes) as (out, err, _):
            try:
                main()
            except SystemExit as ended:
                code = ended.code
            sys.stdout.flush()
            sys.stderr.flush()
            said, complained = out.getvalue().decode(), err.getvalue().decode()
    finally:
        sys.argv = before
    assert isinstance(code, int)
    return subprocess.CompletedProcess(words, code, said, complained)


def example_of(command: str) -> str:
    """What the help of a command gives as its example, in one line."""
    text = srv6kv(command, "--help").stdout
    return text.partition("Example:")[2].partition("Options:")[0].replace("\\\n", " ")


def fields_of(value: Any) -> set[str]:
    """The names of all members in a value of JSON, at any depth."""
    if isinstance(value, list):
        return {name for item in value for name in fields_of(item)}
    if not isinstance(value, dict):
        return set()
    return {*value, *fields_of(list(value.values()))}


def done_as_written(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What a command line does where ``examples`` is as in a checkout."""
    (folder / "examples").symlink_to(SEED.parent)
    return subprocess.run(
        [sys.executable, "-m", *line.split()],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(),
    )


class Process:
    """A command that goes on, with the lines of its standard error."""

    def __init__(self, *arguments: str | Path) -> None:
        self.lines: list[str] = []
        self._condition = threading.Condition()
        heard, said = os.pipe()
        self._stderr = open(heard)  # noqa: SIM115  closed when the process has ended
        with open(os.devnull, "r+") as nothing, open(said, "w") as stderr:
            files = (nothing.fileno(), nothing.fileno(), stderr.fileno())
            self._process = starts.begin([*map(str, arguments)], environment(), *files)
        self._leash = Leash(self._process.pid)
        self._reader = threading.Thread(target=self._read, name="test-stderr", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._stderr:
            with self._condition:
                self.lines.append(line.rstrip("\n"))
                self._condition.notify_all()
        with self._condition:
            self._condition.notify_all()

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def said(self, text: str) -> list[str]:
        """The lines with that text so far."""
        with self._condition:
            return [line for line in self.lines if text in line]

    def wait_for(self, text: str, seconds: float = SECONDS, times: int = 1) -> str:
        """The line with that text, as soon as it is there that often; fails if it never comes."""
        deadline = time.monotonic() + seconds
        with self._condition:
            while len(found := [line for line in self.lines if text in line]) < times:
                left = deadline - time.monotonic()
                if left <= 0 or not self._reader.is_alive():
                    raise AssertionError(f"{text!r} did not come; it said {self.lines}")
                self._condition.wait(left)
            return found[times - 1]

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; one that is to be stopped has stopped then."""
        if number is not signal.SIGSTOP:
            self._process.send_signal(number)
        elif isinstance(self._process, starts.Forked):
            self._process.freeze()
        else:
            freeze(self._process)

    def kill(self) -> None:
        """End it as a crash would, and wait until it has."""
        self._process.kill()
        self.wait()

    def wait(self, seconds: float = SECONDS) -> int:
        """Its exit code, as soon as it has ended and all it said is here."""
        self._leash.let_off()
        code = self._process.wait(seconds)
        self._reader.join(seconds)
        self._stderr.close()
        return code

    def stop(self) -> int:
        """End it in good order; its exit code."""
        self.send(signal.SIGTERM)
        return self.wait()


class Bench:
    """A node of the sample cluster: manifests and settings in files, wiring in etcd.

    Attributes:
        etcd: the options that say where etcd is, and how to get in.
    """

    def __init__(self, folder: Path, server: EmbeddedEtcd, label: str) -> None:
        typed.prepare()  # benches are used in threads
        self.folder = folder
        self.server = server
        self.etcd: list[str | Path] = ["--etcd", server.endpoint]
        self.label = label
        self.manifests = folder / "manifests"
        self.config = folder / "contiv.conf"
        self.prefix = f"/vnf-agent/{label}/"
        self.processes: list[Process] = []
        self.foreign: State = {}
        shutil.copytree(SEED / "manifests", self.manifests)
        shutil.copy(SEED / "contiv.conf", self.config)

    def load_agent_state(self, store: Etcd3Store) -> None:
        """Write the wiring that a CNI would have written."""
        for key, value in json.loads(AGENT_STATE.read_text()).items():
            self.put_foreign(store, key, json.dumps(value))

    def put_foreign(self, store: Etcd3Store, key: str, value: str) -> None:
        """Write a key that is not ours."""
        store.put(self.prefix + key, value)
        self.foreign[key] = value.encode()

    def interfere(self, store: Etcd3Store, edits: Mapping[str, str | bytes | None]) -> None:
        """Put or delete keys of ours (short form) in one revision, in the part of somebody else."""
        make = store.transactions
        operations = [
            make.delete(self.prefix + key) if value is None else make.put(self.prefix + key, value)
            for key, value in edits.items()
        ]
        self.foreign[MARK] = b""
        store.transaction([], [*operations, make.put(self.prefix + MARK, "")], [])

    def settings(self, *lines: str, replace: Mapping[str, str] | None = None) -> None:
        """Other settings: the seed's with these lines added and texts replaced."""
        text = (SEED / "contiv.conf").read_text()
        for old, new in (replace or {}).items():
            assert old in text
            text = text.replace(old, new)
        self.config.write_text("\n".join([text, *lines, ""]))

    def options(self) -> list[str | Path]:
        """What every command is told."""
        return [
            *("--manifests", self.manifests),
            *("--config", self.config),
            *("--node", NODE),
            *("--label", self.label),
            *self.etcd,
        ]

    def run(self, *more: str | Path) -> Process:
        """Start ``srv6kv run``; it listens on a port of its own."""
        process = Process("run", *self.options(), "--listen", "127.0.0.1:0", *more)
        self.processes.append(process)
        return process

    def edit(self, name: str, text: str) -> None:
        """Save a manifest."""
        (self.manifests / name).write_text(text)

    def change(self) -> None:
        """Save the sample's change: a second endpoint of myservice."""
        self.edit("myservice.yaml", CHANGED_SERVICE.read_text())

    def restore(self) -> None:
        """Save myservice as it was."""
        self.edit("myservice.yaml", (SEED / "manifests" / "myservice.yaml").read_text())

    def expected(self) -> State:
        """What etcd is to hold below the label: the manifests rendered at once, and the rest."""
        files = cluster.read_files([self.manifests], self.config, NODE, self.label)
        files.reconciler.reset(
            KeyValue(FullKey(self.prefix + key), value, number)
            for number, (key, value) in enumerate(self.foreign.items(), start=1)
        )
        wanted = files.reconciler.plan().values
        return self.foreign | {key: value for key, value in wanted.items() if value is not None}

    def end(self) -> None:
        """End what is still running."""
        for process in self.processes:
            if process.is_running:
                process.kill()


def drop_writer(store: Etcd3Store, label: str) -> None:
    """End the lease of a writer that is dead, which etcd would do after its time."""
    value, metadata = store.get(writer_key(label))
    if value is not None:
        store.revoke_lease(metadata.lease_id)


def service(name: str, address: str, endpoints: Sequence[str], port: int = 80) -> str:
    """A manifest of a service of the namespace default with endpoints on node 1."""
    items = [
        {"addresses": [one], "conditions": {"ready": True}, "nodeName": NODE} for one in endpoints
    ]
    bodies: list[dict[str, Any]] = [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "type": "ClusterIP",
                "clusterIP": address,
                "clusterIPs": [address],
                "ipFamilies": ["IPv6"],
                "ports": [{"name": "http", "protocol": "TCP", "port": port}],
            },
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{name}-1",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": "IPv6",
            "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
            "endpoints": items,
        },
    ]
    return "".join(f"---\n{json.dumps(body)}\n" for body in bodies)
