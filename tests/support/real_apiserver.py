"""A real kube-apiserver on loopback, with an etcd of its own, from ``KUBEBUILDER_ASSETS``.

That folder holds ``kube-apiserver`` and, if it has one, the ``etcd`` to use with it, as the
archives of controller-tools' envtest do.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Protocol

import urllib3
from certificates import Certificates
from etcd_server import etcdctl, free_port
from kubeconfig import write_kubeconfig
from objectstore import Json

from srv6kv.etcd.embedded import EmbeddedEtcd

ASSETS = "KUBEBUILDER_ASSETS"
TOKEN = "the-token-of-the-tests"
START_SECONDS = 120.0


class RealApiServer:
    """One kube-apiserver; whoever has the token may do everything."""

    def __init__(self, folder: Path, assets: Path) -> None:
        self._folder = folder
        self._assets = assets
        binary = assets / "etcd"
        self._etcd = EmbeddedEtcd(folder / "etcd", binary=binary if binary.is_file() else None)
        self._process: subprocess.Popen[bytes] | None = None
        self._certificates = Certificates(folder / "certificates")
        self.url = f"https://127.0.0.1:{free_port()}"
        self.shortest_watch = 6
        self.kubeconfig = folder / "kubeconfig"
        self._pool = urllib3.PoolManager(ca_certs=str(self._certificates.ca))

    @property
    def ca(self) -> Path:
        """Who signed its certificate."""
        return self._certificates.ca

    def __enter__(self) -> RealApiServer:
        self._etcd.start()
        write_kubeconfig(self.kubeconfig, self.url, token=TOKEN, ca=self.ca)
        self._start()
        return self

    def _start(self) -> None:
        cert, key = self._certificates.files("server")
        if not cert.exists():
            self._certificates.issue("server", "127.0.0.1", "localhost")
        (self._folder / "tokens.csv").write_text(f"{TOKEN},test,test,system:masters\n")
        with (self._folder / "kube-apiserver.log").open("wb") as log:
            self._process = subprocess.Popen(
                [self._assets / "kube-apiserver", *self._options(cert, key)], stdout=log, stderr=log
            )
        self._wait()

    def apply(self, *bodies: Json) -> None:
        """Create or replace objects, with their status."""
        for body in map(_completed, bodies):
            self._request("PATCH", self._path(body), body)
            if "status" in body:
                self._request("PATCH", self._path(body) + "/status", body)

    def remove(self, body: Json) -> None:
        """Delete an object."""
        options = {"gracePeriodSeconds": 0}
        self._request("DELETE", self._path(body), options, query="")

    def forget_history(self) -> None:
        """No older version than now can be watched from or continued."""
        if self._process is not None:
            self._process.kill()  # in good order it would wait for its watches
            self._process.wait(60)
        version = json.loads(etcdctl(self._etcd, "endpoint", "status", "-w", "json"))
        etcdctl(self._etcd, "compact", str(version[0]["Status"]["header"]["revision"]))
        self._start()

    def clear(self) -> None:
        """Delete all objects but those of the server itself."""
        for path in (
            *("/api/v1/services", "/api/v1/pods", "/api/v1/nodes"),
            "/apis/discovery.k8s.io/v1/endpointslices",
        ):
            headers = {"Authorization": f"Bearer {TOKEN}"}
            found = self._pool.request("GET", self.url + path, headers=headers).json()
            kind = found["kind"].removesuffix("List")
            for item in found["items"]:
                if item["metadata"]["name"] != "kubernetes":
                    self.remove({**item, "kind": kind, "apiVersion": found["apiVersion"]})

    def _path(self, body: Json) -> str:
        group = "api/v1" if body["apiVersion"] == "v1" else f"apis/{body['apiVersion']}"
        place = body["metadata"].get("namespace", "default")
        where = "" if body["kind"] == "Node" else f"/namespaces/{place}"
        return f"/{group}{where}/{body['kind'].lower()}s/{body['metadata']['name']}"

    def _request(
        self, method: str, path: str, body: Json, query: str = "?fieldManager=test&force=true"
    ) -> None:
        kind = "application/apply-patch+yaml" if method == "PATCH" else "application/json"
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind}
        data = json.dumps(body)
        answer = self._pool.request(method, self.url + path + query, body=data, headers=headers)
        assert answer.status < 300, answer.data

    def __exit__(self, *_: object) -> None:
        self._end()
        self._etcd.stop()

    def _end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)

    def _options(self, cert: Path, key: Path) -> list[str]:
        return [
            f"--etcd-servers=http://{self._etcd.endpoint}",
            f"--secure-port={self.url.rpartition(':')[2]}",
            "--bind-address=127.0.0.1",
            "--advertise-address=192.0.2.1",
            f"--tls-cert-file={cert}",
            f"--tls-private-key-file={key}",
            f"--token-auth-file={self._folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=198.18.0.0/16,2096::/112",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
            "--endpoint-reconciler-type=none",
            "--allow-privileged=true",
            f"--cert-dir={self._folder}",
        ]

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        headers = {"Authorization": f"Bearer {TOKEN}"}
        path = self.url + "/api/v1/namespaces/default"
        while True:
            try:
                answer = self._pool.request("GET", path, headers=headers, retries=False)
                if answer.status == 200:
                    return
            except urllib3.exceptions.HTTPError:
                pass
            assert self._process is not None
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.1)
            if self._process.poll() is not None or time.monotonic() > deadline:
                log = (self._folder / "kube-apiserver.log").read_text()
                raise AssertionError(f"kube-apiserver does not serve: {log[-2000:]}")


def assets() -> Path | None:
    """Where the real server's program is, if it is."""
    folder = os.environ.get(ASSETS)
    return Path(folder) if folder and (Path(folder) / "kube-apiserver").is_file() else None


def _completed(body: Json) -> Json:
    """The object with what a real server insists on."""
    if body["kind"] != "Pod" or body["spec"].get("containers"):
        return body
    containers = [{"name": "c", "image": "example.org/none"}]
    return {**body, "spec": {**body["spec"], "containers": containers}}


class ApiUnderTest(Protocol):
    """What the tests' API server and a real one have in common."""

    kubeconfig: Path
    shortest_watch: int

    def apply(self, *bodies: Json) -> None: ...
    def remove(self, body: Json) -> None: ...
    def clear(self) -> None: ...
    def forget_history(self) -> None: ...
