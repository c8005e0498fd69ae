"""The agents' JSON libraries as one function: a small Go program (``tests/oracles/agent``)."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from srv6kv.gen.ligato.linux.interfaces import interface_pb2
from srv6kv.gen.ligato.linux.iptables import iptables_pb2
from srv6kv.gen.ligato.linux.namespace import namespace_pb2
from srv6kv.gen.ligato.vpp.l3 import arp_pb2, route_pb2, vrf_pb2
from srv6kv.gen.ligato.vpp.srv6 import srv6_pb2
from srv6kv.ligato.schema import known_message

SOURCE = Path(__file__).parent / "agent"
BUILD_SECONDS = 240
_FILES = (namespace_pb2, interface_pb2, iptables_pb2, arp_pb2, route_pb2, vrf_pb2, srv6_pb2)


@dataclass(frozen=True, slots=True)
class Decoded:
    """What an agent makes of a value.

    Attributes:
        error: why protojson (agents 3.3 and later) refuses it, or "".
        older_error: the same of jsonpb (agents 3.2).
        key: the key that follows from the value.
        text: the value as the agent's transaction log prints it.
        json: the value as protojson prints it, with proto names.
    """

    error: str
    older_error: str
    key: str
    text: str
    json: str


class Decoders:
    """The program, built.

    Args:
        folder: where it is built.
    """

    def __init__(self, folder: Path) -> None:
        self._program = folder / "agent"
        self._descriptors = folder / "descriptors"
        files = FileDescriptorSet()
        for module in _FILES:
            module.DESCRIPTOR.CopyToProto(files.file.add())
        self._descriptors.write_bytes(files.SerializeToString())
        subprocess.run(
            ["go", "build", "-o", self._program, "."],
            cwd=SOURCE,
            check=True,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
        )

    @property
    def versions(self) -> dict[str, str]:
        """The Go modules that it is made of."""
        done = subprocess.run(
            [self._program, "--version"], check=True, capture_output=True, text=True
        )
        return dict(line.split() for line in done.stdout.splitlines())

    def read(self, values: Iterable[tuple[str, str]]) -> list[Decoded]:
        """What becomes of each key (short form) and value."""
        lines = [
            json.dumps(
                {"key": key, "message": known_message(key).DESCRIPTOR.full_name, "value": value}
            )
            for key, value in values
        ]
        done = subprocess.run(
            [self._program, self._descriptors],
            input="\n".join(lines),
            check=True,
            capture_output=True,
            text=True,
        )
        return [_decoded(line) for line in done.stdout.splitlines()]


def _decoded(line: str) -> Decoded:
    item = json.loads(line)
    return Decoded(
        error=item.get("error", ""),
        older_error=item.get("olderError", ""),
        key=item.get("names", ""),
        text=item.get("text", ""),
        json=item.get("json", ""),
    )


@cache
def why_not() -> str:
    """Why the program cannot be built here; "": it can, once its modules are here."""
    if shutil.which("go") is None:
        return "go is not installed: the agent's decoders were not asked"
    done = subprocess.run(["go", "mod", "download"], cwd=SOURCE, capture_output=True, text=True)
    if done.returncode != 0:
        return f"the Go modules of tests/oracles/agent cannot be had: {done.stderr.strip()[-200:]}"
    return ""
