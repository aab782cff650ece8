"""What each worker did when, and the time axis on which that is drawn. Pure."""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from director.usage import pieces_of
from simulations.records import AttemptRecord, Ending, Outcome, Status

UNKNOWN_WORKER = "worker not recorded"
LEAST_GAP_S = 30.0
LEAST_GAP_SHARE = 0.05

Interval = tuple[float, float]
"""From one second to another."""


class Mark(enum.StrEnum):
    """What came of a span of a worker's time."""

    OK = "ok"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    """It was interrupted, and a checkpoint had it, or it was its start-up."""
    LOST = "lost"
    """It was interrupted, and no checkpoint had it."""


@dataclass(frozen=True)
class Span:
    """The time in which one worker worked on one Request, in seconds since the run began."""

    director: int
    worker: str
    start_s: float
    end_s: float
    mark: Mark


def find_spans(
    began_at: datetime, outcomes: Iterable[Outcome], still_open: Iterable[tuple[int, Sequence[AttemptRecord]]] = ()
) -> list[Span]:
    """The time that each attempt took on its worker. What never started, or was reused, took none.

    Args:
        began_at: When the run began (UTC).
        outcomes: Its Outcomes.
        still_open: The attempts of each Request that has none, with the index of its Director.
    """
    begin = began_at.timestamp()
    spans = []
    for outcome in outcomes:
        if outcome.history:
            spans += _spans_of(outcome.director, outcome.history, begin)
        elif outcome.started_at is not None and outcome.reused_from is None:
            worker = outcome.worker or outcome.host or UNKNOWN_WORKER
            start_s = max(0.0, outcome.started_at.timestamp() - begin)
            end_s = max(start_s, outcome.finished_at.timestamp() - begin)
            spans.append(Span(outcome.director, worker, start_s, end_s, _mark(outcome.status)))
    for director, history in still_open:
        spans += _spans_of(director, history, begin)
    return spans


def _spans_of(director: int, history: Sequence[AttemptRecord], begin: float) -> list[Span]:
    spans = []
    for record, piece in zip(history, pieces_of(history), strict=True):
        worker = record.worker or record.host or UNKNOWN_WORKER
        start_s, kept_s, end_s = (max(0.0, moment - begin) for moment in (piece.start, piece.kept, piece.end))
        if record.ended in _MARKS:
            spans.append(Span(director, worker, start_s, end_s, _MARKS[record.ended]))
            continue
        # Start-up and kept work look the same; lost work is what a reader must see.
        if kept_s > start_s:
            spans.append(Span(director, worker, start_s, kept_s, Mark.INTERRUPTED))
        if end_s > kept_s:
            spans.append(Span(director, worker, kept_s, end_s, Mark.LOST))
    return spans


_MARKS = {ending: Mark(ending.value) for ending in (Ending.OK, Ending.FAILED, Ending.TIMEOUT, Ending.CANCELLED)}


def _mark(status: Status) -> Mark:
    return Mark(status.value)


class TimeAxis:
    """Time since the run began, without the long gaps in which no Director was there: between two jobs, say.

    Args:
        end_s: Length of the run, in s.
        held: When Directors were there, in s since the run began; empty: that is not known, and nothing is cut out.
    """

    def __init__(self, end_s: float, held: Iterable[Interval] = ()) -> None:
        self.gaps = _gaps(end_s, held)
        self._ends = [end for _, end in self.gaps]
        self._cut_before = [0.0]
        for start, end in self.gaps:
            self._cut_before.append(self._cut_before[-1] + end - start)
        self.end_s = self.place(end_s)

    @property
    def label(self) -> str:
        """What to write below the axis."""
        return "Time since the run began, without gaps (s)" if self.gaps else "Time since the run began (s)"

    @property
    def seams(self) -> list[tuple[float, float]]:
        """Where on the axis a gap was cut out, and how long it was, in s."""
        return [(self.place(start), end - start) for start, end in self.gaps]

    def place(self, moment_s: float) -> float:
        """Where a moment is on the axis; one inside a gap is at its seam."""
        index = bisect_right(self._ends, moment_s)
        cut_s = self._cut_before[index]
        if index < len(self.gaps) and moment_s > self.gaps[index][0]:
            return self.gaps[index][0] - cut_s
        return moment_s - cut_s

    def shorten(self, spans: Iterable[Span]) -> list[Span]:
        """Spans where they are on the axis."""
        if not self.gaps:
            return list(spans)
        return [
            Span(span.director, span.worker, self.place(span.start_s), self.place(span.end_s), span.mark)
            for span in spans
        ]


def _gaps(end_s: float, held: Iterable[Interval]) -> list[Interval]:
    """The long gaps between the intervals; a gap at an end is one too."""
    known = sorted((max(0.0, start), min(end_s, end)) for start, end in held)
    if not known:
        return []
    gaps, reached = [], 0.0
    for start, end in [*known, (end_s, end_s)]:
        if start > reached:
            gaps.append((reached, start))
        reached = max(reached, end)
    least_s = max(LEAST_GAP_S, LEAST_GAP_SHARE * (end_s - sum(end - start for start, end in gaps)))
    return [gap for gap in gaps if gap[1] - gap[0] >= least_s]
