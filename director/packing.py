"""How many Requests travel in one Parsl task. Pure.

A task costs about a millisecond on its way to a worker and back, which is much for a Request that takes less. Short
Requests therefore travel together; long ones never do, since a result comes back only with the rest of its pack.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from director.backlog import Backlog
from director.job import Job

PACK_S = 0.05
MAX_PACK = 64
SAMPLES = 32
TASKS_PER_WORKER = 2


@dataclass
class Durations:
    """What a Tool's latest attempts took, in seconds."""

    recent: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))

    def add(self, seconds: float) -> None:
        """Notes one more."""
        self.recent.append(max(seconds, 0.0))

    @property
    def longest_s(self) -> float | None:
        """The longest of the latest, or None before the first."""
        return max(self.recent) if self.recent else None

    @property
    def mean_s(self) -> float | None:
        """The mean of the latest, or None before the first."""
        return sum(self.recent) / len(self.recent) if self.recent else None


def pack_size(longest_s: float | None, queued: int, workers: int) -> int:
    """Chooses how many Requests of a Tool to send as one task.

    Args:
        longest_s: The longest of the Tool's latest attempts, in seconds; None if nothing is known.
        queued: How many Requests wait.
        workers: How many workers there are.

    Returns:
        At least 1. More only if even the longest known Request would keep the pack within 0.05 s, and never so many
        that a worker would go without.
    """
    if longest_s is None:
        return 1
    affordable = MAX_PACK if longest_s * MAX_PACK <= PACK_S else math.floor(PACK_S / longest_s)
    fair = math.ceil(queued / (workers * TASKS_PER_WORKER))
    return max(1, min(affordable, fair, MAX_PACK))


def free_tasks(workers: int, in_flight: int) -> int:
    """How many more tasks to hand to the pool: one runs on each worker, one waits beside it."""
    return max(0, workers * TASKS_PER_WORKER - in_flight)


def take_packs(
    backlog: Backlog,
    durations: Mapping[str, Durations],
    *,
    workers: int,
    budget: int,
    may_start: Callable[[Job], bool] = lambda job: True,
) -> tuple[list[list[Job]], list[Job]]:
    """Takes from the backlog what may start now, in packs of one Tool each.

    Args:
        backlog: Jobs; those taken are removed.
        durations: What each Tool's latest attempts took.
        workers: How many workers there are.
        budget: How many packs may start.
        may_start: Whether there is time enough for a job.

    Returns:
        The packs, and the jobs that were taken out because they may not start.
    """
    packs: list[list[Job]] = []
    held: list[Job] = []
    while len(packs) < budget and (first := backlog.first()) is not None:
        backlog.take(first.name)
        if not may_start(first):
            held.append(first)
            continue
        tool = first.accepted.request.tool
        known = durations.get(tool)
        size = pack_size(known.longest_s if known else None, len(backlog) + 1, workers)
        pack = [first]
        # One that was lost with its worker travels alone: it may have been the cause.
        while len(pack) < size and not first.suspect and (job := backlog.first()) is not None:
            if job.accepted.request.tool != tool or job.suspect or not may_start(job):
                break
            backlog.take(job.name)
            pack.append(job)
        packs.append(pack)
    return packs, held
