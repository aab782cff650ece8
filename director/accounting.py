"""Where the time of a Director's nodes went, kept while it happens or read from its ledger. Pure.

What is counted is said in `director.usage` for Requests and in `director.totals` for nodes. A Director holds its nodes
from the event ``began`` to the event ``ended``. A life that did not say that it ended did, as far as one can know, with
its last event.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from director.ledger.protocol import Event, Noted
from director.totals import SECONDS_PER_HOUR, Sums, Totals, totals_of
from director.usage import NS, Share, share_of, usage_of
from simulations.records import AttemptRecord, Course, Outcome, Status

__all__ = ["Account", "Going", "Totals", "usage_of"]

BEGAN, ENDED, CLAIMED, INTERRUPTED = "began", "ended", "claimed", "interrupted"
EARLIER = timedelta(seconds=2)
"""A Director sees a little late that a worker has taken up an attempt."""


class Going(NamedTuple):
    """An attempt that runs now.

    Attributes:
        started_at: When its worker took it up (UTC).
        course: How far it is.
        unit: Its Tool's unit of work. A Tool that has one says when its start-up is over.
    """

    started_at: datetime
    course: Course = Course()
    unit: str = ""


@dataclass
class _Life:
    """Some nodes and workers, held from one moment to another; to no known one while it lasts."""

    began_at: datetime
    nodes: int
    workers: int
    until: datetime | None = None


class Account:
    """Where the time of one Director's nodes went, kept while it happens. Answers at once, however long the run.

    A Director feeds it so:

    - `note` with what it notes in its ledger: ``began`` at its start, ``ended`` at its end;
    - `attempts` with all attempts of an open Request, after each that ended, and once for each Request that a new life
      takes up with a history;
    - `outcome` with each Outcome that counts;
    - `add` with the Account of the lives before, as soon as that has been read (`of`).

    Memory is bounded by the number of open Requests that have a history, and of lives.

    Args:
        nodes: Nodes that the Director holds, where the ``began`` event does not say.
        workers: Its workers, likewise.
    """

    def __init__(self, *, nodes: int, workers: int) -> None:
        self._nodes = nodes
        self._workers = workers
        self._lives: list[_Life] = []
        self._seen: datetime | None = None
        self._done = Sums()
        self._open: dict[str, tuple[Share, str, tuple[str, ...]]] = {}

    # ---- what happens

    def note(self, noted: Noted) -> None:
        """Takes in what the Director noted: ``began`` (data: ``nodes``, ``workers``), ``ended``, or anything else."""
        self._happened(noted.kind, noted.at, noted.data)

    def attempts(self, name: str, history: Sequence[AttemptRecord], *, unit: str) -> None:
        """Takes in the attempts of an open Request, in place of what was known of them.

        Args:
            name: The Request's id.
            history: All its attempts that have ended, in order.
            unit: Its Tool's unit of work.
        """
        if history:
            self._open[name] = (share_of(history), unit, tuple(record.ended.value for record in history))

    def outcome(self, outcome: Outcome) -> None:
        """Takes in an Outcome, in place of what was known of its Request's attempts. Call it once for each."""
        self._open.pop(outcome.id, None)
        sums, usage = self._done, outcome.usage
        if outcome.reused_from is not None:
            sums.reused += 1
        elif outcome.started_at is not None or outcome.history:
            sums.requests += 1
        for record in outcome.history:
            sums.endings[record.ended.value] += 1
        if usage is None and outcome.history:  # it had begun when another's result came to stand for its own
            self._take(sums, share_of(outcome.history))
        elif usage is None and outcome.started_at is not None:  # older versions did not record attempts
            sums.run_s += max(0.0, (outcome.finished_at - outcome.started_at).total_seconds())
        if usage is None:
            return
        sums.startup_s += usage.startup_s
        sums.run_s += usage.run_s
        sums.lost_s += usage.lost_s
        sums.queued_s += usage.queued_s
        sums.simulated_ns += usage.simulated_ns or 0.0
        if outcome.status is not Status.OK:
            sums.not_ok_s += usage.run_s - usage.lost_s

    def add(self, past: Account) -> None:
        """Takes in the lives before. Its open Requests must have been given to `attempts`."""
        past._close()
        self._lives = past._lives + self._lives
        self._done.add(past._done)

    # ---- what came of it

    def lives(self) -> list[tuple[datetime, datetime | None]]:
        """From when to when the nodes were held, in order; None: until now."""
        return [(life.began_at, life.until) for life in self._lives]

    def totals(self, now: datetime | None = None, running: Iterable[Going] = ()) -> Totals:
        """Adds it all up.

        Args:
            now: The present (UTC), for a Director that lives; None: it ended, at the latest, with what was last seen.
            running: Attempts that run now; only those of which it is known that a worker has taken them up.
        """
        sums = Sums()
        sums.add(self._done)
        for share, unit, endings in self._open.values():
            self._take(sums, share)
            sums.simulated_ns += (share.amount or 0.0) if unit == NS else 0.0
            sums.endings.update(endings)
        for going in running:
            _go(sums, going, now or going.started_at)
        node_s = worker_s = 0.0
        for life in self._lives:
            until = life.until or now or self._seen or life.began_at
            held_s = max(0.0, (until - life.began_at).total_seconds())
            node_s += life.nodes * held_s
            worker_s += life.workers * held_s
        return totals_of(sums, node_s / SECONDS_PER_HOUR, worker_s)

    @classmethod
    def of(
        cls,
        events: Iterable[Event],
        outcomes: Iterable[Outcome],
        *,
        nodes: int,
        workers: int,
        units: Mapping[str, str] | None = None,
    ) -> Account:
        """Reads a ledger.

        Args:
            events: Its events, in order.
            outcomes: Its Outcomes.
            nodes: Nodes of the Partition, where the events do not say.
            workers: Workers, likewise. A ledger that tells of no beginning was held from its first to its last event.
            units: For each open Request the unit of work of its Tool, as far as that is known.
        """
        account = cls(nodes=nodes, workers=workers)
        histories: dict[str, list[AttemptRecord]] = {}
        first: datetime | None = None
        for event in events:
            first = first or event.at
            if event.kind == INTERRUPTED and event.id is not None:
                record = _record(event)
                if record.began:
                    histories.setdefault(event.id, []).append(record)
            account._happened(event.kind, event.at, event.data)
        for outcome in outcomes:
            histories.pop(outcome.id, None)
            account.outcome(outcome)
        for name, history in histories.items():
            account.attempts(name, history, unit=(units or {}).get(name, ""))
        if not account._lives and first is not None:
            account._lives.append(_Life(first, nodes, workers, account._seen))
        account._close()
        return account

    def _happened(self, kind: str, at: datetime, data: Mapping[str, Any]) -> None:
        if kind == CLAIMED:
            self._close()  # what follows is not of the life before
        elif kind == BEGAN:
            self._close()
            nodes, workers = data.get("nodes", self._nodes), data.get("workers", self._workers)
            self._lives.append(_Life(at, int(nodes), int(workers)))
            self._seen = at
        elif kind == ENDED and self._lives and self._lives[-1].until is None:
            self._lives[-1].until = max(at, self._lives[-1].began_at)
        elif not self._lives or self._lives[-1].until is None:
            self._seen = at if self._seen is None else max(self._seen, at)

    def _close(self) -> None:
        """A life that did not say that it ended did with its last event."""
        if self._lives and self._lives[-1].until is None:
            self._lives[-1].until = max(self._seen or self._lives[-1].began_at, self._lives[-1].began_at)

    @staticmethod
    def _take(sums: Sums, share: Share) -> None:
        sums.startup_s += share.startup_s
        sums.run_s += share.run_s
        sums.lost_s += share.lost_s


def _go(sums: Sums, going: Going, now: datetime) -> None:
    started_at, course = going.started_at, going.course
    if course.began_at is not None and started_at - course.began_at > EARLIER:
        course = Course()  # what an earlier attempt left
    began_at = min(course.began_at or (now if going.unit else started_at), now)
    sums.startup_s += max(0.0, (began_at - started_at).total_seconds())
    sums.run_s += max(0.0, (now - max(began_at, started_at)).total_seconds())
    if going.unit == NS and course.amount is not None:
        gained = course.amount - course.from_amount
        sums.simulated_ns += gained if math.isfinite(gained) else 0.0


def _record(event: Event) -> AttemptRecord:
    return AttemptRecord.model_validate(dict(event.data))
