"""What srv6kv reports about an object that it cannot render as its author may expect.

A note is a value: the pure core returns it, the edges print, count and show it as a warning.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from srv6kv.kube.model import Identity, Ref
from srv6kv.kube.tolerant import Skipped


class Kind(StrEnum):
    """The kinds of subjects that the code names; a manifest may define others."""

    SERVICE = "Service"
    SLICE = "EndpointSlice"
    ENDPOINT = "Endpoint"
    NODE = "Node"
    POD = "Pod"
    CLUSTER = "Cluster"
    AGENT = "Agent"
    API_SERVER = "API server"
    RECORD = "Record"
    KEY = "Key"
    KEYS = "Keys"
    FILE = "File"
    VALUE = "Value"


_UNNAMED_KINDS = (Kind.FILE, Kind.VALUE)
"""A path, or a key of the agent's, says by itself what it is."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a note is about: a ``Kind``, or the kind of a Kubernetes object, and namespace and name,
    or a name, address, key or place; "": there is only one."""

    kind: str
    ref: Ref | str = ""

    @classmethod
    def of(cls, identity: Identity) -> Subject:
        """Return the subject for a Kubernetes object."""
        kind, namespace, name = identity
        return cls(kind, Ref(namespace, name) if namespace else name)

    def __str__(self) -> str:
        if self.kind in _UNNAMED_KINDS:
            return str(self.ref)
        return f"{self.kind} {self.ref}" if self.ref else str(self.kind)


class Reason(StrEnum):
    """The stable name of a kind of note; ``docs/warnings.md`` has an anchor for each."""

    MALFORMED = "Malformed"
    """An object cannot be read."""
    ELEMENT_IGNORED = "ElementIgnored"
    """Elements of an object cannot be used and are skipped."""
    MANIFEST_UNREADABLE = "ManifestUnreadable"
    """A file of the manifests directory cannot be read."""
    MANIFESTS_UNAVAILABLE = "ManifestsUnavailable"
    """The manifests directory itself cannot be read."""
    MANIFEST_OBJECT_UNNAMED = "ManifestObjectUnnamed"
    """A document of a manifest has no kind or name."""
    DEFINED_TWICE = "DefinedTwice"
    """Several manifests define the same object."""
    API_UNAVAILABLE = "ApiUnavailable"
    """The API server does not answer."""
    API_FORBIDDEN = "ApiForbidden"
    """The API server has denied list or watch for some time."""
    AGENT_UNAVAILABLE = "AgentUnavailable"
    """The agent's REST server does not answer, or what it publishes in etcd is old."""
    AGENT_LOST_VPP = "AgentLostVpp"
    """The agent has lost VPP and does not connect again."""
    VPP_NOT_REPAIRED = "VppNotRepaired"
    """VPP lacks SRv6 objects, and they are not repaired now."""
    OWN_NODE_UNKNOWN = "OwnNodeUnknown"
    """The own Node has never been seen well-formed."""
    OWN_NODE_INCOMPLETE = "OwnNodeIncomplete"
    """The own Node has lost its pod CIDR or its addresses; those that it had count."""
    MASS_DELETE_HELD = "MassDeleteHeld"
    """The mass-delete guard holds a plan."""
    DELETES_HELD = "DeletesHeld"
    """Keys stay that an unreadable input could define."""
    ENDPOINT_PORT_IGNORED = "EndpointPortIgnored"
    """A port of a slice has no usable number."""
    ADDRESS_DENIED = "AddressDenied"
    """A ClusterIP belongs to something of the cluster itself."""
    SERVICE_IP_CONFLICT = "ServiceIPConflict"
    """Another service has the better right to an address."""
    SERVICE_PORT_CONFLICT = "ServicePortConflict"
    """A pod has another target port for the same address and port."""
    CLUSTER_IP_OUTSIDE_SERVICE_CIDR = "ClusterIPOutsideServiceCIDR"
    """A ClusterIP lies outside serviceCIDR."""
    PORT_ENDPOINTS_DIFFER = "PortEndpointsDiffer"
    """The ports of a service have different endpoints."""
    PORT_WITHOUT_ENDPOINTS = "PortWithoutEndpoints"
    """A port has no endpoints while others of the service have some."""
    SESSION_AFFINITY_UNSUPPORTED = "SessionAffinityUnsupported"
    """ClientIP affinity is not honoured."""
    SOURCE_RANGES_UNSUPPORTED = "SourceRangesUnsupported"
    """loadBalancerSourceRanges cannot be enforced."""
    NODE_PORT_LEFT_TO_KUBE_PROXY = "NodePortLeftToKubeProxy"
    """Node ports are served by kube-proxy."""
    FAMILY_NOT_SERVED = "FamilyNotServed"
    """An address is of a family in which the service has no ClusterIP."""
    IPV4_NOT_RENDERED = "IPv4NotRendered"
    """IPv4 is switched off."""
    EXTERNAL_IP_DENIED = "ExternalIPDenied"
    """An external or load-balancer address is not allowed."""
    EXTERNAL_ADDRESS_INVALID = "ExternalAddressInvalid"
    """An external or load-balancer address is no address."""
    EXTERNAL_ENDPOINT_UNSUPPORTED = "ExternalEndpointUnsupported"
    """An endpoint is neither a node nor a pod of a known node."""
    NODE_UNKNOWN = "NodeUnknown"
    """The node of an endpoint has no known address."""
    HOST_FAMILY_UNSUPPORTED = "HostFamilyUnsupported"
    """A host endpoint is not of the family of vppHostSubnetCIDR."""
    HOST_ENDPOINT_NEEDS_MASQUERADE = "HostEndpointNeedsMasquerade"
    """Host endpoints on several nodes need kube-proxy with masqueradeAll."""
    HOST_ENDPOINT_NEEDS_KUBE_PROXY = "HostEndpointNeedsKubeProxy"
    """Host endpoints need kube-proxy on their node."""
    POD_NOT_ATTACHED = "PodNotAttached"
    """A local pod of a service cannot be reached from this node."""
    POD_ATTACHMENT_UNKNOWN = "PodAttachmentUnknown"
    """The keys for a pod's attachment to VPP are incomplete."""
    POD_ANNOTATIONS_IGNORED = "PodAnnotationsIgnored"
    """Annotations describe a pod's attachment and are switched off."""
    POD_UNKNOWN = "PodUnknown"
    """The Pod behind an endpoint has not been seen yet."""
    POD_CHAINS_OWNED_BY_MESH = "PodChainsOwnedByMesh"
    """A mesh owns the rule chains of a pod."""
    HOST_NOT_ATTACHED = "HostNotAttached"
    """The host of this node, an endpoint of a service, cannot be reached."""
    HOST_ATTACHMENT_UNKNOWN = "HostAttachmentUnknown"
    """The host's end of the interconnect is not known."""
    MTU_TOO_LARGE = "MtuTooLarge"
    """mtuSize leaves no room for the headers of SRv6."""
    NODE_ADDRESS_UNKNOWN = "NodeAddressUnknown"
    """A node has no known address on the interconnect."""
    NODE_RECORD_UNREADABLE = "NodeRecordUnreadable"
    """A record of Contiv's about a node cannot be read."""
    VALUE_UNREADABLE = "ValueUnreadable"
    """A value in etcd or of the agent cannot be read."""
    TUNNEL_CONFLICT = "TunnelConflict"
    """Two nodes have the same prefix."""
    TUNNEL_INCOMPLETE = "TunnelIncomplete"
    """A node's part of a subnet is not known, so that no tunnel carries it."""
    SID_COLLISION = "SidCollision"
    """A SID is taken already."""
    SANDBOX_COLLISION = "SandboxCollision"
    """Two interfaces would share their rule chains."""
    BSID_EXHAUSTED = "BsidExhausted"
    """No BSID is free."""
    INVALID_VALUE = "InvalidValue"
    """A value would be rejected by the agent or by etcd."""

    @property
    def anchor(self) -> str:
        """Where the reason is documented."""
        return f"docs/warnings.md#{self.lower()}"


_ROUTINE = (Reason.FAMILY_NOT_SERVED, Reason.IPV4_NOT_RENDERED, Reason.NODE_PORT_LEFT_TO_KUBE_PROXY)


@dataclass(frozen=True, slots=True)
class Note:
    """What is wrong with one object and what happens instead, naming the field; sorts by its
    texts."""

    subject: Subject
    reason: Reason
    text: str

    @property
    def is_routine(self) -> bool:
        """Whether no action is needed."""
        return self.reason in _ROUTINE

    def fields(self) -> dict[str, str]:
        """Return the note as plain values."""
        return {"subject": str(self.subject), "reason": self.reason.value, "text": self.text}

    def __lt__(self, other: Note) -> bool:
        return (*self.fields().values(),) < (*other.fields().values(),)

    def __str__(self) -> str:
        return f"{self.subject}: {self.text} ({self.reason})"


def on_ignored(subject: Subject, skipped: Skipped) -> Note:
    """Return the note on elements of an object that are skipped."""
    text = f"{skipped}; ignored, all else of it counts"
    return Note(subject, Reason.ELEMENT_IGNORED, text)
