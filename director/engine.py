"""The Director's heart: accepts Requests, hands them to the pool, and journals what comes back.

Everything is decided on one event loop. A *turn* takes the Requests that have come in, the attempts that have begun and
the Outcomes that have come back, and writes them to the ledger in one step; only then are Requests acknowledged and
Outcomes published. So nothing is known outside that is not on disk, and a busy Director writes once for many Requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from director.attempt import AttemptResult
from director.door import Checked, Problem, Refused, check
from director.job import Job, Place, ended, outcome_of, take_packs
from director.ledger import Accepted, Entry, FencedError, Finished, Ledger, Started
from director.lingering import Idleness
from director.packing import Durations, free_tasks
from director.pool import LostError, NodeState, Pool
from director.published import Published
from partitions.carve import Partition
from simulations.records import ErrorInfo, Request, Status
from simulations.tool import AnyTool

logger = logging.getLogger(__name__)

T = TypeVar("T")
JOURNAL_STARTS_S = 0.1


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Verdict:
    """What became of one Request at the door.

    Attributes:
        id: The Request's id.
        problems: Why it was refused; empty if it was accepted.
    """

    id: str
    problems: tuple[Problem, ...] = ()


@dataclass
class _Incoming:
    accepted: dict[str, Accepted]
    journaled: asyncio.Future[bool]


@dataclass
class Counts:
    """How many Requests are where."""

    queued: int = 0
    running: int = 0
    finished: Counter[str] = field(default_factory=Counter)


class Engine:
    """Runs Requests on a pool, with a ledger.

    Args:
        index: The Director's index.
        partition: Its Partition.
        tools: The installed Tools.
        ledger: Where Requests and Outcomes are journaled.
        pool: Where attempts run.
        max_attempts: How often a Request is started when its worker is lost.
        max_node_losses: How often a Request may lose its whole node.
        clock: The time, in UTC.
        fail: Told why the Director cannot go on, if it cannot, and whether another one has taken over.
    """

    def __init__(
        self,
        *,
        index: int,
        partition: Partition,
        tools: Mapping[str, AnyTool],
        ledger: Ledger,
        pool: Pool,
        max_attempts: int = 5,
        max_node_losses: int = 20,
        clock: Callable[[], datetime] = utc_now,
        fail: Callable[[str, bool], None] | None = None,
    ) -> None:
        self.place = Place(index, tuple(partition.hostnames))
        self.tools = tools
        self.pool = pool
        self._ledger = ledger
        self._max_attempts = max_attempts
        self._max_node_losses = max_node_losses
        self._clock = clock
        self._fail = fail
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._queue: deque[Job] = deque()
        self._running: dict[str, Job] = {}
        self._in_flight = 0
        self._incoming: list[_Incoming] = []
        self._started: list[Started] = []
        self._returned: list[Finished] = []
        self._again: list[Job] = []
        self._finished: Counter[str] = Counter()
        self._durations: dict[str, Durations] = {}
        self._published = Published(lambda after, limit: self._on_disk(ledger.page, after, limit))
        self._changed_at = time.monotonic()
        self._turning = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.draining = False
        self.failure: str | None = None

    # ---- life

    async def start(self) -> None:
        """Takes up what is open in the ledger and begins to turn. The pool has been started."""
        self._published.last_seq = await self._on_disk(self._ledger.last)
        for accepted in await self._on_disk(self._ledger.take_up):
            self._queue.append(Job(accepted, accepted.epoch, accepted.attempts))
        self._wake.set()
        self._task = asyncio.create_task(self._turn_forever(), name="engine")

    async def close(self) -> None:
        """Stops turning and closes the ledger. Open Requests stay open in it."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._on_disk(self._ledger.close)
        self._disk.shutdown()

    # ---- what the Director's actions call

    async def submit(self, requests: Sequence[Request]) -> list[Verdict]:
        """Checks Requests and journals those that pass. A Request with a known id is acknowledged again, not run again.

        Returns:
            One verdict per Request. Those accepted are on disk.
        """
        if self.draining or self.failure:
            return [Verdict(request.id, self._closed()) for request in requests]
        verdicts: list[Verdict] = []
        accepted: dict[str, Accepted] = {}
        now = self._clock()
        for request in requests:
            try:
                checked = check(request, self.tools)
            except Refused as refusal:
                verdicts.append(Verdict(request.id, refusal.problems))
                continue
            verdicts.append(Verdict(request.id))
            accepted.setdefault(request.id, _accepted(checked, now))
        if accepted:
            incoming = _Incoming(accepted, asyncio.get_running_loop().create_future())
            self._incoming.append(incoming)
            self._wake.set()
            if not await incoming.journaled:
                return [Verdict(verdict.id, verdict.problems or self._closed()) for verdict in verdicts]
        return verdicts

    async def outcomes(self, after: int, limit: int, wait_s: float) -> list[Entry]:
        """Outcomes journaled after a cursor; waits for one, for a while, if there is none.

        Args:
            after: Sequence number of the last Outcome seen; 0 for all.
            limit: How many at most.
            wait_s: How long to wait, in seconds.
        """
        return await self._published.after(after, limit, wait_s)

    @property
    def last_seq(self) -> int:
        """Cursor of the latest Outcome; 0 before the first."""
        return self._published.last_seq

    def idleness(self) -> Idleness:
        """Whether there is anything left to do."""
        unread = self._published.last_seq - self._published.fetched_seq
        waiting = (self._queue, self._running, self._again, self._incoming, self._returned)
        still_open = self._turning + sum(len(items) for items in waiting)
        return Idleness(still_open, time.monotonic() - self._changed_at, self.draining, unread)

    def check_all(self, requests: Sequence[Request]) -> None:
        """Checks Requests without accepting any.

        Raises:
            Refused: With everything that is wrong with any of them.
        """
        problems: list[Problem] = []
        for index, request in enumerate(requests):
            try:
                check(request, self.tools)
            except Refused as refusal:
                problems += [problem.within(f"requests[{index}]") for problem in refusal.problems]
        if problems:
            raise Refused(problems)

    async def cancel(self, ids: Sequence[str]) -> dict[str, str]:
        """Cancels Requests.

        Returns:
            For each id: ``cancelled`` (it had not begun), ``stopping`` (it runs, and has been told to stop),
            ``finished`` or ``unknown``.
        """
        wanted = set(ids)
        answers = dict.fromkeys(wanted, "unknown")
        # What is queued or running changes at every await, so both are looked at before the first one.
        for job in [job for job in self._queue if job.accepted.request.id in wanted]:
            self._queue.remove(job)
            error = ErrorInfo(type="Cancelled", message="cancelled before it began", hint="Submit it again to run it.")
            self._returned.append(ended(job, self.place, Status.CANCELLED, error, self._clock()))
            answers[job.accepted.request.id] = "cancelled"
        running = [name for name in wanted if name in self._running]
        answers.update(dict.fromkeys(running, "stopping"))
        self._wake.set()
        if running:
            await asyncio.get_running_loop().run_in_executor(None, self.pool.stop, running)
        rest = [name for name in wanted if answers[name] == "unknown"]
        answers.update(dict.fromkeys(await self._on_disk(self._ledger.known, rest), "finished"))
        return answers

    def counts(self) -> Counts:
        """How many Requests are queued, running and finished."""
        running = min(len(self._running), self.pool.workers)
        return Counts(len(self._queue) + len(self._running) - running, running, Counter(self._finished))

    def open_ids(self) -> list[str]:
        """Ids of the Requests that have no Outcome yet."""
        jobs = [*self._queue, *self._again, *self._running.values()]
        return [job.accepted.request.id for job in jobs]

    def running_ids(self) -> list[str]:
        """Ids of the Requests that are with the pool."""
        return list(self._running)

    def mean_seconds(self) -> float | None:
        """Mean duration of the latest attempts of all Tools, in seconds, or None before the first."""
        samples = [seconds for durations in self._durations.values() for seconds in durations.recent]
        return sum(samples) / len(samples) if samples else None

    async def nodes(self) -> list[NodeState]:
        """How the Partition's nodes are."""
        return await asyncio.get_running_loop().run_in_executor(None, self.pool.nodes)

    # ---- the turn

    async def _turn_forever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            incoming, self._incoming = self._incoming, []
            try:
                await self._turn(incoming)
            except Exception as error:
                # What is not on disk must not be known outside, so nothing more is accepted, started or published.
                fenced = isinstance(error, FencedError)
                if fenced:
                    self.failure = str(error)
                else:
                    logger.exception("the Director cannot go on")
                    self.failure = f"the Director cannot go on: {type(error).__name__}: {error}"
                await self._published.close()
                if self._fail is not None:
                    self._fail(self.failure, fenced)
                return
            finally:
                _settle(incoming + (self._incoming if self.failure else []), journaled=False)

    async def _turn(self, incoming: list[_Incoming]) -> None:
        started, self._started = self._started, []
        finished, self._returned = self._returned, []
        again, self._again = self._again, []
        if incoming or started or finished:
            accepted: dict[str, Accepted] = {}
            for item in incoming:
                accepted = item.accepted | accepted
            self._changed_at = time.monotonic() if incoming else self._changed_at
            self._turning = len(incoming) + len(finished)
            turned = await self._on_disk(self._ledger.turn, list(accepted.values()), started, finished)
            self._queue.extend(Job(item) for name, item in accepted.items() if name in turned.accepted)
            _settle(incoming, journaled=True)
            if turned.finished:
                await self._publish(turned.finished, finished)
        # Only now, so that two attempts of a Request are never both unknown to the ledger; see `Ledger.take_up`.
        self._turning = 0
        self._queue.extendleft(reversed(again))
        self._dispatch()

    def _dispatch(self) -> None:
        """Hands over what may start. It does not wait for the disk: a slow one delays answers, not workers."""
        budget = free_tasks(self.pool.workers, self._in_flight)
        for pack in take_packs(self._queue, self._durations, workers=self.pool.workers, budget=budget):
            self._hand_over(pack)
        if self._started:  # journaled with what comes next, or soon if nothing does
            asyncio.get_running_loop().call_later(JOURNAL_STARTS_S, self._wake.set)

    def _hand_over(self, pack: list[Job]) -> None:
        self._in_flight += 1
        now = self._clock()
        for job in pack:
            job.epoch += 1
            job.attempts += 1
            job.started_at = now
            self._running[job.accepted.request.id] = job
            self._started.append(Started(job.accepted.request.id, job.epoch, now))
        loop = asyncio.get_running_loop()
        future = self.pool.submit([job.attempt() for job in pack])
        future.add_done_callback(lambda done: _call_soon(loop, lambda: self._came_back(pack, done)))

    def _came_back(self, pack: list[Job], done: Future[list[AttemptResult]]) -> None:
        self._in_flight -= 1
        jobs = {job.accepted.request.id: job for job in pack}
        for name in jobs:
            self._running.pop(name, None)
        error = done.exception()
        if error is None:
            for result in done.result():
                job = jobs[result.id]
                self._durations.setdefault(job.accepted.request.tool, Durations()).add(result.seconds)
                self._returned.append(Finished(outcome_of(job, self.place, result), result.epoch))
        else:
            for job in pack:
                self._lost(job, error)
        if not self.failure:
            self._dispatch()
        self._wake.set()

    def _lost(self, job: Job, error: BaseException) -> None:
        if isinstance(error, LostError):
            job.lose(with_node=error.with_node)
            if job.losses < self._max_attempts and job.node_losses < self._max_node_losses:
                logger.warning("%s was lost (%s); trying again", job.accepted.request.id, error)
                self._again.append(job)
                return
            hint = f"It was tried {job.attempts} times. If others run well, it ends its worker: look at its memory use."
        else:
            hint = "See the Director's logs in the run folder."
        info = ErrorInfo(type=type(error).__name__.removesuffix("Error"), message=str(error), hint=hint)
        self._returned.append(ended(job, self.place, Status.FAILED, info, self._clock()))

    async def _publish(self, entries: list[Entry], finished: list[Finished]) -> None:
        statuses = {item.outcome.id: item.outcome.status for item in finished}
        for entry in entries:
            self._finished[statuses[entry.id].value] += 1
        self._changed_at = time.monotonic()
        await self._published.add(entries)

    # ---- small things

    def _closed(self) -> tuple[Problem, ...]:
        why = self.failure or "this Director is draining"
        return (Problem("director", why, "Send the request to another Director or a new run"),)

    async def _on_disk(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, functools.partial(work, *arguments))


def _settle(incoming: list[_Incoming], *, journaled: bool) -> None:
    for item in incoming:
        if not item.journaled.done():  # its caller may be gone
            item.journaled.set_result(journaled)


def _accepted(checked: Checked, at: datetime) -> Accepted:
    return Accepted(checked.request, checked.key, checked.tool.version, at)


def _call_soon(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    # A result that comes back while the Director ends has nowhere to go; its Request stays open in the ledger.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(call)
