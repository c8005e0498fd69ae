"""The objects of the tests' API server: versions, history, selectors."""

from __future__ import annotations

import copy
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


class Compacted(Exception):
    """The history does not reach back so far."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one object; None: it was not there, or is not any more."""

    version: int
    plural: str
    key: str
    old: Json | None
    new: Json | None

    def seen_by(self, chooses: Callable[[Json], bool]) -> Json | None:
        """The event for a watch that sees only some objects; an object that is not chosen any more
        is deleted for it, as it was, with the version of the change."""
        was = self.old is not None and chooses(self.old)
        if self.new is not None and chooses(self.new):
            return {"type": "MODIFIED" if was else "ADDED", "object": self.new}
        if was and self.old is not None:
            metadata = {**self.old["metadata"], "resourceVersion": str(self.version)}
            return {"type": "DELETED", "object": {**self.old, "metadata": metadata}}
        return None


class ObjectStore:
    """Objects of several resources with one counter of versions.

    Attributes:
        version: of the last change.
        condition: held for every change and notified of it.
    """

    def __init__(self) -> None:
        self.version = 1
        self.condition = threading.Condition(threading.RLock())
        self._log: list[Change] = []
        self._compacted = 0
        self._base: dict[str, dict[str, Json]] = {}

    def put(self, plural: str, body: Json, namespace: str = "", new: bool | None = None) -> Json:
        """Create or replace an object; as it is then.

        Args:
            new: whether it has to be new; None: it may be either.
        """
        with self.condition:
            metadata = body["metadata"]
            if plural != "nodes":
                metadata = {
                    **metadata,
                    "namespace": namespace or metadata.get("namespace", "default"),
                }
            key = _key(metadata.get("namespace", ""), metadata["name"])
            old = self.now(plural).get(key)
            if new is True and old is not None:
                raise FileExistsError(key)
            if new is False and old is None:
                raise KeyError(key)
            kept = old["metadata"] if old is not None else {}
            made = copy.deepcopy({**body, "metadata": metadata})
            made["metadata"]["uid"] = kept.get("uid") or str(uuid.uuid4())
            made["metadata"].setdefault(
                "creationTimestamp", kept.get("creationTimestamp", "2026-11-22T10:00:00Z")
            )
            self._append(plural, key, old, made)
            return made

    def delete(self, plural: str, namespace: str, name: str) -> None:
        """Delete an object.

        Raises:
            KeyError: it is not there.
        """
        with self.condition:
            key = _key(namespace, name)
            self._append(plural, key, self.now(plural)[key], None)

    def get(self, plural: str, namespace: str, name: str) -> Json:
        """An object.

        Raises:
            KeyError: it is not there.
        """
        return self.now(plural)[_key(namespace, name)]

    def _append(self, plural: str, key: str, old: Json | None, new: Json | None) -> None:
        self.version += 1
        if new is not None:
            new["metadata"]["resourceVersion"] = str(self.version)
        self._log.append(Change(self.version, plural, key, old, new))
        self.condition.notify_all()

    def now(self, plural: str) -> dict[str, Json]:
        """All objects of a resource by namespace and name."""
        return self.at(plural, self.version)

    def at(self, plural: str, version: int) -> dict[str, Json]:
        """The objects of a resource after a version.

        Raises:
            Compacted: that is too long ago.
        """
        with self.condition:
            if version < self._compacted:
                raise Compacted
            objects = dict(self._base.get(plural, {}))
            for change in self._log:
                if change.plural == plural and change.version <= version:
                    if change.new is None:
                        objects.pop(change.key, None)
                    else:
                        objects[change.key] = change.new
            return objects

    def begin(self, plural: str, since: int) -> tuple[list[Change] | None, int]:
        """What a watch sees first, and the version of it; None: the history is too short."""
        with self.condition:
            if since == 0:
                found = self.now(plural).items()
                return [Change(self.version, plural, k, None, v) for k, v in found], self.version
            if since < self._compacted:
                return None, 0
            return self.after(plural, since)

    def after(self, plural: str, seen: int) -> tuple[list[Change], int]:
        """The changes of a resource since a version, and the version of now."""
        with self.condition:
            found = [one for one in self._log if one.plural == plural and one.version > seen]
            return found, self.version

    def has_more(self, plural: str, seen: int) -> bool:
        """Whether a resource has changed since a version."""
        return any(one.plural == plural and one.version > seen for one in self._log)

    def compact(self) -> None:
        """Forget all history; no version that anybody has seen can be watched from."""
        with self.condition:
            self.version += 1
            plurals = {one.plural for one in self._log} | self._base.keys()
            self._base = {plural: self.now(plural) for plural in plurals}
            self._log.clear()
            self._compacted = self.version

    def restore(self, version: int) -> None:
        """Be as after that version, which is the last one again: a restored backup."""
        with self.condition:
            self._log = [one for one in self._log if one.version <= version]
            self.version = version
            self.condition.notify_all()


def _key(namespace: str, name: str) -> str:
    return f"{namespace}/{name}"


def selects(one: Json, labels: str, fields: str) -> bool:
    """Whether an object fits selectors as in a query."""
    have = one["metadata"].get("labels") or {}
    for term in filter(None, labels.split(",")):
        name, is_equal, value = term.partition("=")
        if name.startswith("!"):
            if name[1:] in have:
                return False
        elif name not in have or (is_equal and have[name] != value):
            return False
    for term in filter(None, fields.split(",")):
        path, _, value = term.partition("=")
        found: Any = one
        for part in path.split("."):
            found = (found or {}).get(part)
        if (found or "") != value:
            return False
    return True
