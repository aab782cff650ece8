"""The Director's heart: accepts Requests, has them run, and answers for what became of them.

Everything is decided on one event loop. A *turn* takes what has happened since the last one (Requests that came in,
attempts that began, were interrupted or ended, what was asked for) and writes it to the ledger in one step; only then
are Requests acknowledged and Outcomes published. So nothing is known outside that is not on disk, and a busy Director
writes once for many Requests. `director.journal` turns, `director.dispatching` speaks with the pool, and they meet in
`director.docket`; here are the actions.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from director.accounting import Account, Totals
from director.breathing import Breathing
from director.dispatching import Dispatcher
from director.docket import Docket
from director.door import Checked, Problem, Refused, check
from director.experience import Experience
from director.failures import after, cancelled
from director.job import Job, Place
from director.journal import Journal
from director.ledger import Accepted, Changed, CourseOf, Entry, Ledger, LedgerError, Noted
from director.lingering import Idleness
from director.news import Counts, Incoming, Policy, Verdict
from director.pool import NodeState, Pool
from director.reuse import Reuse
from director.stopping import Patience
from director.timing import Timing
from director.walltime import Walltime
from partitions.carve import Partition
from simulations.records import Course, ErrorInfo, Outcome, Request, Status
from simulations.tool import AnyTool
from simulations.workspace import Stop

logger = logging.getLogger(__name__)

TICK_S = 0.5
ALIVE_S = 60.0
"""So often a Director notes that it lives: if it is lost, it is known until when its nodes were used."""
LEARN_FROM = 500
FOREVER = Patience(ask_s=float("inf"))


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class Engine:
    """Runs Requests on a pool, with a ledger.

    Args:
        index: The Director's index.
        partition: Its Partition.
        tools: The installed Tools.
        ledger: Where Requests and Outcomes are journaled.
        pool: Where attempts run.
        policy: What to do when things go wrong.
        walltime: When the Director must have ended; None: it may stay.
        cores: How many cores each worker owns at least; None: that is not known.
        reuse: Where Outcomes are found that stand for Requests; None: every Request is run.
        course_of: How far an attempt had got, by the traces that it left: called with a Request's id and an epoch.
        past: Reads the account of the lives before, up to an Outcome's sequence number; None: there are none.
        clock: The time, in UTC.
        disk: Where the ledger's methods are called, one at a time; None: a thread.
        ticking: Whether time passes by itself; if not, `tick` has to be called.
        fail: Told why the Director cannot go on, if it cannot, and whether another one has taken over.
        tidy: Called with Outcomes that are on disk, in a thread, and not waited for.
    """

    def __init__(
        self,
        *,
        index: int,
        partition: Partition,
        tools: Mapping[str, AnyTool],
        ledger: Ledger,
        pool: Pool,
        policy: Policy | None = None,
        walltime: Walltime | None = None,
        cores: int | None = None,
        reuse: Reuse | None = None,
        course_of: CourseOf = lambda name, epoch: Course(),
        past: Callable[[int], Account] | None = None,
        clock: Callable[[], datetime] = utc_now,
        disk: Executor | None = None,
        ticking: bool = True,
        fail: Callable[[str, bool], None] | None = None,
        tidy: Callable[[Sequence[Outcome]], None] | None = None,
    ) -> None:
        nodes = len(partition.hostnames)
        units = {name: tool.unit for name, tool in tools.items()}
        self.place = Place(index, tuple(partition.hostnames), pool.workers / nodes, units)
        self.tools = tools
        self.pool = pool
        self.walltime = walltime
        self._cores = cores
        self._experience = Experience(tools, nodes=nodes, workers=pool.workers)
        self._ledger = ledger
        self._policy = policy or Policy()
        self._course_of = course_of
        self._past = past
        self._clock = clock
        self._ticking = ticking
        self._alive_at = time.monotonic()
        self._disk = disk or ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._tasks: list[asyncio.Task[None]] = []
        self.draining = False
        self.paused = False
        self.ending: str | None = None
        self._docket = Docket(self.place, twins=reuse is not None, clock=clock)
        self._dispatcher = Dispatcher(
            docket=self._docket,
            pool=pool,
            place=self.place,
            tools=tools,
            experience=self._experience,
            policy=self._policy,
            walltime=walltime,
            course_of=course_of,
            clock=clock,
            may_dispatch=lambda: not (self.failure or self.paused or self.ending),
            broken=self._broken,
        )
        self._journal = Journal(
            ledger=ledger,
            disk=self._disk,
            docket=self._docket,
            place=self.place,
            experience=self._experience,
            reuse=reuse,
            clock=clock,
            turned=self._dispatcher.dispatch,
            fail=fail,
            tidy=tidy,
        )

    # ---- life

    async def start(self) -> None:
        """Takes up what is open in the ledger and begins to turn. The pool has been started."""
        now, journal = self._clock(), self._journal
        journal.published.last_seq = await journal.on_disk(self._ledger.last)
        journal.finished.update(await journal.on_disk(self._ledger.counts))
        jobs = [Job.of(accepted) for accepted in await journal.on_disk(self._ledger.take_up, now, self._course_of)]
        latest = max(0, journal.published.last_seq - LEARN_FROM)
        for entry in await journal.on_disk(self._ledger.page, latest, LEARN_FROM):
            self._experience.before(Outcome.model_validate_json(entry.body))
        answered = await journal.answers(jobs)
        for job in jobs:
            self._docket.open.know(job)
            self._experience.still_open(job)
            if job.accepted.cancelled:
                self._docket.finish(job, Status.CANCELLED, cancelled("it was cancelled"))
            elif job.name in answered:
                self._docket.end(job, answered[job.name])
            elif job.history and isinstance(error := after(job.history, self._policy.bounds), ErrorInfo):
                self._docket.finish(job, Status.FAILED, error)
            else:
                self._docket.open.wait(job)
        self._docket.woken.set()
        self._tasks.append(asyncio.create_task(journal.turn_forever(), name="engine"))
        if self._past is not None:
            self._tasks.append(asyncio.create_task(self._add_past(self._past), name="past"))
        if self._ticking:
            self._tasks.append(asyncio.create_task(self._tick_forever(), name="ticks"))

    async def close(self) -> None:
        """Stops turning and closes the ledger. Open Requests stay open in it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._journal.on_disk(self._ledger.close)
        self._disk.shutdown()

    async def note(self, kind: str, data: Mapping[str, Any]) -> bool:
        """Journals something that happened to the Director; says whether it is on disk."""
        return await self._journal.note(kind, data)

    async def tick(self) -> None:
        """Does what is due by now."""
        await self._dispatcher.tick()
        if time.monotonic() - self._alive_at >= ALIVE_S:
            self._alive_at = time.monotonic()
            self._docket.news.noted.append(Noted("alive", self._clock(), {}))
            self._docket.woken.set()

    async def _tick_forever(self) -> None:
        while not self.failure:
            await asyncio.sleep(TICK_S)
            try:
                await self.tick()
            except Exception as error:
                await self._journal.give_up(error)

    def _broken(self, error: Exception) -> None:
        self._tasks.append(asyncio.create_task(self._journal.give_up(error)))

    async def _add_past(self, past: Callable[[int], Account]) -> None:
        """A long run has much to tell, and nothing waits for it."""
        last = self._journal.published.last_seq
        try:
            self._experience.add(await asyncio.get_running_loop().run_in_executor(None, past, last))
        except (LedgerError, ValueError) as error:
            logger.warning("the account of earlier lives cannot be read, and is left out: %s", error)

    @property
    def failure(self) -> str | None:
        """Why the Director cannot go on, if it cannot."""
        return self._journal.failure

    # ---- what the Director's actions call

    async def submit(self, requests: Sequence[Request]) -> list[Verdict]:
        """Checks Requests and journals those that pass. A Request with a known id is acknowledged again, not run again.

        Returns:
            One verdict per Request. Those accepted are on disk.
        """
        verdicts: list[Verdict] = []
        accepted: dict[str, Accepted] = {}
        now = self._clock()
        breathing = Breathing()
        for request in requests:
            if self.failure or self.draining or self.ending:
                break
            await breathing()
            try:
                checked = check(request, self.tools, self._cores)
            except Refused as refusal:
                verdicts.append(Verdict(request.id, refusal.problems))
                continue
            verdicts.append(Verdict(request.id))
            accepted.setdefault(request.id, _accepted(checked, now))
        if self.failure:
            return [Verdict(request.id, self._closed()) for request in requests]
        if self.draining or self.ending:
            return await self._known_again(requests)
        if accepted:
            incoming = Incoming(accepted, asyncio.get_running_loop().create_future())
            self._docket.news.incoming.append(incoming)
            self._docket.woken.set()
            if not await incoming.journaled:
                return [Verdict(verdict.id, verdict.problems or self._closed()) for verdict in verdicts]
        return verdicts

    async def _known_again(self, requests: Sequence[Request]) -> list[Verdict]:
        """Acknowledges Requests that are here already, and refuses the others.

        Whoever sends one again may not have heard the first answer, and must not give it to another Director.
        """
        await self._journal.on_record()
        known = await self._journal.on_disk(self._ledger.known, [request.id for request in requests])
        return [Verdict(request.id, () if request.id in known else self._closed()) for request in requests]

    async def outcomes(self, after: int, limit: int, wait_s: float) -> list[Entry]:
        """Outcomes journaled after a cursor; waits for one, for a while, if there is none.

        Args:
            after: Sequence number of the last Outcome seen; 0 for all.
            limit: How many at most.
            wait_s: How long to wait, in seconds.
        """
        return await self._journal.published.after(after, limit, wait_s)

    @property
    def last_seq(self) -> int:
        """Cursor of the latest Outcome; 0 before the first."""
        return self._journal.published.last_seq

    def idleness(self) -> Idleness:
        """Whether there is anything left to do."""
        journal, news = self._journal, self._docket.news
        unread = journal.published.last_seq - journal.published.fetched_seq
        still_open = journal.in_turn + len(self._docket.open) + len(news.incoming) + len(news.finished)
        return Idleness(still_open, time.monotonic() - journal.changed_at, self.draining, unread)

    def check_all(self, requests: Sequence[Request]) -> None:
        """Checks Requests without accepting any.

        Raises:
            Refused: With everything that is wrong with any of them.
        """
        problems: list[Problem] = []
        for index, request in enumerate(requests):
            try:
                check(request, self.tools, self._cores)
            except Refused as refusal:
                problems += [problem.within(f"requests[{index}]") for problem in refusal.problems]
        if problems:
            raise Refused(problems)

    async def cancel(self, ids: Sequence[str]) -> dict[str, str]:
        """Cancels Requests. When this returns, it is on disk that they are.

        Returns:
            For each id: ``cancelled`` (it did not run), ``stopping`` (it runs, and has been told to stop),
            ``finished`` or ``unknown``.
        """
        now = self._clock()
        answers = dict.fromkeys(ids, "unknown")
        running = []
        for name in answers:
            job = self._docket.open.get(name)
            if job is None:
                continue
            self._docket.news.changed.append(Changed(name, now, cancel=True))
            if name in self._dispatcher.in_pool:
                running.append(job)
                answers[name] = "stopping"
            else:
                self._docket.finish(job, Status.CANCELLED, cancelled("cancelled while it did not run"))
                answers[name] = "cancelled"
        await self._dispatcher.stop(running, Stop.CANCEL, self._policy.patience)
        if any(answer != "unknown" for answer in answers.values()) and not await self._journal.on_record():
            return dict.fromkeys(answers, "unknown")
        return answers | await self._finished_of(answers)

    async def prioritize(self, ids: Sequence[str], priority: int) -> dict[str, str]:
        """Gives Requests another priority: of two that wait, the higher one starts first.

        Returns:
            For each id: ``changed``, ``finished`` or ``unknown``. When this returns, it is on disk.
        """
        now = self._clock()
        answers = dict.fromkeys(ids, "unknown")
        for name in answers:
            job = self._docket.open.get(name)
            if job is not None:
                answers[name] = "changed"
                self._docket.news.changed.append(Changed(name, now, priority=priority))
                if not self._docket.open.backlog.prioritize(name, priority):
                    job.priority = priority
        if any(answer != "unknown" for answer in answers.values()) and not await self._journal.on_record():
            return dict.fromkeys(answers, "unknown")
        return answers | await self._finished_of(answers)

    async def pause(self) -> None:
        """Starts nothing more, and asks what runs to save what it has done and stop, where its Tool can."""
        if not self.paused:
            self.paused = True
            await self._dispatcher.pause_all(self._policy.patience, others=FOREVER)
            await self.note("paused", {})

    async def unpause(self) -> None:
        """Goes on after `pause`."""
        if self.paused:
            self.paused = False
            await self.note("unpaused", {})
            self._dispatcher.dispatch()

    async def drain(self) -> None:
        """Accepts nothing more; what was accepted is still run."""
        if not self.draining:
            self.draining = True
            await self.note("draining", {})

    async def wind_down(self, reason: str, within_s: float) -> None:
        """Starts and accepts nothing more, and brings all that runs to stop; `at_rest` says when it has.

        Args:
            reason: Why, for people.
            within_s: How long that may take, in s. Tools that save nothing may run on for most of that.
        """
        if self.ending is None:
            self.ending = reason
            patience = self._policy.patience.within(within_s)
            await self._dispatcher.pause_all(patience, others=Patience(0.7 * within_s, 0.1 * within_s, 0.2 * within_s))

    @property
    def at_rest(self) -> bool:
        """Whether nothing runs, and all that happened is on disk and published."""
        return not self._dispatcher.in_pool and not self._docket.news and not self._journal.writing

    @property
    def stuck(self) -> bool:
        """Whether nothing runs, and nothing that waits may start before the walltime."""
        return self.at_rest and self._docket.open.only_held

    def counts(self) -> Counts:
        """How many Requests are queued, running and finished."""
        running = min(len(self._dispatcher.in_pool), self.pool.workers)
        return Counts(len(self._docket.open) - running, running, Counter(self._journal.finished))

    def begun_before(self) -> int:
        """How many open Requests have a checkpoint to go on from, by their attempts that have ended."""
        return sum(
            any(record.course.saved_amount or record.course.from_amount for record in job.history)
            for job in self._docket.open.jobs()
        )

    def open_ids(self) -> list[str]:
        """Ids of the Requests that have no Outcome yet."""
        return [job.name for job in self._docket.open.jobs()]

    def running(self) -> dict[str, int]:
        """The Requests that workers have taken up: the epoch of each one's attempt by its id."""
        return {job.name: job.epoch for job, _ in self._dispatcher.running_since()}

    def waiting(self) -> dict[str, int]:
        """Why open Requests do not run: how many for each reason that there is."""
        return self._docket.open.waiting(len(self._dispatcher.in_pool) - self.counts().running)

    @property
    def timing(self) -> Timing:
        """How long Requests take, by what was learned."""
        return self._experience.timing

    def eta_s(self) -> float | None:
        """When all that is open will have ended, by what was learned, in s from now; None: nothing is known."""
        since = {job.name: began_at for job, began_at in self._dispatcher.running_since()}
        return self._experience.eta_s(self._docket.open.jobs(), since, self._clock())

    def totals(self, progress: Mapping[str, Course] | None = None) -> Totals:
        """Where the time went so far, in all lives of the Director.

        Args:
            progress: How far the attempts are that run, by the ids of their Requests, as far as that is known.
        """
        return self._experience.totals(self._clock(), self._dispatcher.running_since(), progress or {})

    def nodes(self) -> list[NodeState]:
        """How the Partition's nodes are."""
        return self.pool.nodes()

    async def _finished_of(self, answers: Mapping[str, str]) -> dict[str, str]:
        """Tells those that are finished from those that were never accepted."""
        unknown = [name for name, answer in answers.items() if answer == "unknown"]
        known = await self._journal.on_disk(self._ledger.known, unknown) if unknown else set()
        # One that was accepted just now is neither.
        return {name: "finished" for name in known if name not in self._docket.open}

    def _closed(self) -> tuple[Problem, ...]:
        why = self.failure or (
            f"this Director is ending: {self.ending}" if self.ending else "this Director is draining"
        )
        return (Problem("director", why, "Send the request to another Director or a new run"),)


def _accepted(checked: Checked, at: datetime) -> Accepted:
    return Accepted(checked.request, checked.key, checked.tool.version, at)
