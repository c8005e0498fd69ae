"""What the offline commands make of settings and manifests that are not as they should be."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import pytest
from processes import AGENT_STATE, NODE, SEED, srv6kv
from test_cli_render import CONFIG, keys_of, notes, render, seed

from srv6kv.cli import cluster


def manifests(folder: Path) -> Path:
    """A copy of the seed's manifests, to be changed."""
    return Path(shutil.copytree(SEED / "manifests", folder / "manifests"))


CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: contiv-agent-cfg
  namespace: kube-system
data:
  contiv.conf: |-
"""


def config_map(text: str) -> str:
    """A contiv.conf as a ConfigMap."""
    return CONFIG_MAP + "".join(f"    {line}\n" for line in text.splitlines())


def test_config_map(tmp_path: Path) -> None:
    """A ConfigMap among the manifests gives the settings, wherever it stands."""
    folder = manifests(tmp_path)
    (folder / "z.yaml").write_text(config_map(CONFIG.read_text()))
    done = render("-f", folder, "--agent-state", AGENT_STATE, config=False)

    assert (done.returncode, done.stdout) == (0, seed())
    assert done.stderr.startswith(f"warning: {folder}/z.yaml:9: useNoOverlay: ")


def test_config_of_the_environment(tmp_path: Path) -> None:
    """CONTIV_CONFIG names the settings, and node and label have variables too."""
    done = srv6kv(
        *("render", "-f", SEED / "manifests", "--agent-state", AGENT_STATE, "-o", "txn"),
        CONTIV_CONFIG=str(CONFIG),
        NODE_NAME=NODE,
        MICROSERVICE_LABEL="other",
    )

    assert (done.returncode, done.stdout) == (
        0,
        seed("-o", "txn").replace(f"/vnf-agent/{NODE}/", "/vnf-agent/other/"),
    )


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("podSubnetCIDR: 2001::/48", "podSubnetCIDR: 2001::/200", "5: ipamConfig.podSubnetCIDR: "),
        ("  serviceCIDR: 2096::/110\n", "", "4: ipamConfig.serviceCIDR: "),
        ("useSRv6Interconnect: true", "useSRv6Interconnect: false", "3: useSRv6Interconnect: "),
        ("    servicePod", "    servicePodd", "servicePoddLocalSIDSubnetCIDR: "),
        ("ipamConfig:", "ipamConfig: [", ":6: "),
    ],
)
def test_refused_settings(tmp_path: Path, old: str, new: str, text: str) -> None:
    """Settings that are refused are one line with file, line and key, and exit code 2."""
    file = tmp_path / "contiv.conf"
    file.write_text(CONFIG.read_text().replace(old, new, 1))
    done = render("-f", SEED / "manifests", "--config", file, config=False)
    (line,) = notes(done)

    assert (done.returncode, done.stdout) == (2, "")
    assert line.startswith(f"srv6kv: {file}:")
    assert text in line


@pytest.mark.parametrize("option", ["--node", "--label"])
@pytest.mark.parametrize(
    "name", ["a/b", "../a", "a b", "a\n", "\t", b"a\xff".decode(errors="surrogateescape")]
)
def test_a_name_that_cannot_be_a_part_of_a_key(option: str, name: str) -> None:
    """Node and label, which become parts of etcd's keys, are refused with the option's name."""
    done = render("-f", SEED / "manifests", option, name)

    assert done.returncode == 2
    assert f"'{option}'" in done.stderr


@pytest.mark.parametrize(
    ("command", "name"),
    [
        *[
            (one, name)
            for one in ("get policies", "verify", "repair", "cleanup")
            for name in ("", "a/b")
        ],
        ("replay examples/none.txn", "a/b"),
    ],
    ids=lambda text: text.split()[0] if text else "none",
)
def test_a_label_that_cannot_be_a_part_of_a_key(command: str, name: str) -> None:
    """Commands that take no node refuse it, too: an empty variable in a script must not look like a
    node that is cleaned up."""
    done = srv6kv(*command.split(), "--label", name)

    assert (done.returncode, done.stdout) == (2, "")
    assert f"'--label': {name!r} is empty, or has a space, a slash or the like" in done.stderr


def test_no_settings() -> None:
    """Without settings one line says where they may come from."""
    done = render("-f", SEED / "manifests", config=False)

    assert (done.returncode, done.stdout, len(notes(done))) == (2, "", 1)
    assert "no settings: give --config FILE" in done.stderr


MALFORMED = {
    "Service": ("podthere.yaml", "ipFamilies: [IPv6]", "ipFamilies: IPv6", "spec.ipFamilies"),
    "EndpointSlice": (
        "podthere.yaml",
        "addressType: IPv6",
        "addressType: 6",
        "addressType",
    ),
    "Node": ("nodes.yaml", 'podCIDRs: ["2001:0:0:2::/64"]', "podCIDRs: 7", "spec.podCIDRs"),
}
NAMES = {
    "Service": "Service default/podthere",
    "EndpointSlice": "EndpointSlice default/podthere-1",
    "Node": "Node node2",
}


@pytest.mark.parametrize("kind", sorted(MALFORMED))
def test_malformed_object(tmp_path: Path, kind: str) -> None:
    """A malformed object is left out with one note that names it and the field; the rest is
    printed, and the exit code is 2."""
    name, old, new, field = MALFORMED[kind]
    folder = manifests(tmp_path)
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))
    done = render("-f", folder, "--agent-state", AGENT_STATE)
    about = [line for line in notes(done) if line.startswith(f"warning: {NAMES[kind]}: ")]

    assert done.returncode == 2
    assert len(about) == 1
    assert field in about[0]
    assert "config/vpp/srv6/v2/policy/5555::d765" in keys_of(done.stdout)


def test_unreadable_manifest(tmp_path: Path) -> None:
    """A manifest that is no YAML is one note with file and line; the rest is printed, exit 2."""
    folder = manifests(tmp_path)
    (folder / "bad.yaml").write_text("kind: Service\nmetadata: {name: [\n")
    done = render("-f", folder, "--agent-state", AGENT_STATE)
    (line,) = notes(done)

    assert (done.returncode, done.stdout) == (2, seed())
    assert line.startswith(f"warning: {folder}/bad.yaml:")


def test_missing_manifests(tmp_path: Path) -> None:
    """Manifests that are not there are a note and exit code 2."""
    done = render("-f", tmp_path / "absent")

    assert done.returncode == 2
    assert [line for line in notes(done) if str(tmp_path / "absent") in line]


@pytest.mark.parametrize("text", ["[]", "{", '{"config/a": 7}'])
def test_bad_agent_state(tmp_path: Path, text: str) -> None:
    """An agent state that is no JSON object of values is one line with the file, and exit 2."""
    file = tmp_path / "state.json"
    file.write_text(text)
    done = render("-f", SEED / "manifests", "--agent-state", file)
    (line,) = notes(done)

    assert (done.returncode, done.stdout) == (2, "")
    assert line.startswith(f"srv6kv: {file}: ")


@pytest.mark.parametrize(
    "option", ["http://[2096::99]:2379", "[2096::99]:2379", "x:1,[2096::99]:2"]
)
def test_no_service_takes_the_address_of_our_own_etcd(option: str) -> None:
    """Whoever could write a Service would else cut srv6kv off from its etcd."""
    command = click.Command("plan")
    with click.Context(command) as context:
        context.params["endpoints"] = (option,)
        found = cluster.settings_of(SEED / "contiv.conf")

    assert found.reserved == ("2096::99",)
