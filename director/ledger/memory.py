"""The in-memory Ledger."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from director.ledger.protocol import Accepted, Entry, FencedError, Finished, Started, Turned


class MemoryLedger:
    """A Ledger that forgets: for tests and benchmarks."""

    def __init__(self) -> None:
        self._accepted: dict[str, Accepted] = {}
        self._epochs: dict[str, int] = {}
        self._attempts: Counter[str] = Counter()
        self._entries: list[Entry] = []
        self._done: set[str] = set()
        self._claims: list[int] = [0]
        self._life = 0

    def opened_again(self) -> MemoryLedger:
        """The same records in another hand, as when a second process opens the file of a ledger on disk."""
        other = copy.copy(self)
        other._life = 0
        return other

    def claim(self, life: int) -> None:
        """See `Ledger.claim`."""
        if life < 1:
            raise ValueError(f"a life's number is at least 1, not {life}")
        if life <= self._claims[-1]:
            raise FencedError(life, self._claims[-1])
        self._claims.append(life)
        self._life = life

    def known(self, ids: Sequence[str]) -> set[str]:
        """See `Ledger.known`."""
        return set(ids) & self._accepted.keys()

    def turn(
        self,
        accepted: Sequence[Accepted] = (),
        started: Sequence[Started] = (),
        finished: Sequence[Finished] = (),
    ) -> Turned:
        """See `Ledger.turn`."""
        self._verify()
        fresh = {item.request.id for item in accepted} - self._accepted.keys()
        for item in accepted:
            self._accepted.setdefault(item.request.id, item)
            self._epochs.setdefault(item.request.id, 0)
        for attempt in started:
            self._epochs[attempt.id] = max(self._epochs.get(attempt.id, 0), attempt.epoch)
            self._attempts[attempt.id] += 1
        counted = []
        for end in finished:
            name = end.outcome.id
            if name not in self._done and self._epochs.get(name) == end.epoch:
                self._done.add(name)
                counted.append(Entry(len(self._entries) + 1, name, end.outcome.model_dump_json()))
                self._entries.append(counted[-1])
        return Turned(fresh, counted)

    def page(self, after: int, limit: int) -> list[Entry]:
        """See `Ledger.page`."""
        return self._entries[after : after + limit]

    def last(self) -> int:
        """See `Ledger.last`."""
        return len(self._entries)

    def take_up(self) -> list[Accepted]:
        """See `Ledger.take_up`."""
        self._verify()
        still_open = [name for name in self._accepted if name not in self._done]
        for name in still_open:
            self._epochs[name] += 1
        return [
            replace(self._accepted[name], epoch=self._epochs[name], attempts=self._attempts[name])
            for name in still_open
        ]

    def close(self) -> None:
        """See `Ledger.close`."""

    def _verify(self) -> None:
        if self._claims[-1] != self._life:
            raise FencedError(self._life, self._claims[-1])
