"""Candidates that have passed the filter and wait to be selected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Entry:
    """A candidate in the buffer.

    Attributes:
        name: Its name, by which a model speaks of it: ``c1``, ``c2`` …
        document: The candidate, as the environment writes it.
        generator: Who made it.
        scores: What scorers have said of it since the last evaluation.
    """

    name: str
    document: dict[str, Any]
    generator: str
    scores: dict[str, float] = field(default_factory=dict)


class Buffer:
    """Holds so many candidates at most; when it is full, the oldest leave.

    Args:
        size: How many.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: dict[str, Entry] = {}
        self._made = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    @property
    def names(self) -> list[str]:
        """All names, in the order in which the candidates came."""
        return list(self._entries)

    def add(self, documents: Sequence[dict[str, Any]], generator: str) -> tuple[list[str], list[str]]:
        """Takes candidates in that are not there yet.

        Returns:
            Names of those that came, and of those that had to leave for them.
        """
        known = [entry.document for entry in self._entries.values()]
        came = []
        for document in documents:
            if document in known:
                continue
            known.append(document)
            self._made += 1
            name = f"c{self._made}"
            self._entries[name] = Entry(name, document, generator)
            came.append(name)
        left = self.names[: max(0, len(self._entries) - self._size)]
        for name in left:
            del self._entries[name]
        return [name for name in came if name in self._entries], left

    def take(self, name: str) -> Entry:
        """Takes a candidate out."""
        return self._entries.pop(name)

    def forget_scores(self) -> None:
        """Scores depend on what is known, and that has changed."""
        for entry in self._entries.values():
            entry.scores = {}

    def get_state(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return {"made": self._made, "entries": [asdict(entry) for entry in self._entries.values()]}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Takes the place of another one."""
        self._made = int(state["made"])
        self._entries = {
            entry["name"]: Entry(**{**entry, "scores": dict(entry["scores"])}) for entry in state["entries"]
        }
