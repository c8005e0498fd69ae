"""What srv6kv has to say about an object that it cannot render as its author may expect.

A note is a value: the pure core returns it, the edges print, count and show it. Reasons are stable
names; ``docs/notes.md`` lists them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """One remark about one object.

    Attributes:
        subject: the object, as ``Kind namespace/name``, ``Node name`` or a file.
        reason: stable CamelCase name.
        text: what is the matter and what happens instead, naming the field.
    """

    subject: str
    reason: str
    text: str

    @property
    def is_routine(self) -> bool:
        """Whether it is nothing that anybody has to look after."""
        return self.reason in _ROUTINE

    def __str__(self) -> str:
        return f"{self.subject}: {self.text} ({self.reason})"


_ROUTINE = {"FamilyNotServed", "IPv4NotRendered", "NodePortLeftToKubeProxy"}
