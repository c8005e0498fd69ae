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
    "plan/actual.py",
    "net/addresses.py",
    "oneshot/adopt.py",
    "agent/boot.py",
    "agent/digest.py",
    "ligato/keys.py",
    "agent/needs.py",
    "agent/status.py",
    "agent/view.py",
    "ligato/validity.py",
    "ligato/values.py",
    "agent/wired.py",
    "cluster/attachment.py",
    "plan/allot.py",
    "balance/*.py",
    "sync/guard.py",
    "net/bsids.py",
    "oneshot/cleanup.py",
    "cluster/cluster.py",
    "doctor/*.py",
    "plan/effects.py",
    "errors.py",
    "etcd/latency.py",
    "txn/limits.py",
    "explain/*.py",
    "telemetry/figures.py",
    "kube/gaps.py",
    "agentlog/loglines.py",
    "vpp/showsr_read.py",
    "vpp/showsr_values.py",
    "agentlog/reader.py",
    "agentlog/remarks.py",
    "agentlog/entries.py",
    "telemetry/health.py",
    "plan/inherited.py",
    "sources/bodies.py",
    "kube/checks.py",
    "kube/defaults.py",
    "sources/known.py",
    "kube/mesh.py",
    "kube/model.py",
    "kube/parse.py",
    "kube/podannotations.py",
    "kube/servicespec.py",
    "kube/shallow.py",
    "kube/tolerant.py",
    "cluster/triggers.py",
    "kube/wire.py",
    "plan/leftout.py",
    "agentlog/transactions.py",
    "sync/losses.py",
    "sync/missing.py",
    "notes.py",
    "render/offers.py",
    "plan/ownership.py",
    "cluster/ownnode.py",
    "sync/rollout.py",
    "plan/plan.py",
    "cluster/pods.py",
    "sync/reconciler.py",
    "cluster/noderecords.py",
    "txn/recording.py",
    "render/*.py",
    "repair/*.py",
    "plan/resolve.py",
    "render/selection.py",
    "settings/*.py",
    "net/sids.py",
    "cluster/topology.py",
    "trace/*.py",
    "txn/transaction.py",
    "foreign/typed.py",
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
    "net/addresses.py": {"socket": {"AF_INET", "AF_INET6", "inet_ntop", "inet_pton"}},
    "cluster/attachment.py": {"posixpath": {"normpath"}},
    "agentlog/entries.py": {"datetime": {"UTC", "datetime"}},
    "sources/bodies.py": {"urllib.parse": {"urlencode"}},
    "kube/podannotations.py": {"fnmatch": {"fnmatchcase"}, "posixpath": {"normpath"}},
    "cluster/triggers.py": {"datetime": {"datetime"}},
    "settings/podannotations.py": {"posixpath": {"normpath"}},
}
BUILT_IN = {"open", "print", "input", "exec", "eval", "__import__", "hash", "id"}
"""I/O, and what differs from run to run."""
NOT_PURE = {
    "srv6kv.agent.poll",
    "srv6kv.agent.rest",
    "srv6kv.agent.wiringpoll",
    "srv6kv.run.agentwatch",
    "srv6kv.cli",
    "srv6kv.run.controller",
    "srv6kv.etcd.embedded",
    "srv6kv.etcd.calls",
    "srv6kv.etcd.commit",
    "srv6kv.etcd.endpoints",
    "srv6kv.etcd.lease",
    "srv6kv.etcd.stubs",
    "srv6kv.etcd.watch",
    "srv6kv.gen",
    "srv6kv.sources.api",
    "srv6kv.sources.manifests",
    "srv6kv.sources.pace",
    "srv6kv.sources.apisource",
    "srv6kv.sources.apiwatch",
    "srv6kv.telemetry.logs",
    "srv6kv.telemetry.progress",
    "srv6kv.run.recorder",
    "srv6kv.oneshot.replay",
    "srv6kv.sources.source",
    "srv6kv.etcd.store",
    "srv6kv.telemetry.metrics",
    "srv6kv.telemetry.web",
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
