"""The cluster in, the desired state out; a change costs what it concerns.

Rule: the result depends on the cluster alone. ``Renderer`` remembers what it made of each part and
renders again only the parts that the cluster's dirt names; ``render`` is the same from nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from srv6kv.cluster.cluster import Cluster, Dirt
from srv6kv.cluster.topology import Topology, topology_of
from srv6kv.kube.model import Ref
from srv6kv.net.targets import Target
from srv6kv.notes import Kind, Note, Reason, Subject
from srv6kv.render.desired import Delta, Desired, Steered
from srv6kv.render.local import LocalEndpoints
from srv6kv.render.node import mtu_notes, node_objects, plumbing
from srv6kv.render.parts import Parts
from srv6kv.render.service import LocalEndpoint
from srv6kv.render.services import Services
from srv6kv.render.tunnels import carried_by, tunnel_objects
from srv6kv.settings import Settings


def render(cluster: Cluster, settings: Settings, own_name: str) -> Desired:
    """The state that the node ``own_name`` should have, from nothing but the cluster."""
    renderer = Renderer(settings, own_name)
    dirt = cluster.dirt
    renderer.update(cluster)
    cluster.dirt = dirt
    return renderer.desired


class Renderer:
    """Keeps a desired state in sync with a cluster.

    Attributes:
        services: who may have which address.
        local: the local endpoints of all services.
    """

    def __init__(self, settings: Settings, own_name: str) -> None:
        self.desired = Desired()
        self._is_relimited = False
        self._settings = settings
        self._parts = Parts(self.desired)
        nodeless = topology_of((), own_name, settings)
        self.local = LocalEndpoints(self._parts, nodeless, settings)
        self._own_name = own_name
        self._topology: Topology | None = None
        self.services = Services(nodeless, settings)
        self._steered_by: dict[Ref, dict[Target, Steered]] = {}

    @property
    def rendered(self) -> int:
        """How many values were made so far."""
        return self._parts.rendered

    def is_up(self, item: LocalEndpoint, ref: Ref | None = None) -> bool:
        """Whether packets (of a service) reached a local endpoint at the last update."""
        return self.local.is_up(item, ref)

    def limit(self, most_bytes: int) -> None:
        """Limit rule chains to what one transaction of so many bytes can hold."""
        self._is_relimited |= self.local.most_bytes != most_bytes
        self.local.most_bytes = most_bytes

    def update(self, cluster: Cluster) -> Delta:
        """Apply the changes of the cluster; return what of the desired state may differ now."""
        dirt, cluster.dirt = cluster.dirt, Dirt()
        delta = self._parts.delta = Delta(is_urgent=dirt.lost_node)
        refs = set(dirt.services)
        is_new_topology = self._update_nodes(cluster, dirt)
        self._parts.remark("annotations", *self._ignored(cluster))
        own = self.services.topology.own
        self._parts.remark("uplink", *mtu_notes(own, cluster.attachments, self._settings))
        if is_new_topology:
            refs |= cluster.services.keys()
        refs = self.services.apply(refs, cluster)
        delta.keys |= dirt.reported
        changed = self.local.listed(dirt.addresses)
        if cluster.reported.is_complete:
            changed |= self.local.assumed
        for ref in refs:
            changed |= self.local.replace(ref, self.services.receivers_of(ref))
        if is_new_topology or self._is_relimited:
            changed |= self.local.all_listed()
            self._is_relimited = False
        refs |= self.local.render(changed, cluster, self.services.topology)
        self._steer({ref: self._send(ref, cluster) for ref in sorted(refs)})
        return delta

    def _ignored(self, cluster: Cluster) -> Iterator[Note]:
        """The pods of this node whose annotations do not count."""
        for ref, pod in cluster.pods.annotated.items():
            if cluster.pod_annotations is None and pod.node == self._own_name:
                text = "metadata.annotations: srv6kv.podAnnotations is false, so what they say of"
                text += " its attachment is ignored"
                yield Note(Subject(Kind.POD, ref), Reason.POD_ANNOTATIONS_IGNORED, text)

    def _update_nodes(self, cluster: Cluster, dirt: Dirt) -> bool:
        """Apply the nodes; whether they differ in anything that a packet could notice."""
        if self._topology is not None and not dirt.nodes:
            return False
        nodes, records = cluster.nodes.values(), cluster.records.by_name()
        topology = topology_of(nodes, self._own_name, self._settings, records, cluster.unread_nodes)
        self._parts.remark("nodes", *topology.notes)
        if topology == self._topology:
            return False
        self._topology = self.services.topology = topology
        self._parts.replace("node", node_objects(topology, self._settings))
        self._parts.share("plumbing", plumbing(topology.own, self._settings))
        self._parts.replace("tunnels", tunnel_objects(topology, self._settings))
        carried, notes = carried_by(topology, self._settings)
        self._parts.remark("tunnels", *notes)
        old, new = self.desired.carried, {item.target: item for item in carried}
        self.desired.carried = new
        changed = {item for item in old.keys() | new.keys() if old.get(item) != new.get(item)}
        self._parts.rendered += len(changed & new.keys())
        self._parts.delta.targets |= changed
        return True

    def _send(self, ref: Ref, cluster: Cluster) -> dict[Target, Steered]:
        """Render what a service steers."""
        is_up = partial(self.local.is_up, ref=ref)
        steered, notes = self.services.steered_by(ref, cluster, is_up, self.local.unread)
        self._parts.rendered += len(steered)
        self._parts.remark(ref, *notes)
        return {item.target: item for item in steered}

    def _steer(self, changes: dict[Ref, dict[Target, Steered]]) -> None:
        """Replace what services steer: first all that goes, then all that comes."""
        coming = []
        for ref, new in changes.items():
            old = self._steered_by.pop(ref, {})
            if new:
                self._steered_by[ref] = new
            for target, item in old.items():
                if new.get(target) != item:
                    del self.desired.steered[target]
                    if not item.suffix:
                        self.desired.names.discard(item.plain_name, target)
                    self._parts.delta.targets.add(target)
            coming += [item for target, item in new.items() if old.get(target) != item]
        for item in coming:
            self.desired.steered[item.target] = item
            if not item.suffix:
                self.desired.names.add(item.plain_name, item.target)
            self._parts.delta.targets.add(item.target)
