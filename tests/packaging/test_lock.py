"""The lock: what `locks/` promises about every version that the project installs of others."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from importlib import metadata

import pytest
from chart import ROOT
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCKS = ROOT / "locks"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
DEPENDENCIES = PROJECT["project"]["dependencies"]
BUILD = PROJECT["build-system"]["requires"]
WANTED = {
    "build": BUILD,
    "run": DEPENDENCIES,
    "embedded": [*DEPENDENCIES, *EXTRAS["embedded"]],
    "dev": [*BUILD, *DEPENDENCIES, *EXTRAS["embedded"], *EXTRAS["dev"]],
    "lock": ["uv"],
}


@dataclass(frozen=True, slots=True)
class Pinned:
    """One package of a lock file."""

    requirement: Requirement
    hashes: tuple[str, ...]

    @property
    def version(self) -> str:
        """Its only version."""
        (only,) = self.requirement.specifier
        assert only.operator == "=="
        return only.version


def lock(name: str) -> dict[str, Pinned]:
    """The packages of a file by their canonical names."""
    text = re.sub(r"^#.*\n", "", (LOCKS / f"{name}.txt").read_text(), flags=re.MULTILINE)
    found: dict[str, Pinned] = {}
    for line in text.replace("\\\n", " ").splitlines():
        words, *hashes = line.split("--hash=")
        requirement = Requirement(words)
        found[canonicalize_name(requirement.name)] = Pinned(
            requirement, tuple(one.strip() for one in hashes)
        )
    return found


def environments() -> list[dict[str, str]]:
    """The markers of the supported Pythons on Linux."""
    return [{**here(), "python_version": one, "python_full_version": f"{one}.0"} for one in PYTHONS]


def here() -> dict[str, str]:
    """The markers of this Python."""
    return {name: str(value) for name, value in default_environment().items()}


def missing(wanted: list[str], locked: dict[str, Pinned], environment: dict[str, str]) -> list[str]:
    """The requirements that a lock file does not satisfy."""
    found = []
    for requirement in map(Requirement, wanted):
        if requirement.marker is not None and not requirement.marker.evaluate(environment):
            continue
        pinned = locked.get(canonicalize_name(requirement.name))
        marker = pinned.requirement.marker if pinned else None
        if (
            pinned is None
            or not requirement.specifier.contains(pinned.version, prereleases=True)
            or (marker is not None and not marker.evaluate(environment))
        ):
            found.append(str(requirement))
    return found


def test_files() -> None:
    """There is a file for each purpose, and no other."""
    assert {path.name for path in LOCKS.iterdir()} == {f"{name}.txt" for name in WANTED}


@pytest.mark.parametrize("name", sorted(WANTED))
def test_lock_satisfies_the_project(name: str) -> None:
    """Whatever pyproject.toml asks for is in the lock, in a version that it allows, for every
    Python that it supports; scripts/lock writes it again."""
    locked = lock(name)

    assert [missing(WANTED[name], locked, one) for one in environments()] == [[]] * len(PYTHONS)


@pytest.mark.parametrize("name", sorted(WANTED))
def test_every_version_has_hashes(name: str) -> None:
    """Each package has one version, with hashes, and comes from wherever pip is told to look."""
    text = (LOCKS / f"{name}.txt").read_text()
    locked = lock(name)

    assert locked
    assert [one for one, pinned in locked.items() if not (pinned.version and pinned.hashes)] == []
    assert all(re.fullmatch("sha256:[0-9a-f]{64}", h) for p in locked.values() for h in p.hashes)
    assert "://" not in text
    assert [line for line in text.splitlines() if line.startswith("-")] == []


@pytest.mark.parametrize("name", ["build", "embedded", "run"])
def test_one_version_of_everything(name: str) -> None:
    """What the tests run with is what the image and the demo get, and what builds them."""
    tested = lock("dev")

    assert {key: tested[key] for key in lock(name)} == lock(name)


def test_lock_is_complete() -> None:
    """What the packages of this environment need of others is in the lock too."""
    locked, environment = lock("dev"), {**here(), "extra": ""}
    needed = {
        name: missing(requires, locked, environment)
        for name in locked
        if (requires := _requires(name)) is not None
    }

    assert "etcd3" in needed
    assert {name: found for name, found in needed.items() if found} == {}


def _requires(name: str) -> list[str] | None:
    """What an installed package needs; None: it is not for this system."""
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return None
