"""The objects of a desired state by the part of the cluster that they stand for.

Rule: a part is replaced as a whole, so nothing is ever left behind by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

from srv6kv.ligato.keys import host_route_of
from srv6kv.ligato.values import AgentValue
from srv6kv.net.targets import Target
from srv6kv.notes import Note
from srv6kv.render.desired import Delta, Desired


class Parts:
    """Writes a desired state and remembers what of it has changed.

    Attributes:
        delta: the changes since ``delta`` was last replaced.
    """

    def __init__(self, desired: Desired) -> None:
        self.desired = desired
        self.delta = Delta()
        self.rendered = 0
        self._parts: dict[Hashable, dict[str, AgentValue]] = {}
        self._shared: dict[Hashable, dict[str, AgentValue]] = {}

    def replace(self, part: Hashable, values: Iterable[AgentValue]) -> None:
        """Replace the objects of a part."""
        old = self._parts.pop(part, {})
        new = {value.key: value for value in values}
        self.rendered += len(new)
        if new:
            self._parts[part] = new
        for key in old.keys() - new.keys():
            self.delta.keys.add(key)
            if self.desired.objects.get(key) is old[key]:  # else another part has it by now
                del self.desired.objects[key]
                self._list(key, self.desired.host_routes.discard)
        for key, value in new.items():
            if old.get(key) != value:
                self.delta.keys.add(key)
            if key not in self.desired.objects:
                self._list(key, self.desired.host_routes.add)
            self.desired.objects[key] = value

    def _list(self, key: str, change: Callable[[Target, str], None]) -> None:
        """Whether an address may be steered depends on the routes to it."""
        host = host_route_of(key)
        if host is not None:
            change(host, key)
            self.delta.targets.add(host)

    def share(self, part: Hashable, values: Iterable[AgentValue]) -> None:
        """Replace the objects of a part that are created if absent."""
        new = {value.key: value for value in values}
        self.rendered += len(new)
        old = self._shared.pop(part, {})
        if new:
            self._shared[part] = new
        self.delta.keys |= {k for k in old.keys() | new.keys() if old.get(k) != new.get(k)}
        for key in old:
            self.desired.shared.pop(key, None)
        self.desired.shared.update(new)

    def remark(self, part: Hashable, *notes: Note) -> None:
        """Replace the warnings about a part."""
        if notes:
            self.desired.notes[part] = notes
        else:
            self.desired.notes.pop(part, None)
