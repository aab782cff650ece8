"""The Requests that wait, in the order in which they are to start."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from director.job import Job


class Backlog:
    """Jobs by priority, and within a priority first come, first served. All that it does takes constant time.

    There are few priorities: finding the highest looks at each of them.
    """

    def __init__(self) -> None:
        self._levels: dict[int, OrderedDict[str, Job]] = {}
        self._priorities: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._priorities)

    def __contains__(self, name: object) -> bool:
        return name in self._priorities

    def __iter__(self) -> Iterator[Job]:
        """All jobs, in the order in which they are to start."""
        for priority in sorted(self._levels, reverse=True):
            yield from self._levels[priority].values()

    def add(self, job: Job, *, first: bool = False) -> None:
        """Lets a job wait.

        Args:
            job: One that does not wait yet.
            first: Whether it goes before all others of its priority: it has waited already.
        """
        level = self._levels.setdefault(job.priority, OrderedDict())
        level[job.name] = job
        self._priorities[job.name] = job.priority
        if first:
            level.move_to_end(job.name, last=False)

    def first(self) -> Job | None:
        """The job that is to start next, or None."""
        return next(iter(self._levels[max(self._levels)].values())) if self._levels else None

    def take(self, name: str) -> Job | None:
        """Takes a job out, if it waits."""
        priority = self._priorities.pop(name, None)
        if priority is None:
            return None
        level = self._levels[priority]
        job = level.pop(name)
        if not level:
            del self._levels[priority]
        return job

    def prioritize(self, name: str, priority: int) -> bool:
        """Gives a job another priority; says whether it waits here. It comes last among those of that priority."""
        job = self.take(name)
        if job is None:
            return False
        job.priority = priority
        self.add(job)
        return True
