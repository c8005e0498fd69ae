"""The centre is pure: no module of it imports what does I/O, waits, or is not reproducible."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

import srv6kv

ROOT = Path(srv6kv.__file__).parent
PURE = (
    "actual.py",
    "addresses.py",
    "adoption.py",
    "agent/boot.py",
    "agent/digest.py",
    "agent/keys.py",
    "agent/needs.py",
    "agent/status.py",
    "agent/view.py",
    "agent/validity.py",
    "agent/values.py",
    "agent/wired.py",
    "agent/wiring.py",
    "allot.py",
    "balance/*.py",
    "brake.py",
    "bsids.py",
    "cleanup.py",
    "cluster.py",
    "doctor/*.py",
    "effects.py",
    "errors.py",
    "etcd/latency.py",
    "etcd/limits.py",
    "explain/*.py",
    "figures.py",
    "gaps.py",
    "formats/loglines.py",
    "formats/showsr_read.py",
    "formats/showsr_values.py",
    "formats/txnlog.py",
    "formats/txnremarks.py",
    "formats/txntext.py",
    "health.py",
    "inherited.py",
    "kube/bodies.py",
    "kube/checks.py",
    "kube/defaults.py",
    "kube/known.py",
    "kube/mesh.py",
    "kube/model.py",
    "kube/parse.py",
    "kube/podwiring.py",
    "kube/servicespec.py",
    "kube/shallow.py",
    "kube/tolerant.py",
    "kube/triggers.py",
    "kube/wire.py",
    "leftout.py",
    "logged.py",
    "losses.py",
    "missing.py",
    "notes.py",
    "offers.py",
    "ownership.py",
    "ownnode.py",
    "phases.py",
    "plan.py",
    "pods.py",
    "reconciler.py",
    "records.py",
    "recording.py",
    "render/*.py",
    "repair/*.py",
    "resolve.py",
    "select.py",
    "settings/*.py",
    "sids.py",
    "topology.py",
    "trace/*.py",
    "transaction.py",
    "typed.py",
    "verify/*.py",
    "yamlmarks/*.py",
)
ALLOWED = {
    "__future__",
    "bisect",
    "collections",
    "collections.abc",
    "contextlib",
    "dataclasses",
    "difflib",
    "enum",
    "functools",
    "ipaddress",
    "itertools",
    "json",
    "msgspec",
    "operator",
    "re",
    "typing",
    "yaml",
}
"""Whatever else a pure module needs has to be thought about here."""
ONLY_IN = {
    "addresses.py": {"socket": {"AF_INET", "AF_INET6", "inet_ntop", "inet_pton"}},
    "agent/wiring.py": {"posixpath": {"normpath"}},
    "formats/txntext.py": {"datetime": {"UTC", "datetime"}},
    "kube/bodies.py": {"urllib.parse": {"urlencode"}},
    "kube/podwiring.py": {"fnmatch": {"fnmatchcase"}, "posixpath": {"normpath"}},
    "kube/triggers.py": {"datetime": {"datetime"}},
    "settings/podannotations.py": {"posixpath": {"normpath"}},
}
BUILT_IN = {"open", "print", "input", "exec", "eval", "__import__", "hash", "id"}
"""I/O, and what differs from run to run."""
NOT_PURE = {
    "srv6kv.agent.poll",
    "srv6kv.agent.rest",
    "srv6kv.agent.wiringpoll",
    "srv6kv.agentwatch",
    "srv6kv.cli",
    "srv6kv.controller",
    "srv6kv.embedded",
    "srv6kv.etcd.calls",
    "srv6kv.etcd.commit",
    "srv6kv.etcd.endpoints",
    "srv6kv.etcd.lease",
    "srv6kv.etcd.stubs",
    "srv6kv.etcd.watch",
    "srv6kv.gen",
    "srv6kv.kube.api",
    "srv6kv.kube.manifests",
    "srv6kv.kube.pace",
    "srv6kv.kube.source",
    "srv6kv.kube.watch",
    "srv6kv.logs",
    "srv6kv.progress",
    "srv6kv.recorder",
    "srv6kv.replay",
    "srv6kv.source",
    "srv6kv.store",
    "srv6kv.telemetry",
    "srv6kv.web",
}


def _files() -> list[Path]:
    return sorted({path for pattern in PURE for path in ROOT.glob(pattern)})


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _imports(path: Path) -> Iterator[tuple[str, set[str]]]:
    for item in ast.walk(ast.parse(path.read_text())):
        if isinstance(item, ast.Import):
            yield from ((alias.name, set()) for alias in item.names)
        elif isinstance(item, ast.ImportFrom):
            yield item.module or "", {alias.name for alias in item.names}


every_pure_module = pytest.mark.parametrize("path", _files(), ids=_name)


def test_every_pure_module_is_found() -> None:
    """No pattern is without a file, so none of them has been renamed away."""
    assert [pattern for pattern in PURE if not list(ROOT.glob(pattern))] == []


def test_every_other_module_is_found() -> None:
    """Nor has one of those that no pure module may import."""
    assert [name for name in NOT_PURE if importlib.util.find_spec(name) is None] == []


def test_the_architecture_names_every_module() -> None:
    """By its file or by its folder."""
    page = (ROOT.parent / "docs" / "architecture.md").read_text()
    unnamed = [
        name
        for name in map(_name, sorted(ROOT.rglob("*.py")))
        if not Path(name).name.startswith("__")
        if not any(f"`{one}`" in page for one in (name, *(f"{up}/" for up in Path(name).parents)))
    ]

    assert unnamed == []


@every_pure_module
def test_a_pure_module_imports_no_io(path: Path) -> None:
    """It imports pure libraries and other pure modules, nothing else."""
    exceptions = ONLY_IN.get(_name(path), {})
    for module, names in _imports(path):
        if module in exceptions:
            assert names <= exceptions[module]
        elif module.partition(".")[0] == "srv6kv":
            wholes = {module, *(f"{module}.{name}" for name in names)}
            assert not [one for one in wholes for other in NOT_PURE if f"{one}.".startswith(other)]
        else:
            assert module in ALLOWED, f"{_name(path)} imports {module}"


@every_pure_module
def test_a_pure_module_calls_nothing_that_differs_from_run_to_run(path: Path) -> None:
    """It neither reads nor prints, and uses no hash or identity of an object."""
    calls = [
        item.func.id
        for item in ast.walk(ast.parse(path.read_text()))
        if isinstance(item, ast.Call) and isinstance(item.func, ast.Name)
    ]

    assert BUILT_IN.isdisjoint(calls)


def _public(tree: ast.Module | ast.ClassDef) -> Iterator[ast.ClassDef | ast.FunctionDef]:
    """Public classes, functions and methods; those of a Protocol are said by their names."""
    for item in tree.body:
        if isinstance(item, ast.ClassDef | ast.FunctionDef) and not item.name.startswith("_"):
            yield item
            bases = item.bases if isinstance(item, ast.ClassDef) else []
            if bases and isinstance(bases[0], ast.Name) and bases[0].id == "Protocol":
                continue
            if isinstance(item, ast.ClassDef):
                yield from _public(item)


@every_pure_module
def test_a_public_name_says_what_is_true(path: Path) -> None:
    """Every module, class, function and method without an underscore has a docstring."""
    tree = ast.parse(path.read_text())

    assert ast.get_docstring(tree)
    assert [item.name for item in _public(tree) if not ast.get_docstring(item)] == []
