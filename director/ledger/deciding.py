"""What of a turn counts, and what it makes of the Requests that are open. Pure."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from director.ledger.protocol import Accepted, Changed, Finished, Interrupted, Noted, Started
from director.ledger.schema import from_us, to_us
from simulations.records import AttemptRecord, Course, Ending, Outcome

NOT_OF_A_LIFE = frozenset({"claimed", "migrated", "repaired", "restated"})
"""Kinds of events that do not show that the Director lived whose life they bear."""

LOST_REASON = "its Director ended, or was lost, while this ran"


class Phase(enum.IntEnum):
    """How far the attempt is that has a Request's epoch."""

    TO_BEGIN = 0
    RUNNING = 1
    ENDED = 2


class Standing(NamedTuple):
    """How an open Request stands.

    Attributes:
        number: The Request's number in its ledger.
        epoch: Of its latest attempt, or the one that an attempt of an earlier life may have.
        phase: How far that attempt is.
        started_us: When it began, in µs since 1970, if it runs.
        priority: What it was changed to; None: as it was accepted.
        cancelled: 1 if its cancellation was asked for, else 0.
    """

    number: int
    epoch: int = 0
    phase: int = Phase.TO_BEGIN
    started_us: int | None = None
    priority: int | None = None
    cancelled: int = 0


class Line(NamedTuple):
    """An event as it is stored: the time in µs since 1970, the Request by its number, the data as JSON."""

    at_us: int
    life: int
    kind: str
    number: int | None = None
    epoch: int | None = None
    data: str | None = None


class Ended(NamedTuple):
    """An Outcome that counts, with the number of its Request."""

    number: int
    outcome: Outcome
    epoch: int
    body: str


@dataclass
class Turning:
    """One turn, applied item by item. It keeps what has to be written.

    Args:
        life: The life that writes.
        known: Requests of this turn that were accepted before; None for one that has an Outcome.
        last_number: The greatest number of a Request so far.
    """

    life: int
    known: Mapping[str, Standing | None]
    last_number: int
    fresh: list[Accepted] = field(default_factory=list)
    stands: dict[str, Standing | None] = field(default_factory=dict)
    ended: list[Ended] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    def apply(
        self,
        accepted: Iterable[Accepted],
        started: Iterable[Started],
        interrupted: Iterable[Interrupted],
        changed: Iterable[Changed],
        finished: Iterable[Finished],
        noted: Iterable[Noted],
    ) -> None:
        """Applies a turn; see `Ledger.turn` for the order and for what counts."""
        for request in accepted:
            self._accept(request)
        for start in started:
            self._start(start)
        for interruption in interrupted:
            self._interrupt(interruption)
        for change in changed:
            self._change(change)
        for end in finished:
            self._finish(end)
        for note in noted:
            self.lines.append(Line(to_us(note.at), self.life, note.kind, data=json.dumps(dict(note.data))))

    def first_number(self) -> int:
        """The number of the first of the fresh Requests; the others follow."""
        return self.last_number - len(self.fresh) + 1

    def _standing(self, name: str) -> Standing | None:
        return self.stands[name] if name in self.stands else self.known.get(name)

    def _accept(self, item: Accepted) -> None:
        name = item.request.id
        if name in self.known or name in self.stands:
            return
        self.last_number += 1
        self.fresh.append(item)
        self.stands[name] = Standing(self.last_number)
        self.lines.append(Line(to_us(item.submitted_at), self.life, "accepted", self.last_number))

    def _start(self, item: Started) -> None:
        now = self._standing(item.id)
        if now is None or not (item.epoch > now.epoch or (item.epoch == now.epoch and now.phase == Phase.TO_BEGIN)):
            return
        at_us = to_us(item.at)
        self.stands[item.id] = Standing(now.number, item.epoch, 1, at_us, now.priority, now.cancelled)
        self.lines.append(Line(at_us, self.life, "started", now.number, item.epoch))

    def _interrupt(self, item: Interrupted) -> None:
        now, attempt = self._standing(item.id), item.attempt
        if now is None or attempt.epoch != now.epoch or now.phase == Phase.ENDED:
            return
        self.stands[item.id] = now._replace(phase=int(Phase.ENDED), started_us=None)
        self.lines.append(_interrupted(now.number, attempt, self.life))

    def _change(self, item: Changed) -> None:
        now = self._standing(item.id)
        if now is None:
            return
        priority = now.priority if item.priority is None else item.priority
        self.stands[item.id] = now._replace(priority=priority, cancelled=int(now.cancelled or item.cancel))
        data = json.dumps({"priority": item.priority, "cancel": item.cancel})
        self.lines.append(Line(to_us(item.at), self.life, "changed", now.number, data=data))

    def _finish(self, item: Finished) -> None:
        outcome = item.outcome
        now = self._standing(outcome.id)
        if now is None or item.epoch != now.epoch:
            return
        self.stands[outcome.id] = None
        self.ended.append(Ended(now.number, outcome, item.epoch, outcome.model_dump_json()))
        data = json.dumps({"status": outcome.status.value, "reused_from": outcome.reused_from})
        line = Line(to_us(outcome.finished_at), self.life, "finished", now.number, item.epoch, data)
        self.lines.append(line)


def named_in(
    accepted: Sequence[Accepted],
    started: Sequence[Started],
    interrupted: Sequence[Interrupted],
    changed: Sequence[Changed],
    finished: Sequence[Finished],
) -> list[str]:
    """The ids of a turn, each once."""
    ids = dict.fromkeys(item.request.id for item in accepted)
    for items in (started, interrupted, changed):
        ids.update(dict.fromkeys(item.id for item in items))
    ids.update(dict.fromkeys(item.outcome.id for item in finished))
    return list(ids)


def taken_up(
    still_open: Iterable[Standing],
    life: int,
    at: datetime,
    last_us: int | None,
    course_of: Callable[[int, int], Course],
) -> tuple[list[Standing], list[Line]]:
    """What a new life makes of the Requests that are open.

    Args:
        still_open: They, in the order in which they were accepted.
        life: The life that begins.
        at: When it begins.
        last_us: Time of the last event that an earlier life wrote, in µs since 1970; None: there is none.
        course_of: How far an attempt had got, by the traces that it left: called with a Request's number and an epoch.

    Returns:
        How they stand from then on, and the events: attempts that were left open are ``director_lost``, and one
        ``taken_up`` for the new epoch that each Request gets.
    """
    stands, lines = [], []
    for now in still_open:
        stands.append(now._replace(epoch=now.epoch + 1, phase=int(Phase.TO_BEGIN), started_us=None))
        if now.phase == Phase.RUNNING and now.started_us is not None:
            course = course_of(now.number, now.epoch)
            known = [to_us(found) for found in (course.began_at, course.saved_at) if found is not None]
            ended_us = max(now.started_us, *known, last_us or 0)
            attempt = AttemptRecord(
                epoch=now.epoch,
                started_at=from_us(now.started_us),
                ended_at=from_us(ended_us),
                ended=Ending.DIRECTOR_LOST,
                course=course,
                reason=LOST_REASON,
            )
            lines.append(_interrupted(now.number, attempt, life))
    lines.append(Line(to_us(at), life, "taken_up", data=json.dumps({"open": len(stands)})))
    return stands, lines


def restating(stand: Standing, status: str | None = None, interrupted: int | None = None) -> str:
    """The data of a ``restated`` event, as JSON.

    Args:
        stand: How the Request stands, whatever the events before told.
        status: Of its Outcome; None while it is open.
        interrupted: How many of its attempts ended without it; None: as the events before told.
    """
    return json.dumps(
        {
            "status": status,
            "phase": int(stand.phase),
            "started_us": stand.started_us,
            "priority": stand.priority,
            "cancelled": stand.cancelled,
            "interrupted": interrupted,
        }
    )


def _interrupted(number: int, attempt: AttemptRecord, life: int) -> Line:
    return Line(to_us(attempt.ended_at), life, "interrupted", number, attempt.epoch, attempt.model_dump_json())
