"""The in-memory Ledger."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from director.ledger.deciding import NOT_OF_A_LIFE, Line, Standing, Turning, named_in, taken_up
from director.ledger.protocol import (
    Accepted,
    Changed,
    CourseOf,
    Entry,
    Event,
    FencedError,
    Finished,
    Interrupted,
    Noted,
    Started,
    Turned,
)
from director.ledger.schema import from_us, to_us
from director.ledger.writing import is_run_ok
from simulations.records import AttemptRecord, Course


class MemoryLedger:
    """A Ledger that forgets: for tests and benchmarks."""

    def __init__(self) -> None:
        self._accepted: dict[str, Accepted] = {}
        self._names: list[str] = []
        self._open: dict[str, Standing] = {}
        self._history: dict[str, list[AttemptRecord]] = {}
        self._entries: list[Entry] = []
        self._first_ok: dict[str, int] = {}
        self._counts: Counter[str] = Counter()
        self._lines: list[Line] = []
        self._claims: list[int] = [0]
        self._life = 0

    def opened_again(self) -> MemoryLedger:
        """The same records in another hand, as when a second process opens the file of a ledger on disk."""
        other = copy.copy(self)
        other._life = 0
        return other

    def claim(self, life: int, at: datetime | None = None) -> None:
        """See `Ledger.claim`."""
        if life < 1:
            raise ValueError(f"a life's number is at least 1, not {life}")
        if life <= self._claims[-1]:
            raise FencedError(life, self._claims[-1])
        self._lines.append(Line(to_us(at or datetime.now(UTC)), life, "claimed"))
        self._claims.append(life)
        self._life = life

    def turn(
        self,
        accepted: Sequence[Accepted] = (),
        started: Sequence[Started] = (),
        interrupted: Sequence[Interrupted] = (),
        changed: Sequence[Changed] = (),
        finished: Sequence[Finished] = (),
        noted: Sequence[Noted] = (),
    ) -> Turned:
        """See `Ledger.turn`."""
        self._verify()
        ids = named_in(accepted, started, interrupted, changed, finished)
        known = {name: self._open.get(name) for name in ids if name in self._accepted}
        turning = Turning(self._life, known, len(self._names))
        turning.apply(accepted, started, interrupted, changed, finished, noted)
        for item in turning.fresh:
            self._names.append(item.request.id)
            self._accepted[item.request.id] = item
        for name, stand in turning.stands.items():
            if stand is None:
                self._open.pop(name, None)
                self._history.pop(name, None)
            else:
                self._open[name] = stand
        self._journal(turning.lines)
        first = len(self._entries)
        for ended in turning.ended:
            outcome = ended.outcome
            self._counts[outcome.status.value] += 1
            if is_run_ok(outcome):
                self._first_ok.setdefault(outcome.key, len(self._entries))
            self._entries.append(Entry(len(self._entries) + 1, outcome.id, ended.body))
        return Turned({item.request.id for item in turning.fresh}, self._entries[first:])

    def known(self, ids: Sequence[str]) -> set[str]:
        """See `Ledger.known`."""
        return set(ids) & self._accepted.keys()

    def find_ok(self, keys: Sequence[str]) -> dict[str, str]:
        """See `Ledger.find_ok`."""
        return {key: self._entries[self._first_ok[key]].body for key in keys if key in self._first_ok}

    def page(self, after: int, limit: int) -> list[Entry]:
        """See `Ledger.page`."""
        return self._entries[after : after + limit]

    def last(self) -> int:
        """See `Ledger.last`."""
        return len(self._entries)

    def counts(self) -> dict[str, int]:
        """See `Ledger.counts`."""
        return dict(self._counts)

    def events(self, after: int, limit: int) -> list[Event]:
        """See `Ledger.events`."""
        return [self._event(seq, line) for seq, line in enumerate(self._lines[after : after + limit], after + 1)]

    def take_up(self, at: datetime | None = None, course_of: CourseOf | None = None) -> list[Accepted]:
        """See `Ledger.take_up`, and `SqliteLedger.take_up` for the end of an attempt that was left open."""
        self._verify()
        earlier = (line for line in reversed(self._lines) if line.life < self._life or self._life == 0)
        latest = next((line.at_us for line in earlier if line.kind not in NOT_OF_A_LIFE), None)
        stands, lines = taken_up(
            sorted(self._open.values()),
            self._life,
            at or datetime.now(UTC),
            latest,
            lambda number, epoch: course_of(self._names[number - 1], epoch) if course_of else Course(),
        )
        self._journal(lines)
        self._open.update((self._names[stand.number - 1], stand) for stand in stands)  # in place: it is shared
        return [self._taken(name, stand) for name, stand in self._open.items()]

    def close(self) -> None:
        """See `Ledger.close`."""

    def _taken(self, name: str, stand: Standing) -> Accepted:
        item = self._accepted[name]
        request = item.request
        if stand.priority is not None:
            request = request.model_copy(update={"priority": stand.priority})
        history = tuple(self._history.get(name, ()))
        return replace(item, request=request, epoch=stand.epoch, history=history, cancelled=bool(stand.cancelled))

    def _journal(self, lines: Sequence[Line]) -> None:
        self._lines += lines
        for line in lines:
            if line.kind == "interrupted" and line.number is not None and line.data is not None:
                name = self._names[line.number - 1]
                if name in self._open:
                    self._history.setdefault(name, []).append(AttemptRecord.model_validate_json(line.data))

    def _event(self, seq: int, line: Line) -> Event:
        name = None if line.number is None else self._names[line.number - 1]
        data = json.loads(line.data) if line.data else {}
        return Event(seq, from_us(line.at_us), line.life, line.kind, name, line.epoch, data)

    def _verify(self) -> None:
        if self._claims[-1] != self._life:
            raise FencedError(self._life, self._claims[-1])
