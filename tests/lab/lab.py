"""The whole lab: etcd, two nodes with VPP, agent and srv6kv, their pods, hosts and clients."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from etcd_server import free_port
from processes import Process, srv6kv

from lab import cluster, cni, hostproxy, topology
from lab.agentserver import Agent, Machine
from lab.binaries import Binaries
from lab.children import Failed
from lab.leftovers import Leftovers
from lab.netns import Netns, namespaces
from lab.topology import NODES, Node, Pod
from lab.traffic import Servers
from lab.vppserver import Vpp
from srv6kv.errors import Unavailable
from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store
from srv6kv.ligato import keys

MACHINE = "machine"
"""The namespace of the VPPs and their agents."""
LOGS = "SRV6KV_LAB_LOGS"
"""A folder that log files are copied to when the lab ends."""
SECONDS = 120.0
HOST_PORTS = {1: ("TCP/32379", "TCP/6443"), 2: ("TCP/9100",)}


class LabNode:
    """One node: VPP, its agent, and srv6kv beside it."""

    def __init__(self, lab: Lab, node: Node) -> None:
        self.node = node
        self.name = node.name
        self._lab = lab
        folder = lab.folder / node.name
        commands = lab.srv6kv("vpp-exec", *lab.files(), "--node", node.name).splitlines()
        prefix = f"{lab.leftovers.links}{node.number}"
        self.vpp = Vpp(lab.binaries, folder, lab.machine.place, prefix, commands)
        self.agent = Agent(lab.binaries, folder, node.name, lab.machine, self.vpp)
        self.run: Process | None = None

    @property
    def prefix(self) -> str:
        """How the agent's keys begin in etcd."""
        return f"{keys.AGENT}{self.name}/"

    def start(self) -> None:
        """Start VPP and then its agent."""
        self.vpp.start()
        self.agent.start()

    def start_run(self, *more: str) -> None:
        """Start ``srv6kv run``."""
        options = ("--label", self.name, "--etcd", self._lab.endpoint)
        self.run = Process(
            *("run", "--manifests", self._lab.manifests, "--config", self._lab.config),
            *("--node", self.name, *options, "--agent-rest", self.agent.url),
            *("--listen", "127.0.0.1:0", *more),
        )

    def stop_run(self) -> None:
        """End ``srv6kv run``; its keys stay."""
        if self.run is not None and self.run.is_running:
            self.run.stop()
        self.run = None

    def restart(self) -> None:
        """Restart VPP and agent together: an agent alone takes its interfaces away."""
        self.agent.stop()
        self.vpp.stop()
        self.start()

    def stop(self) -> None:
        """End all three."""
        self.stop_run()
        self.agent.stop()
        self.vpp.stop()

    def put(self, values: dict[str, cni.Json]) -> None:
        """Write keys (short form) that are not srv6kv's."""
        for key, value in values.items():
            self._lab.store.put(self.prefix + key, json.dumps(value))

    def keys(self) -> dict[str, bytes]:
        """What etcd has for the agent, by short key."""
        snapshot = self._lab.store.read([self.prefix + keys.CONFIG])
        return {
            item.key.removeprefix(self.prefix): item.value
            for item in snapshot.entries
            if item.value is not None
        }

    def unfinished(self) -> dict[str, str]:
        """The agent's keys that are not CONFIGURED, each with its state."""
        try:
            return self.agent.unfinished(set(self.keys()))
        except Unavailable as error:
            return {"the agent": str(error)}

    def plan(self) -> str:
        """What srv6kv would still write."""
        options = ("--label", self.name, "--etcd", self._lab.endpoint)
        return self._lab.srv6kv("plan", *self._lab.files(), "--node", self.name, *options)


class Lab:
    """Everything, until it is closed; made by ``start``.

    Attributes:
        folder: where its files are.
        manifests: the folder with the cluster's objects, watched by ``srv6kv run``.
        config: contiv.conf.
        etcd: the server, which may be stopped and started.
        endpoint: its host:port.
        machine: where VPPs and agents run.
        store: a client of it.
        places: the namespaces by the names of pods, hosts and clients outside.
        servers: what answers in them.
        nodes: by their number.
    """

    def __init__(self, binaries: Binaries) -> None:
        self.binaries = binaries
        self.leftovers = Leftovers()
        self._undo = ExitStack()
        self._undo.callback(self._sweep)
        self.folder = self.leftovers.folder
        self.manifests = self.folder / "manifests"
        self.config = self.folder / "contiv.conf"
        self.is_tap = cni.has_tap()
        self.nodes: dict[int, LabNode] = {}

    def start(self) -> None:
        """Start all of it, and return when every key is CONFIGURED.

        Raises:
            Failed: something does not come up.
        """
        self._write_files()
        forwards = {name: name.startswith("host") for name in topology.names()}
        self.places = self._undo.enter_context(
            namespaces(self.leftovers.namespaces, {MACHINE: False, **forwards})
        )
        self._start_etcd()
        self.servers = Servers()
        self._undo.callback(self.servers.close)
        for number in NODES:
            self._start_node(number)
        for one in self.nodes.values():
            one.start_run()
        self._serve()
        self.wait_until_programmed()

    def close(self) -> None:
        """End it; nothing is left."""
        self._undo.close()

    def place(self, name: str) -> Netns:
        """The namespace of a pod, a host or a client outside."""
        return self.places[name]

    def files(self) -> tuple[str | Path, ...]:
        """The options with which commands read the cluster."""
        return "--manifests", self.manifests, "--config", self.config

    def apply(self, name: str, objects: Sequence[cluster.Json]) -> None:
        """Save objects under the name of a file, in place of those that it had."""
        path = self.manifests / f"{name}.json"
        made = self.folder / f"{name}.new"
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        made.write_text(json.dumps(listed, indent=1))
        made.replace(path)

    def remove(self, name: str) -> None:
        """Delete the file with that name, and with it its objects."""
        (self.manifests / f"{name}.json").unlink()

    @contextmanager
    def changed(self, service: cluster.Service) -> Iterator[None]:
        """Save a service, which is programmed in the block, and put back what was there before."""
        before = cluster.manifests().get(service.name)
        self.apply(service.name, service.objects())
        self.wait_until_programmed()
        try:
            yield
        finally:
            if before is None:
                self.remove(service.name)
            else:
                self.apply(service.name, before)
            self.wait_until_programmed()

    def objects(self) -> list[cluster.Json]:
        """All objects of the cluster as they are now."""
        return [
            item
            for path in sorted(self.manifests.glob("*.json"))
            for item in json.loads(path.read_text())["items"]
        ]

    def wait_until_programmed(
        self, numbers: Iterable[int] = NODES, seconds: float = SECONDS
    ) -> None:
        """Return when srv6kv has written everything and the agents have done it.

        Raises:
            Failed: it takes too long.
        """
        deadline = time.monotonic() + seconds
        for number in numbers:
            while left := self._left(number):
                if time.monotonic() > deadline:
                    raise Failed(f"node{number} is not programmed: {left}")
                time.sleep(0.1)
        for number in NODES:
            hostproxy.install(self.place(topology.node(number).host), self.objects())

    def srv6kv(self, *arguments: str | Path) -> str:
        """What a command prints that must succeed.

        Raises:
            Failed: it does not.
        """
        done = srv6kv(*arguments)
        if done.returncode:
            raise Failed(f"srv6kv {' '.join(map(str, arguments))}: {done.stderr}")
        return done.stdout

    def _left(self, number: int) -> str:
        """What is not done yet on a node, "" if everything is."""
        one = self.nodes[number]
        if one.run is not None and not one.run.is_running:
            raise Failed(f"srv6kv run has ended: {one.run.lines[-5:]}")
        if not one.vpp.is_running or not one.agent.is_running:
            raise Failed(f"VPP or the agent of {one.name} has ended")
        if plan := one.plan().strip():
            return f"to be written: {plan[:2000]}"
        unfinished = one.unfinished()
        return json.dumps(unfinished, indent=1)[:4000] if unfinished else ""

    def _write_files(self) -> None:
        self.manifests.mkdir()
        self.config.write_text(cluster.settings())
        for name, objects in cluster.manifests().items():
            self.apply(name, objects)

    def _start_etcd(self) -> None:
        """Start it for us on loopback, and for the agents on the link to their namespace."""
        place = self.places[MACHINE]
        own, other = place.join(f"{self.leftovers.links}m", self.leftovers.number)
        port = free_port()
        urls = f"http://127.0.0.1:{port},http://{own}:{port}"
        options = (f"--listen-client-urls={urls}", f"--advertise-client-urls={urls}")
        self.etcd = self._undo.enter_context(EmbeddedEtcd(self.folder / "etcd", options=options))
        self.endpoint = f"127.0.0.1:{port}"
        self.store = Etcd3Store([self.endpoint])
        self._undo.callback(self.store.close)
        self.machine = Machine(place, other, f"{own}:{port}")

    def _start_node(self, number: int) -> None:
        node = topology.node(number)
        one = self.nodes[number] = LabNode(self, node)
        self._undo.callback(one.stop)
        names = (self.leftovers.namespaces, self.leftovers.links)
        one.put(cni.node_keys(node, *names, self.folder / "memif.sock", is_tap=self.is_tap))
        for pod in node.pods:
            one.put(self.keys_of(pod))
        # A packet for the host's own address comes in at the interconnect and ends there.
        host = self.place(node.host)
        host.run("ip", "-6", "addr", "add", f"{node.host_address}/128", "dev", "lo", "nodad")
        one.start()

    def keys_of(self, pod: Pod) -> dict[str, cni.Json]:
        """The keys that attach a pod."""
        names = (self.leftovers.namespaces, self.leftovers.links)
        return cni.pod_keys(pod, topology.node(pod.node), *names, is_tap=self.is_tap)

    def _serve(self) -> None:
        for pod in topology.PODS:
            self.servers.add(self.place(pod.name), pod.name, pod.ports)
        for number, ports in HOST_PORTS.items():
            host = topology.node(number).host
            self.servers.add(self.place(host), host, ports)

    def _sweep(self) -> None:
        logs = os.environ.get(LOGS)
        self.leftovers.sweep(Path(logs) if logs else None)


@contextmanager
def started(binaries: Binaries) -> Iterator[Lab]:
    """A lab that is ready, until the block ends."""
    lab = Lab(binaries)
    try:
        lab.start()
        yield lab
    finally:
        lab.close()
