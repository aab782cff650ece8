"""Writes what has happened to the ledger, a turn at a time, and only then makes it known."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from datetime import datetime
from typing import Any, TypeVar

from director.breathing import Breathing
from director.docket import Docket
from director.experience import Experience
from director.job import Job, Place
from director.ledger import Accepted, Entry, FencedError, Finished, Ledger, Noted, Turned
from director.news import News
from director.published import Published
from director.reuse import Reuse, repeated
from simulations.records import Outcome, Status

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Journal:
    """Between the docket and the ledger.

    Args:
        ledger: Where Requests and Outcomes are journaled.
        disk: Where the ledger's methods are called, one at a time.
        docket: What there is to journal.
        place: Where Requests run.
        experience: What is told of each Outcome.
        reuse: Where Outcomes are found that stand for Requests; None: every Request is run.
        clock: The time, in UTC.
        turned: Called after each turn, with Requests that are to be tried again.
        fail: Told why the Director cannot go on, and whether another one has taken over; None: nobody need be told.
        tidy: Called with Outcomes that are on disk, in a thread, and not waited for; None: nothing need be done.

    Attributes:
        published: The Outcomes that are on disk.
        finished: How many Outcomes there are of each status.
        failure: Why the Director cannot go on, if it cannot.
        in_turn: How many Requests or Outcomes the turn holds that is being written.
        writing: Whether a turn is being written.
        changed_at: When something came in or ended last, in s of the monotonic clock.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        disk: Executor,
        docket: Docket,
        place: Place,
        experience: Experience,
        reuse: Reuse | None,
        clock: Callable[[], datetime],
        turned: Callable[[], None],
        fail: Callable[[str, bool], None] | None,
        tidy: Callable[[Sequence[Outcome]], None] | None,
    ) -> None:
        self.published = Published(lambda after, limit: self.on_disk(ledger.page, after, limit))
        self.finished: Counter[str] = Counter()
        self.failure: str | None = None
        self.in_turn = 0
        self.writing = False
        self.changed_at = time.monotonic()
        self._ledger = ledger
        self._disk = disk
        self._docket = docket
        self._place = place
        self._experience = experience
        self._reuse = reuse
        self._clock = clock
        self._turned = turned
        self._fail = fail
        self._tidy = tidy

    async def on_disk(self, work: Callable[..., T], *arguments: object) -> T:
        """Calls a method of the ledger where that does not stop everything else."""
        return await asyncio.get_running_loop().run_in_executor(self._disk, functools.partial(work, *arguments))

    async def answers(self, jobs: Sequence[Job]) -> dict[str, Finished]:
        """Outcomes that stand for Requests, by the Requests' ids."""
        if self._reuse is None or not jobs:
            return {}
        found = await self.on_disk(self._reuse.answers, jobs, self._place, self._clock())
        return {item.outcome.id: item for item in found}

    async def note(self, kind: str, data: Mapping[str, Any]) -> bool:
        """Journals something that happened to the Director; says whether it is on disk."""
        noted = Noted(kind, self._clock(), data)
        self._experience.note(noted)
        self._docket.news.noted.append(noted)
        return await self.on_record()

    async def on_record(self) -> bool:
        """Waits for the turn that takes what has just happened; says whether it is on disk."""
        if self.failure:
            return False
        told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._docket.news.told.append(told)
        self._docket.woken.set()
        return await told

    async def turn_forever(self) -> None:
        """Journals what happens, until the Director cannot go on."""
        while True:
            await self._docket.woken.wait()
            news = self._docket.take_news()
            try:
                await self._turn(news)
            except Exception as error:
                await self.give_up(error)
                return
            finally:
                news.settle(journaled=False)
                if self.failure:
                    self._docket.news.settle(journaled=False)

    async def give_up(self, error: Exception) -> None:
        """What is not on disk must not be known outside: nothing more is accepted, started or published."""
        fenced = isinstance(error, FencedError)
        if fenced:
            self.failure = str(error)
        else:
            logger.exception("the Director cannot go on", exc_info=error)
            self.failure = f"the Director cannot go on: {type(error).__name__}: {error}"
        await self.published.close()
        if self._fail is not None:
            self._fail(self.failure, fenced)

    async def _turn(self, news: News) -> None:
        if news:
            accepted: dict[str, Accepted] = {}
            for item in news.incoming:
                accepted = item.accepted | accepted
            if news.incoming:
                self.changed_at = time.monotonic()
            self.in_turn = len(news.incoming) + len(news.finished)
            self.writing = True
            turned = await self.on_disk(self._write, list(accepted.values()), news)
            outcomes = {item.outcome.id: item.outcome for item in news.finished}
            breathing = Breathing()
            for name in [name for name in accepted if name in turned.accepted and name not in outcomes]:
                await breathing()
                self._docket.admit(Job.of(accepted[name]))
            news.settle(journaled=True)
            if turned.finished:
                await self._publish(turned.finished, outcomes)
        # Only now, so that two attempts of a Request are never both unknown to the ledger; see `Ledger.take_up`.
        self.in_turn = 0
        self.writing = False
        for job in reversed(news.again):
            self._docket.open.wait_again(job)
        for job, after_s in news.delayed:
            self._docket.open.delay(job, self._clock(), after_s)
        self._turned()

    def _write(self, accepted: list[Accepted], news: News) -> Turned:
        """Writes a turn to the ledger; what need not run gets its Outcome in the same step."""
        if self._reuse and accepted:
            known = self._ledger.known([item.request.id for item in accepted])
            fresh = [Job.of(item) for item in accepted if item.request.id not in known]
            news.finished += self._reuse.answers(fresh, self._place, self._clock())
        return self._ledger.turn(accepted, news.started, news.interrupted, news.changed, news.finished, news.noted)

    async def _publish(self, entries: list[Entry], outcomes: Mapping[str, Outcome]) -> None:
        breathing = Breathing()
        for entry in entries:
            await breathing()
            outcome = outcomes[entry.id]
            self.finished[outcome.status.value] += 1
            self._experience.ended(outcome)
            for job in self._docket.open.released(outcome.id, outcome.key):
                if outcome.status is Status.OK:
                    again = repeated(job, self._place, outcome, outcome.artifacts, self._clock())
                    self._docket.end(job, Finished(again, job.epoch))
                else:
                    self._docket.open.wait(job)
        self.changed_at = time.monotonic()
        await self.published.add(entries)
        if self._tidy is not None:
            asyncio.get_running_loop().run_in_executor(None, self._tidy, [outcomes[entry.id] for entry in entries])
