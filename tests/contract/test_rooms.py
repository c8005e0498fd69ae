"""The rooms of the package stand in one order: each imports only from rooms above it. All are pure
but those, or the modules, that are named here."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import srv6kv

ROOT = Path(srv6kv.__file__).parent
ROOMS = (
    "errors",
    "net",
    "foreign",
    "yamllines",
    "txn",
    "ligato",
    "kube",
    "notes",
    "settings",
    "etcd",
    "sources",
    "agent",
    "agentlog",
    "vpp",
    "cluster",
    "render",
    "plan",
    "sync",
    "telemetry",
    "verify",
    "repair",
    "run",
    "offline",
    "oneshot",
    "explain",
    "doctor",
    "trace",
    "simulate",
    "show",
    "cli",
    "__main__",
)
"""From the top down (docs/architecture.md). ``gen`` is generated and ``sample`` is data."""
EFFECTS = ("etcd", "telemetry", "run", "offline", "show", "cli", "__main__")
"""Rooms that may read, write, wait, draw or look at the clock."""
EFFECTIVE = {
    "agent": ("ask", "poll", "rest"),
    "doctor": ("server",),
    "oneshot": ("replay", "writing"),
    "repair": ("observer", "procedure", "repairer"),
    "sources": ("api", "apisource", "apiwatch", "events", "manifests", "pace", "source"),
    "sync": ("lists",),
    "verify": ("look", "vppask"),
}
"""Modules of other rooms that may."""
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
PARTS = {
    "datetime": {"UTC", "datetime"},
    "fnmatch": {"fnmatchcase"},
    "google.protobuf": {"descriptor_pool", "json_format", "message_factory", "text_format"},
    "google.protobuf.descriptor": {"Descriptor", "FieldDescriptor"},
    "google.protobuf.message": {"Message"},
    "posixpath": {"normpath"},
    "socket": {"AF_INET", "AF_INET6", "inet_ntop", "inet_pton"},
    "urllib.parse": {"urlencode"},
}
"""What is pure of modules that are not."""
VALUES = {
    "srv6kv.etcd.latency",
    "srv6kv.etcd.values",
    "srv6kv.offline.files",
    "srv6kv.telemetry.figures",
}
"""Modules without effects in rooms that have some."""
BUILT_IN = {"open", "print", "input", "exec", "eval", "__import__", "hash", "id"}
"""I/O, and what differs from run to run."""


def _room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def _modules() -> list[Path]:
    found = sorted(ROOT.rglob("*.py"))
    return [path for path in found if _room(path) not in ("gen", "sample", "__init__")]


def _imported_rooms(path: Path) -> set[str]:
    """The rooms that a module imports, also within functions and for types only."""
    found = set()
    for item in ast.walk(ast.parse(path.read_text())):
        if isinstance(item, ast.ImportFrom) and item.module is not None:
            package, *rest = item.module.split(".")
            if package == "srv6kv":
                found |= {rest[0]} if rest else {alias.name for alias in item.names}
        elif isinstance(item, ast.Import):
            names = [alias.name.split(".") for alias in item.names]
            found |= {name[1] for name in names if name[0] == "srv6kv" and len(name) > 1}
    return found - {"gen", "__version__"}


def test_each_room_imports_only_rooms_above_it() -> None:
    """No import leads down the list, whatever it is for."""
    order = {room: index for index, room in enumerate(ROOMS)}
    wrong = [
        f"{path.relative_to(ROOT)} imports {room}"
        for path in _modules()
        for room in sorted(_imported_rooms(path))
        if order[room] > order[_room(path)]
    ]

    assert wrong == []


def test_every_room_is_in_the_list() -> None:
    """Nor is there one in it that does not exist."""
    assert {_room(path) for path in _modules()} == {*ROOMS}


def test_unit_tests_stand_in_a_folder_of_their_room() -> None:
    """And nothing is a test outside the folders that tests/README.md lists."""
    tests = Path(__file__).parents[1]
    assert {path.name for path in (tests / "unit").iterdir() if path.is_dir()} <= {
        *ROOMS,
        "__pycache__",
    }
    assert not list(tests.glob("test_*.py")), "tests stand in folders"
    listed = (tests / "README.md").read_text()
    for path in tests.rglob("test_*.py"):
        folder = path.relative_to(tests).parts[0]
        assert f"`{folder}/" in listed, path
    names = Counter(path.name for path in tests.rglob("*.py") if path.name != "__init__.py")
    assert [name for name, count in names.items() if count > 1] == []


def test_little_stands_at_the_root() -> None:
    """Whatever can be in a room is in one."""
    found = {path.stem for path in ROOT.glob("*.py")}

    assert found == {"__init__", "__main__", "errors", "notes"}


def test_no_file_name_occurs_three_times() -> None:
    """A name says what is in the file, not only in which room it is."""
    names = Counter(path.name for path in _modules() if path.name != "__init__.py")

    assert [name for name, count in names.items() if count > 2] == []


def test_the_page_shows_the_rooms_in_their_order() -> None:
    """docs/architecture.md lists them as they are here."""
    page = (ROOT.parent / "docs" / "architecture.md").read_text()
    rows = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]

    assert [row.removesuffix("/") for row in rows] == [room for room in ROOMS if room[0] != "_"]


def _is_pure(path: Path) -> bool:
    room = _room(path)
    return room not in EFFECTS and path.stem not in EFFECTIVE.get(room, ())


def _imports(path: Path) -> Iterator[tuple[str, set[str]]]:
    for item in ast.walk(ast.parse(path.read_text())):
        if isinstance(item, ast.Import):
            yield from ((alias.name, set()) for alias in item.names)
        elif isinstance(item, ast.ImportFrom):
            yield item.module or "", {alias.name for alias in item.names}


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


every_pure_module = pytest.mark.parametrize(
    "path", [path for path in _modules() if _is_pure(path)], ids=_name
)


def test_every_module_with_effects_is_there() -> None:
    """None of those that are named has been renamed away."""
    named = [f"{room}/{name}.py" for room, names in EFFECTIVE.items() for name in names]

    assert [name for name in named if not (ROOT / name).exists()] == []


@every_pure_module
def test_a_pure_module_imports_no_effects(path: Path) -> None:
    """It imports pure libraries and other pure modules, nothing else. A type of a module with
    effects may stand in annotations."""
    for module, names in _imports(path):
        package, _, rest = module.partition(".")
        if package != "srv6kv":
            assert module in ALLOWED or names <= PARTS.get(module, set()), f"{module}: {names}"
            continue
        if rest.startswith("gen"):
            continue
        for one in (module, *(f"{module}.{name}" for name in names)):
            file = ROOT.parent / f"{one.replace('.', '/')}.py"
            assert not file.exists() or _is_pure(file) or one in VALUES, f"imports {one}"


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
            if any(ast.unparse(one) == "overload" for one in item.decorator_list):
                continue
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
