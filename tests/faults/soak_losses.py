"""What faults have cost: which one ended an attempt, and how much of its work had to be done again. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simulations.records import AttemptRecord, Course, Ending, Outcome
from tests.faults.soak import Glimpse, Injected, Loss

LOST = {Ending.WORKER_LOST, Ending.NODE_LOST, Ending.DIRECTOR_LOST}
Glimpses = Mapping[Injected, Mapping[str, Glimpse]]
"""For each fault what attempts had said of themselves just before it, by the ids of their Requests."""


def losses(outcome: Outcome, faults: Sequence[Injected], glimpses: Glimpses) -> tuple[list[Loss], list[str]]:
    """What each attempt of a Request that was lost has cost, and what of it must not have been lost.

    Lost is the work after the checkpoint that the Request went on from, or after the attempt's beginning. Its wall
    time is that from there to the fault, or what so much work takes at the speed that was recorded if that is less: a
    process that does not get its share of a crowded machine does little that could be lost.
    """
    found: list[Loss] = []
    wrong: list[str] = []
    for index, record in enumerate(outcome.history):
        if record.ended not in LOST:
            continue
        fault = cause(record, outcome.director, faults)
        glimpse = glimpses.get(fault, {}).get(outcome.id) if fault else None
        course = glimpse.course if glimpse and glimpse.epoch == record.epoch else record.course
        # An attempt that never got through its start-up has lost no work, and brings nothing back.
        went_on = next((later.course for later in outcome.history[index + 1 :] if later.course.began_at), None)
        if went_on is None or went_on.began_at is None:
            found.append(Loss(outcome.id, fault, None, None, None))
            continue
        if went_on.from_amount < (course.saved_amount or course.from_amount):
            wrong.append(
                f"{outcome.id}: attempt {record.epoch} had saved more than was gone on from: {course}, {went_on}"
            )
        lost_amount = None if course.amount is None else max(course.amount - went_on.from_amount, 0.0)
        known_s = [_wall_s(record, course, went_on, fault), _work_s(outcome, course, lost_amount, fault)]
        found.append(
            Loss(
                outcome.id,
                fault,
                min((found_s for found_s in known_s if found_s is not None), default=None),
                lost_amount * 1000 if lost_amount is not None and outcome.tool == "md" else None,
                went_on.began_at.timestamp() - fault.at if fault else None,
            )
        )
    return found, wrong


def _wall_s(record: AttemptRecord, course: Course, went_on: Course, fault: Injected | None) -> float | None:
    """Time from the attempt's beginning, or its last checkpoint if that was used, to the fault."""
    # One that left neither its beginning nor a checkpoint of its own was not seen at work: it had waited in line,
    # or worked for less time than there is between two checkpoints.
    own = went_on.from_saved_at if went_on.from_saved_at and went_on.from_saved_at >= record.started_at else None
    saved = max(filter(None, (course.began_at, own)), default=None)
    return None if saved is None or fault is None else max(fault.at - saved.timestamp(), 0.0)


def _work_s(outcome: Outcome, course: Course, lost_amount: float | None, fault: Injected | None) -> float | None:
    """Time that so much work takes, at the attempt's own speed, or that of all that was kept if that was greater."""
    if lost_amount is None or course.amount is None:
        return None
    per_s = [1.0] if outcome.tool == "mock_md" else []
    if ns_per_day := (outcome.result or {}).get("ns_per_day"):
        per_s.append(ns_per_day / 86_400)
    if fault and course.began_at and fault.at > course.began_at.timestamp():
        per_s.append((course.amount - course.from_amount) / (fault.at - course.began_at.timestamp()))
    fastest = max(per_s, default=0.0)
    return lost_amount / fastest if fastest > 0 else None


def cause(record: AttemptRecord, director: int, faults: Sequence[Injected]) -> Injected | None:
    """The first fault after an attempt's beginning, and before its end was known, that may have ended it.

    Times of faults are taken just before the kill, so an attempt that begins after one was not ended by it. Of one that
    was lost with its Director it is not known when it ended: as that end counts the last time that was journaled.
    """
    began, ended = record.started_at.timestamp(), record.ended_at.timestamp()
    with_director = record.ended is Ending.DIRECTOR_LOST
    host = record.host or next(
        (fault.host for fault in faults if fault.host and fault.host in str(record.reason)), None
    )
    able = [
        fault
        for fault in faults
        if began <= fault.at
        and (fault.host is None if with_director else fault.at <= ended)
        and fault.may_have_ended(director, host)
    ]
    return min(able, key=lambda fault: fault.at, default=None)


def at_work(outcome: Outcome, fault: Injected, lost: Sequence[Loss]) -> bool:
    """Whether an attempt of this Request ran where a fault struck, when it did."""
    if any(loss.fault == fault for loss in lost):
        return True
    return any(
        record.started_at.timestamp() <= fault.at <= record.ended_at.timestamp()
        and fault.reaches(outcome.director, record.host)
        for record in outcome.history
    )
