"""A cluster that was read once, as a value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from srv6kv.cluster.cluster import Cluster
from srv6kv.errors import InputError
from srv6kv.kube.model import Body, Identity, Ref, Service
from srv6kv.notes import Kind, Note, Subject
from srv6kv.sync.reconciler import Reconciler


@dataclass(frozen=True, slots=True)
class Files:
    """What was read from manifests or from an API server.

    Attributes:
        objects: every object, as it came.
        notes: on the files; those on the cluster in them are the reconciler's.
        has_bad_input: an object was left out because it is malformed or unreadable.
    """

    reconciler: Reconciler
    objects: tuple[tuple[Identity, Body], ...]
    notes: tuple[Note, ...]
    has_bad_input: bool

    def all_notes(self) -> list[Note]:
        """Return the notes on the files, then those on the cluster in them."""
        return [*self.notes, *sorted(self.reconciler.notes())]

    def bad_input(self) -> tuple[Note, ...]:
        """Return the notes on the input if some of it was left out, else none."""
        notes = (*self.notes, *self.reconciler.intake.notes())
        return notes if self.has_bad_input else ()


def service_named(name: str, cluster: Cluster, notes: Iterable[Note] = ()) -> Service:
    """Return the service of a name, with or without its namespace.

    Args:
        notes: those on the input, which may say why the service is not there.

    Raises:
        InputError: there is none, or it is malformed.
    """
    namespace, _, plain = name.rpartition("/")
    ref = Ref(namespace or "default", plain)
    services = cluster.services
    if ref in services:
        return services[ref]
    for note in notes:
        if note.subject == Subject(Kind.SERVICE, ref):
            raise InputError(str(note))
    near = [str(other) for other in sorted(services) if other.name == plain]
    near += get_close_matches(str(ref), map(str, services), n=3)
    hint = f"; near it: {', '.join(dict.fromkeys(near))}" if near else ""
    raise InputError(f"Service {ref}: no such service{hint}")
