"""The attempts that are with the pool: what travels together, since when it runs, and how it is brought to stop."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from director.job import Job
from director.pool import How
from director.stopping import Patience, stopped
from simulations.workspace import Stop


@dataclass(eq=False)
class Pack:
    """Attempts that travel as one task.

    Attributes:
        jobs: Theirs.
        began_at: When its worker took it up (UTC), if it has; to half a second.
        node: On which node.
        killed: Whether its worker was killed on purpose.
    """

    jobs: list[Job]
    began_at: datetime | None = None
    node: str | None = None
    killed: bool = False
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = f"{self.jobs[0].name}.{self.jobs[0].epoch}"


@dataclass(frozen=True)
class Order:
    """What the pool is to do.

    Attributes:
        attempts: For each Request the epoch of its attempt.
        why: What their Tools are told.
        how: How insistently.
    """

    attempts: dict[str, int]
    why: Stop
    how: How


class InPool:
    """What is with the pool. It only keeps the books; the Engine does."""

    def __init__(self) -> None:
        self._packs: dict[Pack, None] = {}
        self._of: dict[str, Pack] = {}

    def __len__(self) -> int:
        """How many attempts."""
        return len(self._of)

    def __contains__(self, name: object) -> bool:
        return name in self._of

    def __iter__(self) -> Iterator[Job]:
        return (job for pack in self._packs for job in pack.jobs if self._of.get(job.name) is pack)

    @property
    def tasks(self) -> int:
        """How many tasks."""
        return len(self._packs)

    def add(self, jobs: list[Job]) -> Pack:
        """Notes that attempts are handed over."""
        pack = Pack(jobs)
        self._packs[pack] = None
        self._of.update((job.name, pack) for job in jobs)
        return pack

    def remove(self, pack: Pack) -> list[Job]:
        """Notes that a task came back, or was lost; returns the jobs that had not been given up before."""
        self._packs.pop(pack, None)
        jobs = [job for job in pack.jobs if self._of.get(job.name) is pack]
        for job in jobs:
            del self._of[job.name]
        return jobs

    def give_up(self, job: Job) -> Pack:
        """Notes that an attempt is waited for no longer; returns what it travelled with."""
        return self._of.pop(job.name)

    def see(self, begun: Mapping[str, str], now: datetime) -> None:
        """Notes which tasks have been taken up by workers, and where; see `Pool.begun`."""
        for pack in self._packs:
            if pack.began_at is None and pack.name in begun:
                pack.began_at, pack.node = now, begun[pack.name]

    def began_at(self, job: Job) -> datetime | None:
        """When the task of an attempt was taken up by a worker (UTC), if it was."""
        return self._of[job.name].began_at

    def stop(self, jobs: Sequence[Job], why: Stop, now: datetime, patience: Patience) -> list[Order]:
        """Begins to stop attempts.

        Returns:
            What the pool is to do first.
        """
        orders = []
        for job in jobs:
            stopping = stopped(job.stopping, why, now, patience)
            if stopping is not None:
                job.stopping = stopping
                orders.append(job)
        return _orders(orders)

    def insist(self, now: datetime) -> list[Order]:
        """What the pool is to do next for attempts that have not stopped."""
        insisted = []
        for job in self:
            following = job.stopping.due(now) if job.stopping else None
            if following is None:
                continue
            pack = self._of[job.name]
            if pack.began_at is None and following.how is not How.ASK:
                continue  # it is asked when its worker takes it up; until then there is nobody to tell
            job.stopping = following
            pack.killed = pack.killed or following.how is How.KILL
            insisted.append(job)
        return _orders(insisted)

    def hopeless(self, now: datetime) -> list[Job]:
        """Attempts that are neither back nor lost although their worker was killed."""
        return [job for job in self if job.stopping and job.stopping.hopeless(now)]


def _orders(jobs: Sequence[Job]) -> list[Order]:
    grouped: dict[tuple[Stop, How], dict[str, int]] = defaultdict(dict)
    for job in jobs:
        if job.stopping is not None:
            grouped[job.stopping.why, job.stopping.how][job.name] = job.epoch
    return [Order(attempts, why, how) for (why, how), attempts in grouped.items()]
