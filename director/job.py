"""A Request on its way through a Director, and the Outcome that it becomes. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from director.attempt import Attempt, AttemptResult
from director.ledger import Accepted, Finished
from director.packing import Durations, pack_size
from simulations.records import ErrorInfo, Outcome, Status


@dataclass(frozen=True)
class Place:
    """Where Requests run.

    Attributes:
        director: Index of the Director.
        hostnames: Nodes of its Partition.
    """

    director: int
    hostnames: tuple[str, ...]


@dataclass
class Job:
    """An open Request.

    Attributes:
        accepted: The Request, as it was journaled.
        epoch: Epoch of its latest attempt.
        attempts: How often it was started.
        losses: How often its worker was lost under it, in this life of the Director.
        node_losses: How often its whole node was lost under it, likewise.
        started_at: When its latest attempt was handed to the pool (UTC).
    """

    accepted: Accepted
    epoch: int = 0
    attempts: int = 0
    losses: int = 0
    node_losses: int = 0
    started_at: datetime | None = None

    @property
    def suspect(self) -> bool:
        """Whether it may end what it runs on."""
        return self.losses > 0 or self.node_losses > 0

    def lose(self, *, with_node: bool) -> None:
        """Notes that its latest attempt was lost with its worker, or with its whole node."""
        if with_node:
            self.node_losses += 1
        else:
            self.losses += 1

    def attempt(self) -> Attempt:
        """Its latest attempt, for a worker."""
        request = self.accepted.request
        return Attempt(request.id, self.epoch, request.tool, request.inputs, dict(request.files))


def take_packs(queue: deque[Job], durations: Mapping[str, Durations], *, workers: int, budget: int) -> list[list[Job]]:
    """Takes from a queue what may start now, in packs of one Tool each.

    Args:
        queue: Jobs, first come first served; those taken are removed.
        durations: What each Tool's latest attempts took.
        workers: How many workers there are.
        budget: How many packs may start.
    """
    packs: list[list[Job]] = []
    while queue and len(packs) < budget:
        first = queue[0]
        tool = first.accepted.request.tool
        known = durations.get(tool)
        size = pack_size(known.longest_s if known else None, len(queue), workers)
        pack = [queue.popleft()]
        # One that was lost with its worker travels alone: it may have been the cause.
        while len(pack) < size and queue and not first.suspect:
            job = queue[0]
            if job.accepted.request.tool != tool or job.suspect:
                break
            pack.append(queue.popleft())
        packs.append(pack)
    return packs


def ended(job: Job, place: Place, status: Status, error: ErrorInfo, at: datetime) -> Finished:
    """The Outcome of a Request that no worker finished."""
    request = job.accepted.request
    outcome = Outcome(
        id=request.id,
        key=job.accepted.key,
        tool=request.tool,
        tool_version=job.accepted.tool_version,
        status=status,
        inputs=request.inputs,
        error=error,
        director=place.director,
        partition=list(place.hostnames),
        attempts=job.attempts,
        submitted_at=job.accepted.submitted_at,
        started_at=job.started_at,
        finished_at=at,
    )
    return Finished(outcome, job.epoch)


def outcome_of(job: Job, place: Place, result: AttemptResult) -> Outcome:
    """The Outcome that an attempt's result makes."""
    request = job.accepted.request
    return Outcome(
        id=request.id,
        key=job.accepted.key,
        tool=request.tool,
        tool_version=job.accepted.tool_version,
        status=result.status,
        inputs=request.inputs,
        result=result.result,
        error=result.error,
        director=place.director,
        partition=list(place.hostnames),
        host=result.host,
        worker=result.worker,
        accelerator=result.accelerator,
        attempts=job.attempts,
        submitted_at=job.accepted.submitted_at,
        started_at=result.started_at,
        finished_at=result.finished_at,
        artifacts=result.artifacts,
        versions=result.versions,
    )
