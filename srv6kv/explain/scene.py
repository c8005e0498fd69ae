"""Everything that an explanation asks, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from msgspec import UNSET, UnsetType

from srv6kv import foreign
from srv6kv.cluster.topology import Topology
from srv6kv.explain.account import DIFFERS, IN_ETCD, MISSING, TO_GO, Key, Said
from srv6kv.kube.model import Endpoint, Service, ServicePort
from srv6kv.ligato import keys
from srv6kv.net.addresses import is_ipv4
from srv6kv.net.targets import Target
from srv6kv.notes import Reason
from srv6kv.plan.actual import steering_facts
from srv6kv.plan.plan import Plan
from srv6kv.render import Renderer, selection
from srv6kv.render.addresses import Role, asked_by
from srv6kv.render.service import path_to
from srv6kv.settings import Settings
from srv6kv.sync.reconciler import Reconciler
from srv6kv.verify import agentstate
from srv6kv.verify.agentstate import States


@dataclass(slots=True)
class Scene:
    """Everything that is asked.

    Attributes:
        asked: the addresses that only another service could keep from this one.
        zone: this node's, "" if it has none.
    """

    service: Service
    reconciler: Reconciler
    plan: Plan
    is_online: bool
    states: States | None = None

    renderer: Renderer = field(init=False)
    settings: Settings = field(init=False)
    topology: Topology = field(init=False)
    asked: Mapping[str, Role] = field(init=False)
    zone: str = field(init=False)

    def __post_init__(self) -> None:
        self.renderer, self.settings = self.reconciler.renderer, self.reconciler.settings
        self.topology = self.renderer.services.topology
        self.asked = asked_by(self.service, self.topology, self.settings).roles
        self.zone = self.topology.own.zone if self.topology.own else ""

    @property
    def families(self) -> list[bool]:
        """The address families that are rendered, as whether it is IPv4."""
        return sorted({is_ipv4(address) for address in self.asked})

    def candidates(self, ipv4: bool) -> selection.Candidates:
        """What the slices of a family offer."""
        slices = self.reconciler.cluster.slices_of(self.service.ref)
        return selection.candidates_of(self.service, (i for i in slices if i.is_ipv4 == ipv4))

    def path_to(self, item: Endpoint) -> tuple[str, ...] | str:
        """The segments to an endpoint, or why there are none."""
        is_up = partial(self.renderer.is_up, ref=self.service.ref)
        found = path_to(item, self.topology, self.settings, is_up)
        return found if isinstance(found, Reason) else found.path

    def key(self, key: str) -> Key:
        """A key with its state in etcd, and what the agent reports of it."""
        return Key(key, self._held(key) if self.is_online else "", self._said(key))

    def _held(self, key: str) -> str:
        desired = self.plan.values.get(key)
        entry = self.reconciler.actual.entries.get(key)
        if desired is None:
            return TO_GO
        if entry is None:
            return MISSING
        return IN_ETCD if entry.value == desired else DIFFERS

    def _said(self, key: str) -> Said | UnsetType:
        if self.states is None:
            return UNSET
        status = self.states.get(key)
        if status is None:
            return Said(agentstate.UNKNOWN)
        desired = self.plan.values.get(key)
        value = foreign.plain(desired, dict[str, Any]) if desired is not None else None
        waited = agentstate.waits_for(status, value)
        why = status.error or ("" if waited else ", ".join(status.details))
        return Said(str(status.state), why, waited)

    def steering_of(self, target: Target) -> tuple[str, str] | None:
        """Key and BSID of the steering that a target should have."""
        for key, value in self.plan.values.items():
            if value is not None and key.startswith(keys.STEERING):
                facts = steering_facts(value)
                if facts is not None and facts.target == target:
                    return key, facts.bsid
        return None


def policy_name(local_only: bool) -> str:
    """A traffic policy as Kubernetes writes it."""
    return "Local" if local_only else "Cluster"


def port_text(port: ServicePort) -> str:
    """A port of a service as ``name protocol number``."""
    return " ".join(filter(None, (port.name, port.protocol, str(port.number))))
