"""The cluster in, the desired state out; a change costs what it touches.

Rule: the result depends on the cluster alone. ``Renderer`` remembers what it made of each part and
makes anew only the parts that the cluster's dirt names; ``render`` is the same from nothing.
"""

from __future__ import annotations

from srv6kv.cluster import Cluster, Dirt
from srv6kv.kube.model import Ref, Service
from srv6kv.notes import Note
from srv6kv.render.claims import Claims
from srv6kv.render.desired import Delta, Desired, Steered
from srv6kv.render.local import LocalEndpoints
from srv6kv.render.node import node_objects, plumbing
from srv6kv.render.parts import Parts
from srv6kv.render.service import (
    Receivers,
    denial_of,
    notes_of_slices,
    receivers_of,
    senders_of,
)
from srv6kv.select import Candidates, candidates_of
from srv6kv.settings import Settings
from srv6kv.topology import Topology, topology_of


def render(cluster: Cluster, settings: Settings, own_name: str) -> Desired:
    """The state that the node ``own_name`` should have, from nothing but the cluster."""
    renderer = Renderer(settings, own_name)
    dirt = cluster.dirt
    renderer.update(cluster)
    cluster.dirt = dirt
    return renderer.desired


class Renderer:
    """Keeps a desired state in step with a cluster.

    Attributes:
        desired: the state after the last update.
    """

    def __init__(self, settings: Settings, own_name: str) -> None:
        self.desired = Desired()
        self._settings = settings
        self._parts = Parts(self.desired)
        self._local = LocalEndpoints(self._parts, settings)
        self._topology: Topology | None = None
        self._own_name = own_name
        self._claims = Claims[Ref]()
        self._admitted: dict[Ref, tuple[Service, Candidates] | Note] = {}
        self._steered_by: dict[Ref, Steered] = {}

    @property
    def rendered(self) -> int:
        """How many values were made so far."""
        return self._parts.rendered

    def update(self, cluster: Cluster) -> Delta:
        """Take in the cluster's dirt; what of the desired state may differ now."""
        dirt, cluster.dirt = cluster.dirt, Dirt()
        delta = self._parts.delta = Delta(is_urgent=dirt.lost_node)
        refs = set(dirt.services)
        is_new_topology = self._see_nodes(cluster, dirt)
        if is_new_topology:
            refs |= cluster.services.keys()
        refs |= self._settle_claims(refs, cluster)
        touched = self._local.listed(dirt.addresses)
        for ref in refs:
            touched |= self._receive(ref, cluster)
        if is_new_topology:
            touched |= self._local.all_listed()
        refs |= self._local.settle(touched, cluster, self._known_topology)
        self._steer({ref: self._send(ref, cluster) for ref in sorted(refs)})
        return delta

    @property
    def _known_topology(self) -> Topology:
        assert self._topology is not None
        return self._topology

    def _see_nodes(self, cluster: Cluster, dirt: Dirt) -> bool:
        """Whether the nodes differ in anything that a packet could notice."""
        if self._topology is not None and not dirt.nodes:
            return False
        topology = topology_of(cluster.nodes.values(), self._own_name, self._settings)
        self._parts.remark("nodes", *topology.notes)
        if topology == self._topology:
            return False
        self._topology = topology
        self._parts.replace("node", node_objects(topology, self._settings))
        self._parts.share(plumbing(topology.own, self._settings))
        return True

    def _settle_claims(self, refs: set[Ref], cluster: Cluster) -> set[Ref]:
        """Note which service wants which address; the rivals of those that changed."""
        rivals: set[Ref] = set()
        for ref in refs:
            service = cluster.services.get(ref)
            address = None if service is None or service.proxy_name else service.cluster_ip
            rivals |= self._claims.claim(ref, address)
        return rivals

    def _admit(self, ref: Ref, cluster: Cluster) -> Service | Note | None:
        """The service if it may have its address, else why not; None: nothing to render."""
        address = self._claims.wanted_by(ref)
        if address is None:
            return None
        subject = f"Service {ref}"
        denial = denial_of(address, self._known_topology, self._settings)
        if denial is not None:
            text = f"spec.clusterIP: {address} {denial}; the service is not rendered"
            return Note(subject, "AddressDenied", text)
        rivals = self._claims.of(address)
        owner = min(rivals, key=lambda rival: (cluster.services[rival].created, rival))
        if owner != ref:
            text = f"spec.clusterIP: {address} belongs to Service {owner}; this one is not rendered"
            return Note(subject, "ServiceIPConflict", text)
        return cluster.services[ref]

    def _receive(self, ref: Ref, cluster: Cluster) -> set[str]:
        """Work out a service's local endpoints; those that came, went or changed."""
        service = self._admit(ref, cluster)
        receivers = Receivers()
        self._admitted.pop(ref, None)
        if isinstance(service, Note):
            self._admitted[ref] = service
        elif service is not None:
            candidates = candidates_of(service, cluster.slices_of(ref))
            self._admitted[ref] = (service, candidates)
            receivers = receivers_of(service, candidates, self._known_topology, self._settings)
        return self._local.list_for(ref, receivers)

    def _send(self, ref: Ref, cluster: Cluster) -> Steered | None:
        """A service's address and the segment lists that take it; None: nothing is steered."""
        admitted = self._admitted.get(ref)
        if not isinstance(admitted, tuple):
            self._parts.remark(ref, *([admitted] if admitted else []))
            return None
        service, candidates = admitted
        senders = senders_of(
            service, candidates, self._known_topology, self._settings, self._local.is_up
        )
        self._parts.rendered += 1
        slices = cluster.slices_of(ref)
        self._parts.remark(ref, *senders.notes, *notes_of_slices(service, slices))
        if not senders.lists or service.cluster_ip is None:
            return None
        target = (self._settings.pod_vrf, service.cluster_ip)
        return Steered(ref, service.created, target, senders.lists)

    def _steer(self, changes: dict[Ref, Steered | None]) -> None:
        """Let these services steer what they are given; first all leave, then all come."""
        differing = {ref: new for ref, new in changes.items() if self._steered_by.get(ref) != new}
        for ref in differing:
            old = self._steered_by.pop(ref, None)
            if old is not None:
                del self.desired.steered[old.target]
                namesakes = self.desired.names[old.plain_name]
                namesakes.discard(old.target)
                if not namesakes:
                    del self.desired.names[old.plain_name]
                self._parts.delta.targets.add(old.target)
        for ref, new in differing.items():
            if new is not None:
                self._steered_by[ref] = new
                self.desired.steered[new.target] = new
                self.desired.names.setdefault(new.plain_name, set()).add(new.target)
                self._parts.delta.targets.add(new.target)
