"""Hands open Requests to the pool, takes back what comes of them, and brings to stop what must stop.

What depends on time alone (timeouts, deadlines, insisting that an attempt stops) is done in a *tick*.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime

from director.attempt import AttemptResult
from director.docket import Docket
from director.experience import Experience
from director.failures import Again, after, stopped
from director.in_pool import InPool, Order, Pack
from director.job import Job, Place, lost_record, outcome_of, record_of
from director.ledger import CourseOf, Finished, Interrupted, Started
from director.news import Policy
from director.packing import free_tasks, take_packs
from director.pool import LostError, Pool
from director.stopping import Patience
from director.walltime import Walltime
from simulations.records import AttemptRecord, Ending, ErrorInfo, Status
from simulations.tool import AnyTool
from simulations.workspace import Stop

logger = logging.getLogger(__name__)

JOURNAL_STARTS_S = 0.1
TERMINAL = {ending: Status(ending.value) for ending in (Ending.OK, Ending.FAILED, Ending.CANCELLED, Ending.TIMEOUT)}


class Dispatcher:
    """Between the docket and the pool.

    Args:
        docket: The open Requests.
        pool: Where attempts run.
        place: Where that is.
        tools: The installed Tools.
        experience: What was learned of how long Requests take.
        policy: What to do when things go wrong.
        walltime: When the Director must have ended; None: it may stay.
        course_of: How far an attempt had got, by the traces that it left.
        clock: The time, in UTC.
        may_dispatch: Whether anything may start now.
        broken: Told of an error after which the Director cannot go on.

    Attributes:
        in_pool: What is with the pool.
    """

    def __init__(
        self,
        *,
        docket: Docket,
        pool: Pool,
        place: Place,
        tools: Mapping[str, AnyTool],
        experience: Experience,
        policy: Policy,
        walltime: Walltime | None,
        course_of: CourseOf,
        clock: Callable[[], datetime],
        may_dispatch: Callable[[], bool],
        broken: Callable[[Exception], None],
    ) -> None:
        self.in_pool = InPool()
        self._docket = docket
        self._pool = pool
        self._place = place
        self._tools = tools
        self._experience = experience
        self._policy = policy
        self._walltime = walltime
        self._course_of = course_of
        self._clock = clock
        self._may_dispatch = may_dispatch
        self._broken = broken

    # ---- to the pool

    def dispatch(self) -> None:
        """Hands over what may start. It does not wait for the disk: a slow one delays answers, not workers."""
        if not self._may_dispatch():
            return
        now = self._clock()
        packs, held = take_packs(
            self._docket.open.backlog,
            self._experience.durations,
            workers=self._pool.workers,
            budget=free_tasks(self._pool.workers, self.in_pool.tasks),
            may_start=lambda job: self._experience.may_start(job, self._walltime, now),
        )
        self._docket.open.hold(held)
        for pack in packs:
            self._hand_over(pack, now)
        if self._docket.news.started:  # journaled with what comes next, or soon if nothing does
            asyncio.get_running_loop().call_later(JOURNAL_STARTS_S, self._docket.woken.set)

    def _hand_over(self, jobs: list[Job], now: datetime) -> None:
        for job in jobs:
            job.epoch += 1
            job.stopping = None
            self._docket.news.started.append(Started(job.name, job.epoch, now))
        pack = self.in_pool.add(jobs)
        loop = asyncio.get_running_loop()
        pause_at = self._walltime.stop_at if self._walltime else None
        future = self._pool.submit([job.attempt(pause_at) for job in jobs])
        future.add_done_callback(lambda done: _call_soon(loop, lambda: self._came_back(pack, done)))

    # ---- and back

    def _came_back(self, pack: Pack, done: Future[list[AttemptResult]]) -> None:
        try:
            self._take_back(pack, done)
            self.dispatch()
            self._docket.woken.set()
        except Exception as error:  # else its Requests would be forgotten until the next life
            self._broken(error)

    def _take_back(self, pack: Pack, done: Future[list[AttemptResult]]) -> None:
        jobs = {job.name: job for job in self.in_pool.remove(pack)}
        error = done.exception()
        if error is None:
            for result in done.result():
                job = jobs.pop(result.id, None)
                if job is not None and job.epoch == result.epoch:
                    self._returned(job, result)
        else:
            for job in jobs.values():
                self._lost(job, pack, error)

    def _returned(self, job: Job, result: AttemptResult) -> None:
        record = record_of(result)
        if not result.began:
            self._interrupted(job, record, None)
            return
        job.history.append(record)
        self._experience.returned(job, result)
        if result.ending in TERMINAL:
            self._docket.end(job, Finished(outcome_of(job, self._place, result), result.epoch))
        else:
            self._interrupted(job, record, result.error)

    def _lost(self, job: Job, pack: Pack, error: BaseException) -> None:
        course = self._course_of(job.name, job.epoch)
        record = lost_record(job, pack.began_at, pack.node, self._clock(), error, course)
        if not isinstance(error, LostError):
            info = ErrorInfo(
                type=type(error).__name__.removesuffix("Error"),
                message=str(error),
                hint="See the Director's logs in the run folder.",
            )
            job.history.append(record)
            self._docket.finish(job, Status.FAILED, info)
            return
        if pack.killed:
            why = "it did not stop in time" if job.stopping else "another request on its worker did not stop in time"
            record = record.model_copy(update={"ended": Ending.PAUSED, "reason": f"its worker was ended: {why}"})
        job.history.append(record)
        logger.warning("%s was lost (%s)", job.name, error)
        self._interrupted(job, record, None)

    def _abandon(self, job: Job, now: datetime) -> None:
        """Gives up an attempt that cannot be stopped. What it may still return is stale."""
        pack = self.in_pool.give_up(job)
        course = self._course_of(job.name, job.epoch)
        record = lost_record(job, pack.began_at, pack.node, now, LostError("it could not be stopped"), course)
        record = record.model_copy(update={"ended": Ending.PAUSED})
        job.history.append(record)
        self._interrupted(job, record, None)

    def _interrupted(self, job: Job, record: AttemptRecord, error: ErrorInfo | None) -> None:
        """Decides what becomes of a Request whose latest attempt ended without an Outcome."""
        stopping, job.stopping = job.stopping, None
        if stopping is not None and stopping.why is not Stop.PAUSE:
            status, info = stopped(stopping.why, record.reason)
            self._docket.finish(job, status, info)
            return
        what = after(job.history, self._policy.bounds, error) if record.began else Again()
        if isinstance(what, ErrorInfo):
            self._docket.finish(job, Status.FAILED, what)
            return
        self._experience.still_open(job)
        self._docket.news.interrupted.append(Interrupted(job.name, record))
        if isinstance(what, Again) and what.after_s > 0:
            self._docket.news.delayed.append((job, what.after_s))
        else:
            self._docket.news.again.append(job)

    # ---- to stop

    async def stop(self, jobs: Sequence[Job], why: Stop, patience: Patience) -> None:
        """Begins to stop attempts that are with the pool."""
        await self._order(self.in_pool.stop(jobs, why, self._clock(), patience))

    async def pause_all(self, patience: Patience, others: Patience) -> None:
        """Asks all that runs to stop for now.

        Args:
            patience: For those whose Tools save what they have done.
            others: For those whose Tools do not.
        """
        jobs = list(self.in_pool)
        saving = [job for job in jobs if self._tools[job.accepted.request.tool].checkpoints]
        rest = [job for job in jobs if not self._tools[job.accepted.request.tool].checkpoints]
        now = self._clock()
        orders = self.in_pool.stop(saving, Stop.PAUSE, now, patience)
        await self._order(orders + self.in_pool.stop(rest, Stop.PAUSE, now, others))

    async def _order(self, orders: Sequence[Order]) -> None:
        loop = asyncio.get_running_loop()
        for order in orders:
            await loop.run_in_executor(None, self._pool.stop, order.attempts, order.why, order.how)

    # ---- what time alone brings

    async def tick(self) -> None:
        """Does what is due by now."""
        now = self._clock()
        self.in_pool.see(self._pool.begun(), now)
        await self._order(self._time_out(now) + self.in_pool.insist(now))
        for job in self.in_pool.hopeless(now):
            self._abandon(job, now)
            self._docket.woken.set()
        self._docket.open.come_due(now)
        self.dispatch()

    def _time_out(self, now: datetime) -> list[Order]:
        """Ends what waits and is too late, and begins to stop what runs for too long or too late."""
        late = []
        for job in self._docket.open.late(now):
            if job.name in self.in_pool:
                late.append(job)
            else:
                self._docket.finish(job, *stopped(Stop.TIMEOUT, "its deadline passed"))
        for job in self.in_pool:
            limit_s, began_at = job.accepted.request.timeout_s, self.in_pool.began_at(job)
            if limit_s is not None and began_at is not None:
                ran_s = job.ran_s() + (now - began_at).total_seconds()
                if ran_s >= limit_s:
                    late.append(job)
        return self.in_pool.stop(late, Stop.TIMEOUT, now, self._policy.patience)

    def running_since(self) -> list[tuple[Job, datetime]]:
        """What workers have taken up, and when (UTC)."""
        return [(job, at) for job in self.in_pool if (at := self.in_pool.began_at(job)) is not None]


def _call_soon(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    # A result that comes back while the Director ends has nowhere to go; its Request stays open in the ledger.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(call)
