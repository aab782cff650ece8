"""The open Requests of a Director, and what each of them waits for."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from datetime import datetime, timedelta

from director.backlog import Backlog
from director.job import Job
from director.reuse import Twins

# Those that no time was left for are looked at again: what is known of how long they take may have become better.
LOOK_AGAIN_S = 10.0


class OpenRequests:
    """Every open Request is known here by its id. Those that do not run wait, each for one thing.

    Args:
        twins: Whether of those with equal inputs only one is to run.
        now: The time (UTC).

    Attributes:
        backlog: Those that wait for a worker.
    """

    def __init__(self, *, twins: bool, now: datetime) -> None:
        self.backlog = Backlog()
        self._jobs: dict[str, Job] = {}
        self._twins = Twins() if twins else None
        self._held: dict[str, Job] = {}
        self._delayed: dict[str, tuple[datetime, Job]] = {}
        self._deadlines: list[tuple[datetime, str]] = []
        self._looked_again_at = now

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, name: object) -> bool:
        return name in self._jobs

    def get(self, name: str) -> Job | None:
        """The Request of an id, if it is open."""
        return self._jobs.get(name)

    def jobs(self) -> Sequence[Job]:
        """All of them, as long as they have been known."""
        return list(self._jobs.values())

    def know(self, job: Job) -> None:
        """Takes in a Request; it waits for nothing yet."""
        self._jobs[job.name] = job
        deadline = job.accepted.request.deadline
        if deadline is not None:
            heapq.heappush(self._deadlines, (deadline, job.name))

    def wait(self, job: Job) -> None:
        """Lets it wait for a worker, or for the Outcome of an equal one."""
        if self._twins is None or not self._twins.follow(job):
            self.backlog.add(job)

    def wait_again(self, job: Job) -> None:
        """Lets one wait for a worker that has run before."""
        if job.name in self._jobs:
            self.backlog.add(job, first=True)

    def hold(self, jobs: Sequence[Job]) -> None:
        """Lets those wait for which no time is left."""
        self._held.update((job.name, job) for job in jobs)

    def delay(self, job: Job, now: datetime, after_s: float) -> None:
        """Lets one wait for a while."""
        if job.name in self._jobs:
            self._delayed[job.name] = (now + timedelta(seconds=after_s), job)

    def end(self, name: str) -> bool:
        """Forgets a Request, whatever it waits for; says whether it was open."""
        if self._jobs.pop(name, None) is None:
            return False
        self.backlog.take(name)
        self._held.pop(name, None)
        self._delayed.pop(name, None)
        if self._twins is not None:
            self._twins.take(name)
        return True

    def released(self, name: str, key: str) -> list[Job]:
        """Those that waited for the Outcome of a Request that has one now. They wait for nothing then."""
        return self._twins.ended(name, key) if self._twins is not None else []

    def come_due(self, now: datetime) -> None:
        """Lets those wait for a worker that have waited for their time."""
        due = [job for at, job in self._delayed.values() if at <= now]
        for job in due:
            del self._delayed[job.name]
        if (now - self._looked_again_at).total_seconds() >= LOOK_AGAIN_S:
            self._looked_again_at = now
            due += self._held.values()
            self._held.clear()
        for job in reversed(due):
            self.backlog.add(job, first=True)

    def late(self, now: datetime) -> list[Job]:
        """Those whose deadline has passed since this was asked last."""
        found = []
        while self._deadlines and self._deadlines[0][0] <= now:
            job = self._jobs.get(heapq.heappop(self._deadlines)[1])
            if job is not None:
                found.append(job)
        return found

    @property
    def only_held(self) -> bool:
        """Whether no time is left for any of those that wait."""
        return bool(self._held) and not self.backlog and not self._delayed

    def waiting(self, unbegun: int) -> dict[str, int]:
        """Why they do not run: how many for each reason that there is.

        Args:
            unbegun: How many are with the pool and have not begun.
        """
        found = {
            "no free worker": len(self.backlog) + unbegun,
            "no time left before the walltime": len(self._held),
            "same inputs as one that is open": len(self._twins) if self._twins is not None else 0,
            "to be tried again": len(self._delayed),
        }
        return {reason: count for reason, count in found.items() if count}
