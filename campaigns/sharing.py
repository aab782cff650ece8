"""One `Evaluate` for several episodes: each gets the Outcomes of its own Requests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from campaigns.evaluate import Evaluate
from simulations.records import ErrorInfo, Outcome, Request, Status

REFUSED = "Refused"


class Sharing:
    """Deals Outcomes out to those who sent the Requests.

    Args:
        evaluate: Runs them.
    """

    def __init__(self, evaluate: Evaluate) -> None:
        self._evaluate = evaluate
        self._boxes: dict[str, Outbox] = {}
        self._sent = asyncio.Event()
        self._failure: BaseException | None = None
        self._task: asyncio.Task[None] | None = None

    def open(self) -> Outbox:
        """A new sender."""
        if self._task is None:
            self._task = asyncio.create_task(self._deal(), name="outcomes")
        return Outbox(self)

    async def _deal(self) -> None:
        """Takes Outcomes as long as some are waited for."""
        try:
            while True:
                while self._boxes:
                    outcome = await self._evaluate.next()
                    box = self._boxes.pop(outcome.id, None)
                    if box is not None:  # or it is one of before that nobody asks for any more
                        box.put(outcome)
                self._sent.clear()
                await self._sent.wait()
        except Exception as error:  # it goes to all that wait
            self._failure = error
            for box in set(self._boxes.values()):
                box.fail(error)

    async def send(self, requests: Sequence[Request], box: Outbox) -> None:
        """Hands Requests over. One that is refused has an Outcome at once that says why."""
        if self._failure is not None:
            raise self._failure
        for request in requests:
            self._boxes[request.id] = box
        try:
            await self._evaluate.submit(requests)
        except ValueError as error:
            await self._one_by_one(requests, box, error)
        self._sent.set()

    async def _one_by_one(self, requests: Sequence[Request], box: Outbox, error: ValueError) -> None:
        """None was taken: finds those that are refused, so that the others are not lost with them."""
        for request in requests:
            try:
                if len(requests) == 1:
                    raise error
                await self._evaluate.submit([request])
            except ValueError as refusal:
                self._boxes.pop(request.id, None)
                box.put(refused(request, str(refusal)))

    async def close(self) -> None:
        """Ends the dealing. What runs is not ended by this."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


class Outbox:
    """Sends Requests, and receives their Outcomes. Made by `Sharing.open`."""

    def __init__(self, sharing: Sharing) -> None:
        self._sharing = sharing
        self._queue: asyncio.Queue[Outcome | BaseException] = asyncio.Queue()

    def put(self, outcome: Outcome) -> None:
        """Takes an Outcome in."""
        self._queue.put_nowait(outcome)

    def fail(self, error: BaseException) -> None:
        """Takes in that there will be no more."""
        self._queue.put_nowait(error)

    async def send(self, requests: Sequence[Request]) -> None:
        """Hands Requests over. When this returns, they survive the end of this process."""
        await self._sharing.send(requests, self)

    async def receive(self, least: int) -> list[Outcome]:
        """Waits until so many Outcomes are there, and gives all that are.

        Raises:
            RuntimeError: What went wrong with those who run them, if something did.
        """
        found: list[Outcome] = []
        while len(found) < least or not self._queue.empty():
            item = await self._queue.get()
            if isinstance(item, BaseException):
                raise item
            found.append(item)
        return found


def refused(request: Request, message: str) -> Outcome:
    """The Outcome of a Request that nobody accepted. It was not run, and it says why. Pure but for the time."""
    now = datetime.now(UTC)
    hint = "See to what proposed it, or to the environment's settings"
    return Outcome(
        id=request.id,
        key="",
        tool=request.tool,
        tool_version="",
        status=Status.FAILED,
        inputs=request.inputs,
        error=ErrorInfo(type=REFUSED, message=message, hint=hint),
        director=-1,
        partition=[],
        submitted_at=now,
        finished_at=now,
    )
