"""What a run came to: counts, totals and how busy its workers were. Pure functions of the Outcomes."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from director.report.spans import Span
from director.report.values import clean, quantity
from director.totals import Totals as TimeTotals
from simulations.records import AttemptRecord, Outcome, Status

DAY_S = 86_400.0


@dataclass(frozen=True)
class DirectorSummary:
    """One Director of the run.

    Attributes:
        index: Its index, from 0.
        hosts: Hostnames of its Partition.
        workers: How many workers its Partition was meant to have.
        totals: Where the time of its nodes went; None: that is not known.
        held: From when to when it was there (UTC).
        paused: From when to when it was paused (UTC).
        still_open: The attempts of each of its Requests that has no Outcome.
    """

    index: int
    hosts: tuple[str, ...]
    workers: int
    totals: TimeTotals | None = None
    held: tuple[tuple[datetime, datetime], ...] = ()
    paused: tuple[tuple[datetime, datetime], ...] = ()
    still_open: tuple[Sequence[AttemptRecord], ...] = ()


@dataclass(frozen=True)
class RunSummaryInput:
    """What the report states of a run besides its Outcomes. Times are UTC.

    Attributes:
        run_id: Names the run.
        title: A heading for people.
        created_at: When the run began; second 0 of every plot.
        finished_at: When it ended, or None if it did not come to an end.
        directors: Its Directors.
    """

    run_id: str
    title: str
    created_at: datetime
    finished_at: datetime | None
    directors: tuple[DirectorSummary, ...]


@dataclass(frozen=True)
class Utilization:
    """Fraction of workers that are busy, as a step curve.

    Attributes:
        times_s: Edges of the steps, in seconds since the run began; shape (n + 1,).
        busy: Fraction of workers busy between one edge and the next, from 0 to 1; shape (n,).
        mean: Its mean over the time covered; 0 if that is empty.
        workers: How many workers the fraction refers to.
    """

    times_s: tuple[float, ...]
    busy: tuple[float, ...]
    mean: float
    workers: int


@dataclass(frozen=True)
class Totals:
    """Headline numbers of a run.

    Attributes:
        counts: Number of Outcomes by status; every status is there.
        duration_s: Length of the run, in seconds.
        held_s: Time in which any Director was there, in seconds; the run's length if that is not known.
        simulated_ns: Simulated time of the Outcomes that are ok and were not reused, in ns.
        ns_per_day: That time over ``held_s``, in ns/day; None if nothing was simulated.
        not_started: How many never started.
        reused: How many repeat an earlier result.
        retried: How many were started more than once.
    """

    counts: dict[Status, int]
    duration_s: float
    held_s: float
    simulated_ns: float
    ns_per_day: float | None
    not_started: int
    reused: int
    retried: int


@dataclass(frozen=True)
class FailureGroup:
    """Outcomes that are not ok for the same kind of reason."""

    status: Status
    type: str
    message: str
    hint: str
    count: int


def as_utc(moment: datetime) -> datetime:
    """A moment with its time zone; one that has none is UTC, as the records state."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def seconds_between(start: datetime, end: datetime) -> float:
    """Seconds from one moment to another, never below 0: clocks of two nodes may disagree."""
    return max(0.0, (as_utc(end) - as_utc(start)).total_seconds())


def run_length_s(run: RunSummaryInput, outcomes: Iterable[Outcome]) -> float:
    """Length of the run in seconds, to its end or to the last that happened, whichever is later."""
    ends = [outcome.finished_at for outcome in outcomes]
    for director in run.directors:
        ends += [end for _, end in director.held]
        ends += [history[-1].ended_at for history in director.still_open if history]
    if run.finished_at is not None:
        ends.append(run.finished_at)
    return max((seconds_between(run.created_at, end) for end in ends), default=0.0)


def utilization(spans: Iterable[Span], workers: int, end_s: float) -> Utilization:
    """Fraction of workers busy between second 0 and ``end_s``, exactly.

    Spans of one worker that overlap count once. If more workers are seen than were stated (a lost one was
    replaced under another name), the number seen is taken, so that the fraction never exceeds 1.

    Args:
        spans: What ran.
        workers: How many workers there were meant to be.
        end_s: Where to end; what lies beyond is left out.
    """
    by_worker: dict[tuple[int, str], list[tuple[float, float]]] = defaultdict(list)
    for span in spans:
        by_worker[span.director, span.worker].append((max(0.0, span.start_s), min(end_s, span.end_s)))
    total = max(workers, len(by_worker))
    if end_s <= 0 or total == 0:
        return Utilization((0.0,), (), 0.0, total)
    changes: dict[float, int] = defaultdict(int, {0.0: 0, end_s: 0})
    for intervals in by_worker.values():
        for start, end in _merge(intervals):
            changes[start] += 1
            changes[end] -= 1
    times = sorted(changes)
    busy, running = [], 0
    for moment in times[:-1]:
        running += changes[moment]
        busy.append(running / total)
    area = sum(value * (after - before) for value, before, after in zip(busy, times, times[1:], strict=False))
    return Utilization(tuple(times), tuple(busy), min(1.0, area / end_s), total)


def _merge(intervals: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for start, end in sorted(interval for interval in intervals if interval[1] > interval[0]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def bin_means(curve: Utilization, bins: int) -> Utilization:
    """The same curve with at most so many steps of equal width, each the exact mean over its width."""
    if len(curve.busy) <= bins:
        return curve
    end_s = curve.times_s[-1]
    edges = [end_s * i / bins for i in range(bins)] + [end_s]
    areas = [0.0] * bins
    for value, start, end in zip(curve.busy, curve.times_s, curve.times_s[1:], strict=False):
        first = min(bins - 1, int(start / end_s * bins))
        for i in range(max(0, first - 1), bins):
            if edges[i] >= end:
                break
            areas[i] += value * max(0.0, min(end, edges[i + 1]) - max(start, edges[i]))
    means = (min(1.0, area / (edges[i + 1] - edges[i])) for i, area in enumerate(areas))
    return Utilization(tuple(edges), tuple(means), curve.mean, curve.workers)


def since_begin(run: RunSummaryInput, intervals: Iterable[tuple[datetime, datetime]]) -> list[tuple[float, float]]:
    """Intervals of time in seconds since the run began."""
    return [(seconds_between(run.created_at, start), seconds_between(run.created_at, end)) for start, end in intervals]


def totals(run: RunSummaryInput, outcomes: Sequence[Outcome]) -> Totals:
    """Headline numbers of a run."""
    counted = Counter(outcome.status for outcome in outcomes)
    length_s = run_length_s(run, outcomes)
    held = [interval for director in run.directors for interval in since_begin(run, director.held)]
    covered_s = sum(end - start for start, end in _merge(held)) if held else length_s
    simulated_ns = 0.0
    for outcome in outcomes:
        found = quantity(outcome.result, "simulated_ns")
        if found and outcome.status is Status.OK and outcome.reused_from is None:
            simulated_ns += found.mean
    return Totals(
        counts={status: counted[status] for status in Status},
        duration_s=length_s,
        held_s=covered_s,
        simulated_ns=simulated_ns,
        ns_per_day=simulated_ns / covered_s * DAY_S if simulated_ns and covered_s else None,
        not_started=sum(o.started_at is None and o.reused_from is None for o in outcomes),
        reused=sum(o.reused_from is not None for o in outcomes),
        retried=sum(o.attempts > 1 for o in outcomes),
    )


def group_failures(outcomes: Iterable[Outcome]) -> list[FailureGroup]:
    """Outcomes that are not ok, by status, type and hint; the most frequent first."""
    groups: dict[tuple[Status, str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.status is not Status.OK:
            error = outcome.error
            groups[outcome.status, error.type if error else "", error.hint if error else ""].append(outcome)
    ranked = sorted(groups.items(), key=lambda item: -len(item[1]))
    return [
        FailureGroup(
            status=status,
            type=clean(kind, 80),
            message=clean(members[0].error.message, 300) if members[0].error else "no reason was recorded",
            hint=clean(hint, 300),
            count=len(members),
        )
        for (status, kind, hint), members in ranked
    ]


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts ``node-10`` after ``node-9``."""
    parts = re.findall(r"[0-9]{1,18}|[^0-9]+", name)
    return tuple((0, int(p), "") if p.isascii() and p.isdigit() else (1, 0, p) for p in parts)
