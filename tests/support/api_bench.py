"""A node of the sample cluster whose Kubernetes objects are in an API server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from processes import NODE, Bench, Process
from real_apiserver import ApiUnderTest

from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.kube.model import Identity
from srv6kv.sources.manifests import read


class ApiBench(Bench):
    """As ``Bench``; the manifests say what the API server has, srv6kv does not see them."""

    def __init__(self, folder: Path, server: EmbeddedEtcd, label: str, api: ApiUnderTest) -> None:
        super().__init__(folder, server, label)
        self.api = api
        (self.manifests / "kubernetes.yaml").unlink()  # a real server makes its own
        api.clear()
        self._held: dict[Identity, Any] = {}
        self.load()

    def load(self) -> None:
        """Bring the API server in step with the manifests."""
        wanted = {one.identity: one.completed() for one in read([self.manifests])[0]}
        for identity, body in wanted.items():
            if self._held.get(identity) != body:
                self.api.apply(body)
        for identity in self._held.keys() - wanted.keys():
            self.api.remove(self._held[identity])
        self._held = wanted

    def edit(self, name: str, text: str) -> None:
        """Change objects."""
        super().edit(name, text)
        self.load()

    def remove(self, *names: str) -> None:
        """Delete the objects of manifests."""
        for name in names:
            (self.manifests / name).unlink()
        self.load()

    def options(self) -> list[str | Path]:
        """What every command is told."""
        return [
            *("--kubeconfig", self.api.kubeconfig),
            *("--config", self.config),
            *("--node", NODE),
            *("--label", self.label),
            *self.etcd,
        ]

    def follow(self, *more: str | Path) -> Process:
        """Start ``srv6kv run``, and return when it follows every resource."""
        process = self.run(*more)
        process.wait_for("session")
        return process
