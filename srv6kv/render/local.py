"""The local endpoints of all services together: which of them packets can reach, and by what.

A pod has one localsid and one route, however many services list it, and one pair of rule chains
for each sandbox. SIDs are unique on a node: of two endpoints that want one, the localsid in etcd
decides, else the host comes before pods and the lower address before the higher.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from srv6kv import sids
from srv6kv.addresses import to_int
from srv6kv.agent.validity import fault_of
from srv6kv.agent.values import AgentValue, Namespace, RuleChain
from srv6kv.agent.wiring import Unwired, Wired
from srv6kv.cluster import Cluster
from srv6kv.kube.model import Ref
from srv6kv.notes import Note
from srv6kv.render import endpoint
from srv6kv.render.endpoint import Translation
from srv6kv.render.parts import Parts
from srv6kv.render.service import HOST, Receivers
from srv6kv.settings import Settings
from srv6kv.topology import Topology, host_end_of

_HOST_WIRING = Wired(endpoint.HOST_INTERCONNECT, Namespace())


class LocalEndpoints:
    """Local pods, by address, and the host, by ``HOST``, while some service lists them."""

    def __init__(self, parts: Parts, settings: Settings) -> None:
        self._parts = parts
        self._settings = settings
        self._receivers: dict[Ref, Receivers] = {}
        self._answering: dict[str, dict[Ref, tuple[Translation, ...]]] = {}
        self._sid_of: dict[str, str] = {}
        self._wanting: dict[str, set[str]] = {}
        self._up: dict[str, Wired] = {}
        self._behind: dict[str, set[str]] = {}

    def is_up(self, address: str) -> bool:
        """Whether packets reach a local endpoint."""
        return address in self._up

    def listed(self, addresses: Iterable[str]) -> set[str]:
        """Those of the addresses that a service lists."""
        return self._answering.keys() & addresses

    def all_listed(self) -> set[str]:
        """Every local endpoint."""
        return set(self._answering)

    def services(self) -> set[Ref]:
        """Every service that has local endpoints."""
        return set(self._receivers)

    def list_for(self, ref: Ref, new: Receivers) -> set[str]:
        """Let these be the local endpoints of a service; those that came, went or changed."""
        old = self._receivers.pop(ref, Receivers())
        if new.pods:
            self._receivers[ref] = new
        touched = {
            address
            for address in old.pods.keys() | new.pods.keys()
            if old.pods.get(address) != new.pods.get(address)
        }
        for address in touched:
            listed = self._answering.setdefault(address, {})
            listed.pop(ref, None)
            if address in new.pods:
                listed[ref] = new.pods[address]
        return touched

    def settle(self, touched: set[str], cluster: Cluster, topology: Topology) -> set[Ref]:
        """Make the objects of touched endpoints; the services whose reach has changed."""
        affected = set(touched)
        for address in touched:
            affected |= self._claim_sid(address)
        refs: set[Ref] = set()
        sandboxes: set[str] = set()
        for address in sorted(affected):
            before = self._up.get(address)
            after = self._raise(address, cluster, topology)
            if (before is None) != (after is None):
                refs |= self._answering.get(address, {}).keys()
            sandboxes |= self._move(address, before, after)
        for sandbox in sorted(sandboxes):
            self._parts.replace(("sandbox", sandbox), self._chains(sandbox))
        return refs

    def _claim_sid(self, address: str) -> set[str]:
        """Note the SID that an endpoint wants; the others that want the same or wanted the old."""
        old = self._sid_of.pop(address, None)
        rivals: set[str] = set()
        if old is not None:
            self._wanting[old].discard(address)
            rivals |= self._wanting[old]
            if not self._wanting[old]:
                del self._wanting[old]
        if not self._answering.get(address):
            self._answering.pop(address, None)
            return rivals
        prefixes = self._settings.sid
        sid = (
            sids.host_sid(prefixes.host) if address == HOST else sids.sid_of(prefixes.pod, address)
        )
        self._sid_of[address] = sid
        rivals |= self._wanting.setdefault(sid, set())
        self._wanting[sid].add(address)
        return rivals

    def _raise(self, address: str, cluster: Cluster, topology: Topology) -> Wired | None:
        """Make or remove localsid and route of an endpoint; its wiring if packets reach it."""
        self._up.pop(address, None)
        part = ("endpoint", address)
        if address not in self._answering:
            self._parts.remark(part)
            self._parts.replace(part, ())
            return None
        wired = self._wiring_of(address, cluster, topology)
        if isinstance(wired, Note):
            self._parts.remark(part, wired)
            self._parts.replace(part, ())
            return None
        self._parts.remark(part)
        self._parts.replace(part, self._objects(address, wired, topology))
        self._up[address] = wired
        return wired

    def _objects(self, address: str, wired: Wired, topology: Topology) -> list[AgentValue]:
        own = topology.own
        if address != HOST:
            sid = self._sid_of[address]
            return list(endpoint.pod_objects(address, sid, wired, self._settings))
        assert own is not None
        assert own.id is not None
        return list(endpoint.host_objects(own.id, self._settings))

    def _wiring_of(self, address: str, cluster: Cluster, topology: Topology) -> Wired | Note:
        """How packets get to an endpoint once decapsulated, or why they do not."""
        sid = self._sid_of[address]
        subject = f"Endpoint {address}" if address != HOST else f"Node {topology.own_name}"
        rival = self._rival(address, sid, cluster, topology)
        if rival is not None:
            return Note(subject, "SidCollision", f"SID {sid} is taken by {rival}; no localsid")
        if address == HOST:
            problem = self._host_problem(topology)
            return Note(subject, "HostWiringUnknown", problem) if problem else _HOST_WIRING
        wired = cluster.wiring.of(address)
        if isinstance(wired, Unwired):
            text = f"{wired.missing}; no localsid until it is known"
            return Note(subject, "PodWiringUnknown", text)
        values = [*self._objects(address, wired, topology), *endpoint.rule_chains(wired, {})]
        fault = next(filter(None, map(fault_of, values)), None)
        if fault is not None:
            return Note(subject, "InvalidValue", f"{fault}; no localsid")
        return wired

    def _host_problem(self, topology: Topology) -> str | None:
        own = topology.own
        if own is None or own.id is None:
            return "spec.podCIDR: the node's id is not known; no localsid for its host"
        try:
            host_end_of(own.id, self._settings)
        except ValueError as error:
            return f"spec.podCIDR: {error}; no localsid for its host"
        return None

    def _rival(self, address: str, sid: str, cluster: Cluster, topology: Topology) -> str | None:
        """Who else has this SID."""
        for peer in topology.peers.values():
            if peer.sid == sid:
                return f"Node {peer.name}"
        if sid == sids.discard_sid(self._settings.sid.node):
            return "the discard SID"
        wanting = self._wanting[sid]
        if len(wanting) == 1:
            return None
        held = cluster.held.get(sid)

        def order(item: str) -> tuple[bool, int]:
            if item != HOST:
                return (item != held, to_int(item))
            is_known = self._host_problem(topology) is None
            own = topology.own
            end = host_end_of(own.id, self._settings) if is_known and own and own.id else None
            return (end != held, -1)

        first = min(wanting, key=order)
        if first == address:
            return None
        return f"Endpoint {first}" if first != HOST else "the host of this node"

    def _move(self, address: str, before: Wired | None, after: Wired | None) -> set[str]:
        """Keep track of who is behind which sandbox; the sandboxes concerned."""
        sandboxes = set()
        if address != HOST and before is not None:
            self._behind[before.sandbox].discard(address)
            sandboxes.add(before.sandbox)
        if address != HOST and after is not None:
            self._behind.setdefault(after.sandbox, set()).add(address)
            sandboxes.add(after.sandbox)
        return sandboxes

    def _chains(self, sandbox: str) -> Iterable[RuleChain]:
        pods = sorted(self._behind[sandbox])
        if not pods:
            del self._behind[sandbox]
            return ()
        items = {pod: chain.from_iterable(self._answering[pod].values()) for pod in pods}
        return endpoint.rule_chains(self._up[pods[0]], items)
