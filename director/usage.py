"""What attempts cost, and what came of them. Pure.

An attempt has two parts: *start-up*, until its Course says that the work began, and *run*, until it ended. One whose
Course does not say so is all run; if it paused, it had not begun, and is all start-up. One that was lost with its
Director before it left any trace is taken as never begun: a Director hands over more than its workers can run at once.

Run is *lost* where no checkpoint had it: of an attempt that was lost, the time from its last known save, or from its
beginning, to its end. What a later attempt went on from is known for certain, so it overrules what was thought: work
that was done after that checkpoint was written is lost, and work before it is kept. An attempt that ended its Request
(ok, failed, timeout or cancelled) lost nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from director.totals import SECONDS_PER_HOUR
from simulations.records import AttemptRecord, Ending, Usage

NS = "ns"

_FINAL = frozenset((Ending.OK, Ending.FAILED, Ending.TIMEOUT, Ending.CANCELLED))


@dataclass(frozen=True)
class Share:
    """What a Request's attempts cost together.

    Attributes:
        startup_s: Time of workers that went into start-ups, in s.
        run_s: Time of workers that went into work, in s.
        lost_s: What of that was for nothing, in s.
        amount: How far the Request is, in its Tool's unit of work: at the end of an attempt that ended it, else what
            its latest checkpoint holds. None if that is not known.
    """

    startup_s: float = 0.0
    run_s: float = 0.0
    lost_s: float = 0.0
    amount: float | None = None


class Piece(NamedTuple):
    """An attempt as it passed. Times are UTC, in s since 1970, and none is before the one that stands before it.

    Attributes:
        start: When it began on its worker.
        began: When its start-up was over.
        kept: Until when its work was kept.
        end: When it ended. All four are the same for one that never began, as far as one can know.
    """

    start: float
    began: float
    kept: float
    end: float


def pieces_of(history: Sequence[AttemptRecord]) -> list[Piece]:
    """Tells start-up, kept work and lost work of each of a Request's attempts apart; see above.

    Args:
        history: They, in order.
    """
    pieces: list[Piece] = []
    # Later attempts tell what was kept of earlier ones, so the last comes first.
    went_on_from: float | None = None
    for record in reversed(history):
        course = record.course
        start = record.started_at.timestamp()
        end = max(start, record.ended_at.timestamp())
        if went_on_from is not None:
            kept = went_on_from
        elif record.ended in _FINAL:
            kept = math.inf
        else:
            kept = -math.inf if course.saved_at is None else course.saved_at.timestamp()
        if not _began(record, start, end, went_on_from):
            pieces.append(Piece(start, start, start, start))
        else:
            if course.began_at is not None:
                began = min(max(start, course.began_at.timestamp()), end)
            else:
                began = end if record.ended is Ending.PAUSED else start
            if kept < end and _all_saved(record, kept):
                kept = end
            pieces.append(Piece(start, began, min(max(began, kept), end), end))
        if course.began_at is not None:
            this = -math.inf if course.from_saved_at is None else course.from_saved_at.timestamp()
            went_on_from = this if went_on_from is None else min(went_on_from, this)
    pieces.reverse()
    return pieces


def share_of(history: Sequence[AttemptRecord]) -> Share:
    """Adds up a Request's attempts; see above.

    Args:
        history: They, in order.
    """
    startup_s = run_s = lost_s = 0.0
    for start, began, kept, end in pieces_of(history):
        startup_s += began - start
        run_s += end - began
        lost_s += end - kept
    amounts = (_reached(record) for record in reversed(history))
    return Share(startup_s, run_s, min(lost_s, run_s), next((found for found in amounts if found is not None), None))


def _began(record: AttemptRecord, start: float, end: float, went_on_from: float | None) -> bool:
    """Whether an attempt ran, as far as one can know."""
    course = record.course
    if record.ended is not Ending.DIRECTOR_LOST or record.host is not None:
        return True
    if course.began_at is not None or course.amount is not None or course.saved_at is not None:
        return True
    return went_on_from is not None and start < went_on_from <= end


def _all_saved(record: AttemptRecord, kept_until: float) -> bool:
    """Whether the last checkpoint of an attempt that said so itself held all that it had done, and was kept."""
    course = record.course
    if record.ended not in (Ending.PAUSED, Ending.AGAIN) or course.saved_at is None:
        return False
    if course.amount is None or course.saved_amount is None:
        return False
    return course.saved_amount >= course.amount and kept_until >= course.saved_at.timestamp()


def _reached(record: AttemptRecord) -> float | None:
    """How far an attempt brought its Request; None if it did not say."""
    course = record.course
    found = course.amount if record.ended in _FINAL else course.saved_amount
    if found is None and course.began_at is not None:
        found = course.from_amount
    return found if found is not None and math.isfinite(found) else None


def usage_of(
    history: Sequence[AttemptRecord],
    submitted_at: datetime,
    finished_at: datetime,
    workers_per_node: float,
    unit: str = "",
) -> Usage:
    """What a Request cost.

    ``queued_s`` is the time from ``submitted_at`` to ``finished_at`` that no attempt covers, so that it, start-up and
    run make up the whole if the clocks agree. ``node_hours`` is (start-up + run) / ``workers_per_node`` / 3600.

    Args:
        history: Its attempts, in order.
        submitted_at: When it was accepted (UTC).
        finished_at: When it ended (UTC).
        workers_per_node: How many workers share a node, on average.
        unit: Its Tool's unit of work; only of one that counts in ``ns`` it is known what was simulated.
    """
    share = share_of(history)
    busy_s = share.startup_s + share.run_s
    return Usage(
        queued_s=max(0.0, (finished_at - submitted_at).total_seconds() - busy_s),
        startup_s=share.startup_s,
        run_s=share.run_s,
        lost_s=share.lost_s,
        node_hours=busy_s / workers_per_node / SECONDS_PER_HOUR,
        simulated_ns=share.amount if unit == NS else None,
    )
