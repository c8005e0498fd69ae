"""``scripts/lab``: a lab to work in by hand."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import click

from lab import binaries, topology
from lab.children import Failed
from lab.lab import Lab, started
from lab.netns import Netns
from lab.traffic import Target, calls

STATE = Path(tempfile.gettempdir(), f"srv6lab-{os.getuid()}.json")
"""What the other commands know of a lab that is up."""
_LOG = STATE.with_suffix(".log")
SECONDS = 180.0
Json = dict[str, Any]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Two nodes of real vpp-agents and VPPs on this machine, to work in by hand.

    SRV6KV_LAB_VPP is a directory with bin/vpp, bin/vppctl and VPP's plugins; SRV6KV_LAB_AGENT is a
    vpp-agent. Only root can run it. docs/lab.md says what is in it.
    """


@main.command()
def up() -> None:
    """Start a lab and leave it running."""
    if _state():
        raise click.ClickException("a lab is up; scripts/lab down ends it")
    try:
        binaries.find()
    except binaries.Lacking as reason:
        raise click.ClickException(str(reason)) from None
    with _LOG.open("wb") as output:
        holder = subprocess.Popen(
            [sys.executable, "-m", "lab", "hold"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + SECONDS
    try:
        while not (state := _state()):
            if holder.poll() is not None or time.monotonic() > deadline:
                raise click.ClickException(f"it did not come up:\n{_LOG.read_text()[-3000:]}")
            time.sleep(0.2)
    except BaseException:
        holder.terminate()
        holder.wait(60)
        _LOG.unlink(missing_ok=True)
        raise
    _show(state)


@main.command(hidden=True)
def hold() -> None:
    """Be the process that holds a lab until SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with started(binaries.find()) as lab:
            made = STATE.with_suffix(".new")
            made.write_text(json.dumps(_described(lab), indent=1))
            made.replace(STATE)
            threading.Event().wait()
    except KeyboardInterrupt:
        pass
    except (Failed, binaries.Lacking) as error:
        raise click.ClickException(str(error)) from None
    finally:
        STATE.unlink(missing_ok=True)


@main.command()
def down() -> None:
    """End the lab; nothing is left of it."""
    state = _needed()
    os.kill(state["pid"], signal.SIGTERM)
    deadline = time.monotonic() + SECONDS
    while _is_running(state["pid"]):
        if time.monotonic() > deadline:
            raise click.ClickException(f"process {state['pid']} does not end")
        time.sleep(0.1)
    _LOG.unlink(missing_ok=True)


@main.command()
def status() -> None:
    """Show what is where, and which keys are not CONFIGURED."""
    _show(_needed())
    for node in _needed()["nodes"].values():
        _run([*_SRV6KV, "get", "services", *node["options"], "--agent-rest", node["rest"]])


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("node", type=click.Choice([str(number) for number in topology.NODES]))
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def vppctl(node: str, words: tuple[str, ...]) -> None:
    """Ask the VPP of a node: vppctl 1 show sr policies."""
    sys.exit(_run([*_needed()["nodes"][node]["vppctl"], *words]))


@main.command("exec", context_settings={"ignore_unknown_options": True})
@click.argument("place", type=click.Choice(topology.names()))
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True)
def execute(place: str, command: tuple[str, ...]) -> None:
    """Run a command in a pod, on a host or outside: exec client-1 ip -6 route."""
    sys.exit(_run(["ip", "netns", "exec", _needed()["prefix"] + place, *command]))


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("node", type=click.Choice([str(number) for number in topology.NODES]))
@click.argument("command")
@click.argument("more", nargs=-1, type=click.UNPROCESSED)
def srv6kv(node: str, command: str, more: tuple[str, ...]) -> None:
    """Run a command of srv6kv for a node: srv6kv 1 verify."""
    state = _needed()["nodes"][node]
    sys.exit(_run([*_SRV6KV, command, *_options_of(command, state), *more]))


@main.command()
@click.argument("place", type=click.Choice(topology.names()))
@click.argument("address")
@click.argument("port", type=int)
@click.option("--protocol", type=click.Choice(["TCP", "UDP"]), default="TCP", show_default=True)
@click.option("--count", default=40, show_default=True)
def call(place: str, address: str, port: int, protocol: str, count: int) -> None:
    """Call an address and count the answers: call client-1 2096::51 80."""
    source = Netns(_needed()["prefix"] + place)
    print(calls(source, Target(address, port, protocol), count))


_SRV6KV = (sys.executable, "-m", "srv6kv")
_LOOKS_AT_KEYS = ("get", "verify")


def _options_of(command: str, node: Json) -> list[str]:
    rest = ["--agent-rest", node["rest"]]
    if command in _LOOKS_AT_KEYS:
        return [*node["options"], *rest]
    if command in ("trace", "simulate"):
        return [*node["cluster"], *node["etcd"]]
    if command in ("plan", "doctor", "run"):
        return [*node["cluster"], *node["options"], "--node", node["name"], *rest]
    return []


def _described(lab: Lab) -> Json:
    return {
        "pid": os.getpid(),
        "folder": str(lab.folder),
        "prefix": lab.leftovers.namespaces,
        "nodes": {
            str(number): {
                "name": one.name,
                "vppctl": list(one.vpp.control),
                "rest": one.agent.url,
                "cluster": [str(word) for word in lab.files()],
                "etcd": ["--etcd", lab.endpoint],
                "options": ["--label", one.name, "--etcd", lab.endpoint],
            }
            for number, one in lab.nodes.items()
        },
    }


def _show(state: Json) -> None:
    print(f"folder      {state['folder']}  (manifests, contiv.conf, logs)")
    print(f"namespaces  {state['prefix']}{{{','.join(topology.names())}}}")
    for number, node in state["nodes"].items():
        print(f"node {number}      {' '.join(node['options'])} --agent-rest {node['rest']}")
        print(f"            {' '.join(node['vppctl'])}")


def _state() -> Json:
    """What is known of the lab that is up; nothing if there is none."""
    try:
        found: Json = json.loads(STATE.read_text())
    except FileNotFoundError:
        return {}
    return found if _is_running(found["pid"]) else {}


def _needed() -> Json:
    if not (state := _state()):
        raise click.ClickException("no lab is up; scripts/lab up starts one")
    return state


def _is_running(pid: int) -> bool:
    try:
        return b"\0lab\0hold\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _run(command: list[str]) -> int:
    return subprocess.run(command).returncode


if __name__ == "__main__":
    main(prog_name="scripts/lab")
