"""``deploy/start-agent.sh``: VPP has its encap source before the agent starts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
SCRIPT = DEPLOY / "start-agent.sh"
COMMANDS = """\
set sr encaps source addr fe10:f00d::1

# a remark
set ip6 flow-hash table 0 src dst sport dport proto
"""
VPPCTL = """\
#!/bin/sh
shift 2
echo "$*" >>"$FOLDER/asked"
tries=$(grep -c "$2" "$FOLDER/asked")
case $1 in
show) [ "$tries" -gt "$REFUSALS" ] ;;
*) [ "$tries" -gt "$ERRORS" ] || echo "set sr: unknown input" ;;
esac
"""
"""A VPP that does not answer at first, or complains."""


def start(folder: Path, refusals: int = 0, errors: int = 0) -> subprocess.CompletedProcess[str]:
    """Start an agent that only says so."""
    (folder / "vppctl").write_text(VPPCTL)
    (folder / "vppctl").chmod(0o755)
    (folder / "vpp.exec").write_text(COMMANDS)
    more = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "VPP_CLI_SOCKET": str(folder / "cli.sock"),
        "VPP_COMMANDS": str(folder / "vpp.exec"),
        "FOLDER": str(folder),
        "REFUSALS": str(refusals),
        "ERRORS": str(errors),
    }
    return subprocess.run(
        ["sh", SCRIPT, "sh", "-c", f"cat {folder}/asked; echo agent $0", "--config-dir=x"],
        env={**os.environ, **more},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("refusals", [0, 3])
def test_vpp_is_told_before_the_agent_starts(tmp_path: Path, refusals: int) -> None:
    """It is waited for until it answers; each line is one command, remarks are none."""
    done = start(tmp_path, refusals)

    assert done.stdout.splitlines() == [
        *["show version"] * (refusals + 1),
        "set sr encaps source addr fe10:f00d::1",
        "set ip6 flow-hash table 0 src dst sport dport proto",
        "agent --config-dir=x",
    ]
    assert (done.returncode, done.stderr) == (0, "")


def test_a_command_is_tried_again(tmp_path: Path) -> None:
    """VPP may not know it yet."""
    done = start(tmp_path, errors=2)

    assert done.stdout.count("set sr encaps source addr fe10:f00d::1\n") == 3
    assert done.stdout.endswith("agent --config-dir=x\n")


def test_a_command_that_vpp_does_not_know_stops_nothing(tmp_path: Path) -> None:
    """It is said, and the agent starts."""
    done = start(tmp_path, errors=1000)

    assert "VPP says to 'set sr encaps source addr fe10:f00d::1': set sr: unknown" in done.stderr
    assert done.stdout.endswith("agent --config-dir=x\n")


def test_the_image_starts_the_agent_so() -> None:
    """The image's supervisor runs VPP, and the agent through the script."""
    image = (DEPLOY / "Dockerfile.agent").read_text()
    programs = yaml.safe_load((DEPLOY / "supervisor.conf").read_text())["programs"]
    vpp, agent = programs

    assert vpp["executable-path"] == "/usr/bin/vpp"
    assert f"COPY --chmod=755 {SCRIPT.name} {agent['executable-path']}\n" in image
    assert agent["executable-args"][0] == "/bin/vpp-agent"
    assert "COPY supervisor.conf /opt/vpp-agent/dev/supervisor.conf\n" in image
