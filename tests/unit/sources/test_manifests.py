"""Manifests as a source of raw objects: what is read when, and what survives a bad save."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srv6kv.errors import InputError
from srv6kv.kube.model import Ref
from srv6kv.notes import Kind, Note, Reason, Subject
from srv6kv.sources import manifests
from srv6kv.sources.lastgood import Version, after
from srv6kv.sources.manifests import Identity, ManifestDirectory, RawObject, Scan
from srv6kv.sources.objects import manifest_of
from srv6kv.yamllines import Excerpt

ECHO: Identity = ("Service", "default", "echo")
WEB: Identity = ("Service", "shop", "web")


def service(name: str, namespace: str = "default", address: str = "2096::1") -> str:
    return (
        f"apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  namespace: {namespace}\n"
        f"spec:\n  clusterIP: {address}\n"
    )


def body(name: str, namespace: str = "default", address: str = "2096::1") -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIP": address},
    }


TWO = f"{service('echo')}---\n{service('web', 'shop')}"


class Bench:
    """A directory, a clock, and a source that looks at the one with the other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 1_800_000_000.0
        self.source = ManifestDirectory(path, lambda: self.now)

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file as it would be an hour before now, with a time of its own."""
        data = content if isinstance(content, bytes) else content.encode()
        (self.path / name).write_bytes(data)
        self.now += 1
        os.utime(self.path / name, (self.now - 3600, self.now - 3600))

    def settle(self) -> Scan:
        """The changes of the next scans, until the files were seen twice, and the last notes."""
        first, second = self.source.scan(), self.source.scan()
        return Scan((*first.changes, *second.changes), second.notes)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def told(scan: Scan) -> dict[Identity, object]:
    return {identity: found and found.body for identity, found in scan.changes}


def kept(place: str, problem: str) -> tuple[Note, ...]:
    return (
        Note(
            Subject(Kind.FILE, place),
            Reason.MANIFEST_UNREADABLE,
            f"{problem}; its last good version stays",
        ),
    )


def unnamed(place: str, problem: str) -> Note:
    rest = "so the document is skipped; what the file defined before stays"
    return Note(Subject(Kind.FILE, place), Reason.MANIFEST_OBJECT_UNNAMED, f"{problem}, {rest}")


def test_read_on_second_sight(bench: Bench) -> None:
    """A file is read when two scans in a row saw it the same, and then not again."""
    bench.write("a.yaml", service("echo"))

    assert bench.source.scan() == Scan((), ())
    assert not bench.source.is_complete

    echo = RawObject(*ECHO, body("echo"), "a.yaml", 1)

    assert bench.source.scan() == Scan(((ECHO, echo),), ())
    assert bench.source.is_complete
    assert bench.source.scan() == Scan((), ())


def test_change(bench: Bench) -> None:
    """Only what differs by value is a change, sorted by identity."""
    bench.write("a.yaml", TWO)
    bench.settle()
    bench.write("a.yaml", f"# moved\n{service('web', 'shop')}---\n{service('echo')}")

    assert bench.settle() == Scan((), ())

    bench.write("a.yaml", f"{service('web', 'shop')}---\n{service('echo', address='2096::2')}")

    assert told(bench.settle()) == {ECHO: body("echo", address="2096::2")}


def test_change_of_type(bench: Bench) -> None:
    """A number that becomes a truth value is a change, although Python takes them for equal."""
    bench.write("a.yaml", service("echo") + "x: 1\n")
    bench.settle()
    bench.write("a.yaml", service("echo") + "x: true\n")

    assert told(bench.settle()) == {ECHO: body("echo") | {"x": True}}


def test_file_being_saved(bench: Bench) -> None:
    """A file that changes between scans is left alone until it rests."""
    bench.write("a.yaml", service("echo"))
    bench.settle()
    for address in ("2096::2", "2096::3", "2096::4"):
        bench.write("a.yaml", service("echo", address=address))

        assert bench.source.scan() == Scan((), ())

    assert told(bench.source.scan()) == {ECHO: body("echo", address="2096::4")}


def test_change_within_a_coarse_tick(bench: Bench) -> None:
    """A file read when its time was fresh is read once more when that time is past."""
    bench.write("a.yaml", service("echo"))
    bench.now = (bench.path / "a.yaml").stat().st_mtime + 1
    times = (bench.now - 1, bench.now - 1)
    bench.settle()
    (bench.path / "a.yaml").write_text(service("echo", address="2096::2"))
    os.utime(bench.path / "a.yaml", times)

    assert bench.source.scan() == Scan((), ())

    bench.now += 1

    assert told(bench.source.scan()) == {ECHO: body("echo", address="2096::2")}

    (bench.path / "a.yaml").write_text(service("echo", address="2096::3"))
    os.utime(bench.path / "a.yaml", times)
    bench.now += 10

    assert bench.settle() == Scan((), ())


def test_names(bench: Bench) -> None:
    """Only visible *.yaml, *.yml and *.json files directly inside count."""
    for name in ("a.yaml", "b.yml", "c.json"):
        bench.write(name, service(name[0]))
    for name in (".a.yaml", ".b.yaml.swp", "c.yaml~", "#d.yaml#", "e.yaml.bak", "f", "4913"):
        bench.write(name, service("hidden"))
    (bench.path / "inner").mkdir()
    bench.write("inner/a.yaml", service("inner"))
    (bench.path / "directory.yaml").mkdir()
    os.mkfifo(bench.path / "pipe.yaml")

    assert [name for _, _, name in told(bench.settle())] == ["a", "b", "c"]
    assert bench.source.is_complete


def test_config_map_mount(bench: Bench) -> None:
    """Links are followed, so a ConfigMap mount is seen to change."""
    for number in (1, 2):
        (bench.path / f"..{number}").mkdir()
        bench.write(f"..{number}/a.yaml", service("echo", address=f"2096::{number}"))
    (bench.path / "..data").symlink_to("..1")
    (bench.path / "a.yaml").symlink_to("..data/a.yaml")

    assert told(bench.settle()) == {ECHO: body("echo", address="2096::1")}

    (bench.path / "..new").symlink_to("..2")
    (bench.path / "..new").replace(bench.path / "..data")

    assert told(bench.settle()) == {ECHO: body("echo", address="2096::2")}


def test_dangling_link(bench: Bench) -> None:
    """A link that leads nowhere is unreadable, not gone."""
    bench.write("target", service("echo"))
    (bench.path / "a.yaml").symlink_to("target")
    bench.settle()
    (bench.path / "target").unlink()
    notes = kept("a.yaml", "cannot be read: No such file or directory")

    assert bench.settle() == Scan((), notes)
    assert bench.settle() == Scan((), notes)

    (bench.path / "a.yaml").unlink()

    assert bench.settle() == Scan(((ECHO, None),), ())


@pytest.mark.parametrize("other", ["directory", "link to a directory", "pipe", "link to a pipe"])
def test_something_else_in_place_of_a_file(bench: Bench, other: str) -> None:
    """Nobody removed the file's objects, so they stay."""
    bench.write("a.yaml", service("echo"))
    bench.settle()
    (bench.path / "a.yaml").unlink()
    put_something_else(bench.path / "a.yaml", other)
    notes = kept("a.yaml", "cannot be read: it is not a file any more")

    assert bench.settle() == Scan((), notes)
    assert bench.settle() == Scan((), notes)


@pytest.mark.parametrize("other", ["directory", "link to a directory", "pipe", "link to a pipe"])
def test_what_is_no_file(bench: Bench, other: str) -> None:
    """It is skipped, by those who look once as well, and nobody waits for what a pipe may bring."""
    bench.write("a.yaml", service("echo"))
    put_something_else(bench.path / "b.yaml", other)

    assert bench.settle() == Scan(
        tuple((o.identity, o) for o in manifests.read([bench.path])[0]), ()
    )
    assert manifests.read([bench.path])[1] == []


def put_something_else(path: Path, what: str) -> None:
    """Put something that is not a file, nor a link to one, at a path."""
    at = path.with_suffix(".target") if what.startswith("link") else path
    os.mkfifo(at) if what.endswith("pipe") else at.mkdir()
    if at != path:
        path.symlink_to(at)


def test_documents_and_lists(bench: Bench) -> None:
    """All documents count, and lists of any depth; a typed list tells its items what they are."""
    bench.write(
        "a.yaml",
        "---\n# only a comment\n---\n"
        + service("one")
        + "---\napiVersion: v1\nkind: List\nitems:\n- kind: Service\n  metadata: {name: two}\n"
        + "- kind: List\n  items: [{kind: Node, metadata: {name: n1, namespace: x}}]\n"
        + "---\nkind: EndpointSliceList\napiVersion: discovery.k8s.io/v1\nitems:\n"
        + "- metadata: {name: slice, namespace: shop}\n",
    )
    bench.write("b.json", '{"kind": "PodList", "items": [\n\n{"metadata": {"name": "p"}}]}')
    changes = dict(bench.settle().changes)
    pod = RawObject(
        "Pod",
        "default",
        "p",
        {"kind": "Pod", "metadata": {"name": "p", "namespace": "default"}},
        "b.json",
        3,
    )

    assert list(changes) == [
        ("EndpointSlice", "shop", "slice"),
        ("Node", "", "n1"),
        ("Pod", "default", "p"),
        ("Service", "default", "one"),
        ("Service", "default", "two"),
    ]
    assert changes["Pod", "default", "p"] == pod
    assert [found and found.line for found in changes.values()] == [23, 18, 3, 4, 15]
    assert told(Scan(tuple(changes.items()), ()))["EndpointSlice", "shop", "slice"] == {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "slice", "namespace": "shop"},
    }


def test_other_kinds(bench: Bench) -> None:
    """Objects of other kinds and groups are ignored silently."""
    bench.write(
        "a.yaml",
        "kind: Deployment\n---\nkind: ConfigMap\nmetadata: {name: other}\n---\nkind: PersonList\n"
        "---\napiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: fn}\n"
        "---\napiVersion: example.com/v1\nkind: NodeList\nitems: 5\n",
    )

    assert bench.settle() == Scan((), ())


def test_config_map(bench: Bench) -> None:
    """The ConfigMap contiv-agent-cfg comes with its contiv.conf and the line where that begins."""
    bench.write(
        "a.yaml",
        "# ours\nkind: ConfigMap\nmetadata:\n  name: contiv-agent-cfg\n  namespace: kube-system\n"
        "data:\n  contiv.conf: |-\n    mtuSize: 1500\n",
    )
    _, found = bench.settle().changes[0]

    assert found is not None
    assert found.settings == Excerpt("mtuSize: 1500", "a.yaml", 8, True)


def test_times_stay_text(bench: Bench) -> None:
    """Dates are the text they were, for the parser of objects to judge."""
    bench.write(
        "a.yaml", "kind: Node\nmetadata: {name: n, creationTimestamp: 2026-01-01T00:00:00Z}"
    )

    assert told(bench.settle()) == {
        ("Node", "", "n"): {
            "kind": "Node",
            "metadata": {"name": "n", "creationTimestamp": "2026-01-01T00:00:00Z"},
        }
    }


@pytest.mark.parametrize(
    ("content", "place", "problem"),
    [
        ("a: [", "a.yaml:1", "not valid YAML: "),
        ("a: 1\nb: *x", "a.yaml:2", "alias 'x' is not defined before"),
        ("a: 1\nb: !!set {x}", "a.yaml:2", "tag '!!set' is not supported here"),
        ("a: 1\na: 1", "a.yaml:2", "key 'a' is there twice, first at line 1"),
        ("[" * 100_000, "a.yaml:1", "nested deeper than 200 levels"),
        (b"a: 1\nb: \xff\n", "a.yaml:2", "not UTF-8"),
        ("", "a.yaml:1", "holds no object any more; delete the file instead"),
        (" \n\t\n", "a.yaml:1", "holds no object any more; delete the file instead"),
        (" \n\n", "a.yaml:1", "holds no object any more; delete the file instead"),
        ("# all gone\n---\n", "a.yaml:1", "holds no object any more; delete the file instead"),
        (
            TWO[: TWO.index("web") + 2],
            "a.yaml:12",
            "ends in the middle of a line, a save seems cut",
        ),
    ],
)
def test_bad_save(bench: Bench, content: str | bytes, place: str, problem: str) -> None:
    """A file that becomes unreadable keeps its last good version, with one note that stays."""
    bench.write("a.yaml", TWO)
    bench.settle()
    bench.write("a.yaml", content)
    first = bench.settle()

    assert first.changes == ()
    assert [str(note.subject) for note in first.notes] == [place]
    assert first.notes[0].reason == "ManifestUnreadable"
    assert first.notes[0].text.startswith(problem)
    assert first.notes[0].text.endswith("; its last good version stays")
    assert bench.settle() == first

    bench.write("a.yaml", service("echo", address="2096::2"))

    assert bench.settle().notes == ()


def test_shorter_file(bench: Bench) -> None:
    """Documents that are taken away in a complete save are gone."""
    bench.write("a.yaml", TWO)
    bench.settle()
    bench.write("a.yaml", service("echo"))

    assert bench.settle() == Scan(((WEB, None),), ())


def test_trimmed_end(bench: Bench) -> None:
    """A text that only lost its last newline is as good as before."""
    bench.write("a.yaml", service("echo"))
    bench.settle()
    bench.write("a.yaml", service("echo")[:-1])

    assert bench.settle() == Scan((), ())


def test_never_good(bench: Bench) -> None:
    """A file that was never good has a note; one that never held anything has none."""
    bench.write("a.yaml", "a: [")
    bench.write("b.yaml", "# to be filled\n")
    scan = bench.settle()
    (note,) = scan.notes

    assert (scan.changes, str(note.subject), note.reason) == ((), "a.yaml:1", "ManifestUnreadable")
    assert note.text.startswith("not valid YAML: ")
    assert note.text.endswith("; nothing of it is used")
    assert bench.source.is_complete


def test_unreadable_file(bench: Bench) -> None:
    """A file that cannot be opened keeps its last good version and is tried at every scan."""
    bench.write("a.yaml", service("echo"))
    bench.settle()
    os.truncate(bench.path / "a.yaml", manifests.MAX_BYTES + 1)
    notes = kept("a.yaml", "cannot be read: larger than 64 MiB")

    assert bench.settle() == Scan((), notes)
    assert bench.source.scan() == Scan((), notes)

    bench.write("a.yaml", service("echo", address="2096::2"))

    assert told(bench.settle()) == {ECHO: body("echo", address="2096::2")}


def test_race(bench: Bench) -> None:
    """A file that changes or goes between being listed and being read waits for the next scan."""
    bench.write("a.yaml", service("echo"))
    source, untouched = bench.source, manifests._File()
    source._look_at("gone.yaml", True)
    for name in ("a.yaml", "gone.yaml"):
        file = manifests._File(seen=(0, 0, 0))
        source._read(name, file, (0, 0, 0))

        assert file == untouched
    assert source._files == {}


def test_vanished_file(bench: Bench) -> None:
    """A file that is absent on two scans in a row takes its objects with it."""
    bench.write("a.yaml", service("echo"))
    bench.settle()
    (bench.path / "a.yaml").unlink()

    assert bench.source.scan() == Scan((), ())
    assert bench.source.scan() == Scan(((ECHO, None),), ())


def test_save_by_renaming(bench: Bench) -> None:
    """A file that is absent for one scan only, or under another name since, loses nothing."""
    bench.write("a.yaml", service("echo"))
    bench.settle()
    (bench.path / "a.yaml").rename(bench.path / "backup")

    assert bench.source.scan() == Scan((), ())

    (bench.path / "backup").rename(bench.path / "a.yaml")

    assert bench.settle() == Scan((), ())

    (bench.path / "a.yaml").rename(bench.path / "b.yaml")

    assert bench.settle() == Scan((), ())
    assert bench.settle() == Scan((), ())


def test_directory_away(bench: Bench) -> None:
    """A directory that is away changes nothing, and two absences around that are not in a row."""
    bench.write("a.yaml", service("echo"))
    bench.settle()
    away = bench.path.parent / "away"
    bench.path.rename(away)
    text = "cannot be read: No such file or directory; all objects stay as they were"
    missing = Scan(
        (), (Note(Subject(Kind.FILE, str(bench.path)), Reason.MANIFESTS_UNAVAILABLE, text),)
    )

    assert [bench.source.scan() for _ in range(3)] == [missing] * 3

    bench.path.mkdir()

    assert bench.source.scan() == Scan((), ())

    bench.path.rmdir()

    assert bench.source.scan() == missing

    bench.path.mkdir()

    assert bench.source.scan() == Scan((), ())
    assert bench.source.scan() == Scan(((ECHO, None),), ())


def test_directory_never_there(tmp_path: Path) -> None:
    """A source without its directory is not complete, an empty directory is."""
    source = ManifestDirectory(tmp_path / "later", lambda: 0.0)

    assert len(source.scan().notes) == 1
    assert not source.is_complete

    (tmp_path / "later").mkdir()

    assert source.scan() == Scan((), ())
    assert source.is_complete


@pytest.mark.parametrize(
    ("document", "line", "problem"),
    [
        ("5", 9, "not an object"),
        ("- a", 9, "not an object"),
        ("a: 1", 9, "kind: missing"),
        ("a: 1\nkind: [5]", 10, "kind: not text"),
        ("kind: Service", 9, "metadata: missing"),
        ("kind: Service\nmetadata:", 10, "metadata: missing"),
        ("kind: Service\nmetadata: 7", 10, "metadata: not a mapping"),
        ("kind: Service\nmetadata: {}", 10, "metadata.name: missing"),
        ("kind: Service\nmetadata:\n  name: ''", 11, "metadata.name: missing"),
        ("kind: Service\nmetadata:\n  name: 7", 11, "metadata.name: not text"),
        ("kind: Service\nmetadata:\n  name: a\n  namespace: 7", 12, "metadata.namespace: not text"),
        ("kind: List", 9, "items: missing"),
        ("kind: List\nitems:", 10, "items: missing"),
        ("kind: PodList\nitems: {}", 10, "items: not a list"),
        ("kind: PodList\nitems:\n- {}", 11, "metadata: missing"),
        ("kind: List\nitems:\n- {}\n", 11, "kind: missing"),
        ("kind: ConfigMap", 9, "metadata: missing"),
    ],
)
def test_unnamed(bench: Bench, document: str, line: int, problem: str) -> None:
    """While a document has no identity, what the file defined before stays, as it may be it."""
    bench.write("a.yaml", TWO)
    bench.settle()
    bench.write("a.yaml", f"{service('web', 'shop', '2096::9')}---\n{document}\n")
    # The first document has 7 lines, the mark is the 8th.
    expected = Scan(bench.settle().changes, (unnamed(f"a.yaml:{line}", problem),))

    assert told(expected) == {WEB: body("web", "shop", "2096::9")}
    assert bench.settle() == Scan((), expected.notes)

    bench.write("a.yaml", service("web", "shop", "2096::9"))

    assert bench.settle() == Scan(((ECHO, None),), ())


def test_unnamed_yields(bench: Bench) -> None:
    """An object that is only kept gives way to any definition of it, without a note."""
    bench.write("b.yaml", TWO)
    bench.settle()
    bench.write("b.yaml", f"{service('web', 'shop')}---\nkind: Service\n")
    bench.write("a.yaml", service("echo", address="2096::5"))
    scan = bench.settle()

    assert told(scan) == {ECHO: body("echo", address="2096::5")}
    assert scan.notes == (unnamed("b.yaml:9", "metadata: missing"),)


def test_defined_twice(bench: Bench) -> None:
    """Of two definitions the later file and document counts, and one note names both places."""
    node = "kind: Node\nmetadata: {name: n}"
    bench.write("b.yaml", service("echo", address="2096::b"))
    bench.write("a.yaml", f"{service('echo', address='2096::a')}---\n{node}")
    scan = bench.settle()
    text = "defined at a.yaml:1 and at b.yaml:1; the last one counts"

    assert told(scan)[ECHO] == body("echo", address="2096::b")
    assert scan.notes == (
        Note(Subject(Kind.SERVICE, Ref("default", "echo")), Reason.DEFINED_TWICE, text),
    )

    bench.write("c.yaml", node)
    (bench.path / "b.yaml").unlink()
    scan = bench.settle()
    text = "defined at a.yaml:9 and at c.yaml:1; the last one counts"

    assert told(scan) == {ECHO: body("echo", address="2096::a")}
    assert scan.notes == (Note(Subject(Kind.NODE, "n"), Reason.DEFINED_TWICE, text),)


def test_strange_file_name(bench: Bench) -> None:
    """A note on a file whose name is no text can be printed."""
    (bench.path / os.fsdecode(b"\xff.yaml")).write_text("a: [")

    assert str(bench.settle().notes[0].subject) == "\\udcff.yaml:1"


def test_read(tmp_path: Path) -> None:
    """Files, directories and standard input are read in order, and what is bad does not stop it."""
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "b.yaml").write_text(service("echo", address="2096::b"))
    (inside / "a.json").write_text(json.dumps(body("web", "shop")))
    (inside / "bad.yaml").write_text("a: [")
    (inside / "lost.yaml").symlink_to("nowhere")
    (inside / "sub.yaml").mkdir()
    single = tmp_path / "any-name"
    single.write_text(service("solo"))
    stdin = service("echo", address="2096::c").encode()
    objects, notes = manifests.read([inside, single, "-", str(single)], stdin)

    assert objects == [
        RawObject(*ECHO, body("echo", address="2096::c"), "<stdin>", 1),
        RawObject("Service", "default", "solo", body("solo"), str(single), 1),
        RawObject(*WEB, body("web", "shop"), f"{inside}/a.json", 1),
    ]
    assert [(str(note.subject), note.reason) for note in notes] == [
        (f"{inside}/bad.yaml:1", "ManifestUnreadable"),
        (f"{inside}/lost.yaml", "ManifestUnreadable"),
        ("Service default/echo", "DefinedTwice"),
    ]
    assert {note.reason for note in notes[:2]} <= manifests.INPUT_REASONS


def test_input_that_is_no_text() -> None:
    """It is a note with the line."""
    notes = manifests.read(["-"], b"\n\xff")[1]

    assert [str(note.subject) for note in notes] == ["<stdin>:2"]


@pytest.mark.parametrize("path", ["absent", "a\0b", "c" * 300])
def test_a_path_that_is_named_and_cannot_be_read(tmp_path: Path, path: str) -> None:
    """It is an error that names the path, whatever else can be read."""
    (tmp_path / "good.yaml").write_text(service("echo"))

    with pytest.raises(InputError, match=r"cannot be read: ") as caught:
        manifests.read([tmp_path, tmp_path / path])

    assert str(caught.value).startswith(f"{tmp_path / path}: ")


def test_one_file(tmp_path: Path) -> None:
    """One manifest is followed as a directory is; while it is away its objects stay."""
    file = tmp_path / "any-name"
    file.write_text(service("echo"))
    source = ManifestDirectory(file, lambda: 0.0)
    (found,) = [source.scan(), source.scan()][1].changes
    file.unlink()
    away = source.scan()
    file.write_text(service("echo", address="2096::b"))
    changed = [source.scan(), source.scan()][1]

    assert found[0] == ECHO
    assert (away.changes, [note.reason for note in away.notes]) == ((), ["ManifestsUnavailable"])
    assert told(changed) == {ECHO: body("echo", address="2096::b")}


NAMES = st.sampled_from(["echo", "web", "a", "b", "node-1"])
OBJECTS = st.lists(
    st.builds(
        lambda kind, name, namespace, extra: {
            "apiVersion": "v1",
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace, "labels": extra},
            "spec": {"note": extra},
        },
        st.sampled_from(["Service", "Node", "Pod", "Deployment"]),
        NAMES,
        st.sampled_from(["default", "shop"]),
        st.dictionaries(NAMES, st.text(alphabet="a:#- é\U0001f600\n", max_size=3), max_size=2),
    ),
    min_size=1,
    max_size=4,
)


def as_yaml(objects: list[dict[str, object]], is_list: bool) -> str:
    """Block style, as people write it; JSON only for the innermost values."""

    def lines(value: object, indent: str) -> str:
        if not isinstance(value, dict) or not value:
            return f" {json.dumps(value, ensure_ascii=False)}\n"
        return "\n" + "".join(f"{indent}{key}:{lines(value[key], indent + '  ')}" for key in value)

    if not is_list:
        return "---".join(lines(one, "") for one in objects)
    items = "".join(f"- \n  {lines(one, '  ').strip()}\n" for one in objects)
    return f"apiVersion: v1\nitems:\n{items}kind: List\n"


def survivors(good: str, cut: bytes) -> tuple[set[Identity], set[Identity]]:
    """What a file defined, and what is left of it after it was saved as far as the cut."""
    whole = after(Version(), good, "f")
    assert whole.notes == ()
    last = manifests._after(whole, cut, "f")
    left = {found.identity for found in (*last.objects, *last.kept)}
    return {found.identity for found in whole.objects}, left


@given(OBJECTS, st.booleans(), st.data())
def test_cut_yaml(objects: list[dict[str, object]], is_list: bool, data: st.DataObject) -> None:
    """A save cut at any byte loses nothing, unless what is there is complete to its last line."""
    good = as_yaml(objects, is_list)
    content = good.encode()
    cut = content[: data.draw(st.integers(0, len(content)))]
    before, left = survivors(good, cut)

    if before - left:
        found = manifest_of(cut.decode(), "f")

        assert cut.endswith(b"\n")
        assert not found.is_blank
        assert found.unnamed == ()
        assert not is_list


@given(OBJECTS, st.sampled_from([None, 1, "\t"]), st.booleans(), st.data())
def test_cut_json(
    objects: list[dict[str, object]], indent: int | str | None, is_ascii: bool, data: st.DataObject
) -> None:
    """JSON cut at any byte loses nothing."""
    whole = {"apiVersion": "v1", "kind": "List", "items": objects}
    good = json.dumps(whole, indent=indent, ensure_ascii=is_ascii) + "\n"
    content = good.encode()
    before, left = survivors(good, content[: data.draw(st.integers(0, len(content)))])

    assert before == left


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes(content: bytes) -> None:
    """Any bytes are objects or notes of one line, and never an exception."""
    last = manifests._after(Version(), content, "f")

    assert all(len(str(note).splitlines()) == 1 for note in last.notes)
    assert last.objects == ()


def test_cut_everywhere(bench: Bench) -> None:
    """A manifest saved byte by byte, each step seen by two scans, never loses the first object."""
    content = TWO.encode()
    bench.write("a.yaml", content)
    bench.settle()
    gone = set()
    for end in range(len(content)):
        bench.write("a.yaml", content)
        bench.settle()
        bench.write("a.yaml", content[:end])
        for identity, found in bench.settle().changes:
            if found is None:
                gone.add((end, identity))

    assert {identity for _, identity in gone} == {WEB}
    assert {content[end - 1 : end] for end, _ in gone} == {b"\n"}
    assert len(service("echo")) in {end for end, _ in gone}


def test_cut_in_a_changed_file(bench: Bench) -> None:
    """A file that ends within a line although it used to end with one is half saved, whatever
    has changed before the cut."""
    bench.write("a.yaml", TWO)
    bench.settle()
    changed = f"{service('echo', address='2096::9')}---\n{service('web', 'shop', 'fd96::1234')}"
    bench.write("a.yaml", changed[:-2])
    half = bench.settle()

    assert half.changes == ()
    assert half.notes == kept("a.yaml:15", "ends in the middle of a line, a save seems cut")


def test_flow_style_needs_no_last_newline(bench: Bench) -> None:
    """JSON in a YAML file cannot be cut and still be read, so it may end anywhere."""
    bench.write("a.yaml", json.dumps(body("echo")) + "\n")
    bench.settle()
    bench.write("a.yaml", json.dumps(body("echo", address="2096::9")))

    assert told(bench.settle()) == {ECHO: body("echo", address="2096::9")}


def test_gaps(bench: Bench) -> None:
    """A file that was never good is a gap; one that was good before, or is mended, is none."""
    bench.write("a.yaml", "kind: [")
    bench.settle()
    assert bench.source.has_gaps

    bench.write("a.yaml", TWO)
    bench.settle()
    assert not bench.source.has_gaps

    bench.write("a.yaml", "kind: [")
    bench.settle()
    assert not bench.source.has_gaps
