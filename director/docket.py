"""The docket: the open Requests of a Director, and what has happened to them since the last turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from director.failures import stopped
from director.job import Job, Place, ended
from director.ledger import Finished
from director.news import News
from director.open_requests import OpenRequests
from simulations.records import ErrorInfo, Status
from simulations.workspace import Stop


class Docket:
    """What accepts Requests, what runs them and what journals them meet here, and nowhere else.

    Args:
        place: Where Requests run.
        twins: Whether of those with equal inputs only one is to run.
        clock: The time, in UTC.

    Attributes:
        open: The open Requests.
        news: What is to be journaled with the next turn.
        woken: Set when there is reason for a turn.
    """

    def __init__(self, place: Place, *, twins: bool, clock: Callable[[], datetime]) -> None:
        self.open = OpenRequests(twins=twins, now=clock())
        self.news = News()
        self.woken = asyncio.Event()
        self._place = place
        self._clock = clock

    def take_news(self) -> News:
        """What has happened since this was called last."""
        self.woken.clear()
        news, self.news = self.news, News()
        return news

    def admit(self, job: Job) -> None:
        """Takes in a Request that has come in: it waits for a worker, unless it is too late for that."""
        self.open.know(job)
        deadline = job.accepted.request.deadline
        if deadline is not None and deadline <= self._clock():
            self.finish(job, *stopped(Stop.TIMEOUT, "its deadline had passed when it came"))
        else:
            self.open.wait(job)

    def finish(self, job: Job, status: Status, error: ErrorInfo) -> None:
        """Ends a Request that no worker finished."""
        self.end(job, ended(job, self._place, status, error, self._clock()))

    def end(self, job: Job, finished: Finished) -> None:
        """Takes a Request out of wherever it is; its Outcome is journaled with the next turn."""
        if self.open.end(job.name):
            self.news.finished.append(finished)
            self.woken.set()
