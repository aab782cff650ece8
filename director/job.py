"""A Request on its way through a Director, and the Outcome that it becomes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from director.accounting import usage_of
from director.attempt import Attempt, AttemptResult
from director.ledger import Accepted, Finished
from director.pool import LostError
from director.stopping import Stopping
from simulations.records import AttemptRecord, Course, Ending, ErrorInfo, Outcome, Status, Usage


@dataclass(frozen=True)
class Place:
    """Where Requests run.

    Attributes:
        director: Index of the Director.
        hostnames: Nodes of its Partition.
        workers_per_node: How many workers a node has, on average.
        units: For each Tool its unit of work.
    """

    director: int
    hostnames: tuple[str, ...]
    workers_per_node: float = 1.0
    units: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass
class Job:
    """An open Request.

    Attributes:
        accepted: The Request, as it was journaled.
        epoch: Epoch of its latest attempt.
        priority: Its latest priority.
        history: Its attempts that have begun and ended.
        stopping: How its latest attempt is brought to stop, if it is.
    """

    accepted: Accepted
    epoch: int = 0
    priority: int = 0
    history: list[AttemptRecord] = field(default_factory=list)
    stopping: Stopping | None = None

    @classmethod
    def of(cls, accepted: Accepted) -> Job:
        """The job that a Request begins as, or goes on as in a later life of its Director."""
        begun = [record for record in accepted.history if record.began]
        return cls(accepted, accepted.epoch, accepted.request.priority, begun)

    @property
    def name(self) -> str:
        """The Request's id."""
        return self.accepted.request.id

    @property
    def suspect(self) -> bool:
        """Whether it may end what it runs on."""
        return any(record.ended in (Ending.WORKER_LOST, Ending.NODE_LOST) for record in self.history)

    def attempt(self, pause_at: datetime | None) -> Attempt:
        """Its latest attempt, for a worker."""
        request = self.accepted.request
        return Attempt(request.id, self.epoch, request.tool, request.inputs, dict(request.files), pause_at)

    def ran_s(self) -> float:
        """How long its attempts that have ended ran, in s."""
        return sum((record.ended_at - record.started_at).total_seconds() for record in self.history)


def record_of(result: AttemptResult) -> AttemptRecord:
    """What is kept of an attempt that came back."""
    said = ([result.error.message] if result.error else []) + list(result.notes)
    return AttemptRecord(
        epoch=result.epoch,
        started_at=result.started_at,
        ended_at=result.finished_at,
        ended=result.ending,
        began=result.began,
        host=result.host,
        worker=result.worker,
        accelerator=result.accelerator,
        course=result.course,
        reason="; ".join(said) or None,
    )


def lost_record(
    job: Job, began_at: datetime | None, node: str | None, at: datetime, error: BaseException, course: Course
) -> AttemptRecord:
    """What is kept of an attempt that did not come back.

    Args:
        job: Its job.
        began_at: When a worker had taken it up (UTC); None: none was seen to.
        node: On which node, likewise.
        at: Now (UTC).
        error: What became of it.
        course: How far it had got, as far as that is known.
    """
    with_node = not isinstance(error, LostError) or error.with_node
    return AttemptRecord(
        epoch=job.epoch,
        started_at=began_at or at,
        ended_at=at,
        host=node,
        ended=Ending.NODE_LOST if with_node else Ending.WORKER_LOST,
        course=course,
        reason=str(error) or type(error).__name__,
    )


def ended(job: Job, place: Place, status: Status, error: ErrorInfo, at: datetime) -> Finished:
    """The Outcome of a Request that no worker finished."""
    return Finished(outcome_for(job, place, status, at, error=error, usage=_usage(job, place, at)), job.epoch)


def outcome_of(job: Job, place: Place, result: AttemptResult) -> Outcome:
    """The Outcome that an attempt's result makes; the attempt is in the job's history already."""
    return outcome_for(
        job,
        place,
        Status(result.ending.value),
        result.finished_at,
        result=result.result,
        error=result.error,
        host=result.host,
        worker=result.worker,
        accelerator=result.accelerator,
        usage=_usage(job, place, result.finished_at),
        artifacts=result.artifacts,
        versions=result.versions,
    )


def outcome_for(job: Job, place: Place, status: Status, at: datetime, **more: Any) -> Outcome:
    """The Outcome of a job.

    Args:
        job: The job.
        place: Where it was to run.
        status: How it ended.
        at: When (UTC).
        more: Fields of the Outcome that the job does not know.
    """
    accepted = job.accepted
    return Outcome(
        id=job.name,
        key=accepted.key,
        tool=accepted.request.tool,
        tool_version=accepted.tool_version,
        status=status,
        inputs=accepted.request.inputs,
        director=place.director,
        partition=list(place.hostnames),
        attempts=len(job.history),
        history=list(job.history),
        submitted_at=accepted.submitted_at,
        started_at=job.history[0].started_at if job.history else None,
        finished_at=at,
        **more,
    )


def _usage(job: Job, place: Place, at: datetime) -> Usage | None:
    if not job.history:
        return None
    unit = place.units.get(job.accepted.request.tool, "")
    return usage_of(job.history, job.accepted.submitted_at, at, place.workers_per_node, unit)
