"""Which version of a manifest counts: what was good stays until something as good takes its place.

Rule: pure. A version is a value; texts come in, the next version goes out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from srv6kv.kube.model import Gap, Identity
from srv6kv.notes import Kind, Note, Reason, Subject
from srv6kv.sources.objects import Manifest, RawObject, manifest_of
from srv6kv.yamllines import TextError, looks_like_json


@dataclass(frozen=True, slots=True)
class Version:
    """The last good version of one manifest, and the notes on the file as it is now.

    Attributes:
        kept: what an earlier text defined and a document without identity may still mean.
        gaps: what its documents without identity could define.
    """

    text: str = ""
    objects: tuple[RawObject, ...] = ()
    kept: tuple[RawObject, ...] = ()
    notes: tuple[Note, ...] = ()
    gaps: frozenset[Gap] = frozenset()

    def holds_objects(self) -> bool:
        """Whether anything would be lost if the file were taken for empty."""
        return bool(self.objects or self.kept)


def after(last: Version, text: str, file: str) -> Version:
    """The version after the file was read with this text."""
    try:
        manifest = manifest_of(text, file)
    except TextError as error:
        return unreadable(last, f"{file}:{error.line}", error.problem)
    if manifest.is_blank and last.holds_objects():
        return unreadable(last, f"{file}:1", "holds no object any more; delete the file instead")
    if _is_half_saved(last, text, manifest):
        line = text.count("\n") + 1
        return unreadable(last, f"{file}:{line}", "ends in the middle of a line, a save seems cut")
    kept = _kept(last, manifest)
    return Version(text, manifest.objects, kept, manifest.unnamed, manifest.gaps)


def unreadable(last: Version, place: str, problem: str) -> Version:
    """The version after the file could not be read: the last one, and a note."""
    rest = "its last good version stays" if last.holds_objects() else "nothing of it is used"
    notes = (Note(Subject(Kind.FILE, place), Reason.MANIFEST_UNREADABLE, f"{problem}; {rest}"),)
    return last if notes == last.notes else replace(last, notes=notes)


def _is_half_saved(last: Version, text: str, manifest: Manifest) -> bool:
    """Block-style YAML that ends within a line although the file did not use to: its rest is
    still to come. Flow style (JSON) cannot be cut and still be read."""
    is_cut = not text.endswith("\n") and last.text.endswith("\n") and not looks_like_json(text)
    return is_cut and (manifest.objects != last.objects or bool(manifest.unnamed))


def _kept(last: Version, manifest: Manifest) -> tuple[RawObject, ...]:
    """What is missing now, if a document without identity may be it."""
    if not manifest.unnamed:
        return ()
    defined = {found.identity for found in manifest.objects}
    return tuple(old for old in (*last.objects, *last.kept) if old.identity not in defined)


def merged(versions: Iterable[Version]) -> tuple[dict[Identity, RawObject], list[Note]]:
    """The objects of several manifests, later definitions first choice, and the notes on all."""
    places: dict[Identity, list[RawObject]] = {}
    kept: dict[Identity, RawObject] = {}
    notes: list[Note] = []
    for version in versions:
        notes.extend(version.notes)
        for found in version.objects:
            places.setdefault(found.identity, []).append(found)
        for old in version.kept:
            kept[old.identity] = old
    notes.extend(_twice(found) for found in places.values() if len(found) > 1)
    return kept | {identity: found[-1] for identity, found in places.items()}, notes


def _twice(found: list[RawObject]) -> Note:
    last = found[-1]
    *first, final = (f"{one.file}:{one.line}" for one in found)
    text = f"defined at {', '.join(first)} and at {final}; the last one counts"
    return Note(Subject.of(last.identity), Reason.DEFINED_TWICE, text)
