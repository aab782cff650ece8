"""The client's end of one Director: sends Requests together, receives Outcomes in pages."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from academy.exception import (
    AcademyRemoteError,
    AgentTerminatedError,
    BadEntityIdError,
    MailboxTerminatedError,
)
from academy.exchange.client import UserExchangeClient
from academy.handle import Handle
from academy.identifier import AgentId
from academy.serialize import SerializationStrategy, allowed_deserializers
from aiohttp import ClientError

from director.door import Problem, Refused
from simulations.records import Outcome, Request

T = TypeVar("T")

LETTER_BYTES = 200_000
LETTER_REQUESTS = 2_000
PAGE = 2_000
WAIT_S = 20.0
CALL_TIMEOUT_S = 60.0
RETRY_S = 0.1
UNREACHABLE_S = 60.0
WINDOW_S = 0.25
WINDOW_TASKS_PER_WORKER = 3
RATE_MEMORY_S = 2.0


class DirectorLost(ConnectionError):  # noqa: N818  (the word users know)
    """A Director ended, or cannot be reached. What it had accepted is in its ledger."""


def window(rate_per_s: float, workers: int) -> int:
    """How many Requests a Director should hold, so that it never waits and others can still get the rest. Pure.

    Args:
        rate_per_s: Outcomes that it has been returning, per second.
        workers: Its workers.
    """
    return max(WINDOW_TASKS_PER_WORKER * workers, math.ceil(rate_per_s * WINDOW_S))


def seen(future: asyncio.Future[Any]) -> None:
    """Marks a future's error as seen: when a Director is lost, nobody may be waiting for it any more."""
    if not future.cancelled():
        future.exception()


class Rate:
    """Outcomes per second over the last two seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._marks: deque[tuple[float, int]] = deque()

    def add(self, count: int) -> None:
        """Notes that so many came back."""
        self._marks.append((self._clock(), count))

    @property
    def per_s(self) -> float:
        """The rate."""
        now = self._clock()
        while self._marks and self._marks[0][0] < now - RATE_MEMORY_S:
            self._marks.popleft()
        if not self._marks:
            return 0.0
        return sum(count for _, count in self._marks) / max(now - self._marks[0][0], WINDOW_S)


def letters(requests: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Splits Requests into messages that the exchange takes. Pure."""
    out: list[list[dict[str, Any]]] = [[]]
    size = 0
    for request in requests:
        size += len(json.dumps(request))
        if out[-1] and (size > LETTER_BYTES or len(out[-1]) >= LETTER_REQUESTS):
            out.append([])
            size = len(json.dumps(request))
        out[-1].append(request)
    return out


class DirectorLink:
    """Talks to one Director.

    Requests that are sent within the same few milliseconds travel in one message: while one message is on its way, the
    next one gathers.

    Args:
        index: The Director's index.
        agent_id: Its address.
        client: The run's exchange.
        workers: How many workers it has.
        receive: Called with each Outcome, once per Outcome that the Director journals.
        after: Cursor: Outcomes up to this one are not of interest.
    """

    def __init__(
        self,
        index: int,
        agent_id: AgentId[Any],
        client: UserExchangeClient[Any],
        *,
        workers: int,
        receive: Callable[[Outcome], None],
        after: int = 0,
    ) -> None:
        self.index = index
        self.workers = workers
        self.outstanding: set[str] = set()
        self.rate = Rate()
        self.hopeless: str | None = None
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._handle: Handle[Any] = Handle(
            agent_id, exchange=client, ignore_context=True, request_serializer=SerializationStrategy.JSON
        )
        self._receive = receive
        self._cursor = after
        self._outbox: list[tuple[Request, asyncio.Future[None]]] = []
        self._unacknowledged: set[asyncio.Future[None]] = set()
        self._mail = asyncio.Event()
        self._tasks = [
            asyncio.create_task(self._send_forever(), name=f"send-{index}"),
            asyncio.create_task(self._listen_forever(), name=f"listen-{index}"),
        ]

    async def call(self, action: str, *arguments: Any, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        """Calls an action, again if the exchange did not answer. For actions that may be repeated.

        Raises:
            DirectorLost: If the Director is gone, or does not answer in time.
        """
        give_up = time.monotonic() + timeout_s
        while True:
            try:
                return await self._unless_lost(self._act(action, arguments, give_up - time.monotonic()))
            except (AgentTerminatedError, MailboxTerminatedError) as error:
                raise DirectorLost(f"Director {self.index} has ended") from error
            except AcademyRemoteError as error:
                raise DirectorLost(f"Director {self.index} failed in {action}: {error}") from error
            except (TimeoutError, ClientError, OSError, BadEntityIdError) as error:
                if isinstance(error, DirectorLost):
                    raise
                if time.monotonic() + RETRY_S >= give_up:
                    raise DirectorLost(f"Director {self.index} did not answer within {timeout_s:g} s") from error
                await asyncio.sleep(RETRY_S)

    def post(self, request: Request) -> asyncio.Future[None]:
        """Sends a Request.

        Returns:
            A future that is done when the Director has the Request on disk. It ends with `Refused` if the Director
            refused it, and with `DirectorLost` if the Director is gone.
        """
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.lost.done():
            acknowledged.set_exception(DirectorLost(self.lost.result()))
            return acknowledged
        self.outstanding.add(request.id)
        self._unacknowledged.add(acknowledged)
        acknowledged.add_done_callback(self._unacknowledged.discard)
        acknowledged.add_done_callback(seen)
        self._outbox.append((request, acknowledged))
        self._mail.set()
        return acknowledged

    def mark_lost(self, reason: str) -> None:
        """Notes that the Director is gone: all that waits for it ends with `DirectorLost`."""
        if not self.lost.done():
            self.lost.set_result(reason)
            for acknowledged in list(self._unacknowledged):
                if not acknowledged.done():
                    acknowledged.set_exception(DirectorLost(reason))

    async def close(self) -> None:
        """Stops sending and listening."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _act(self, action: str, arguments: tuple[Any, ...], timeout_s: float) -> Any:
        # Runs in a task, hence in a context, of its own. What the exchange brings is never unpickled.
        allowed_deserializers.set({SerializationStrategy.JSON})
        async with asyncio.timeout(timeout_s):
            return await self._handle.action(action, *arguments)

    async def _unless_lost(self, awaitable: Awaitable[T]) -> T:
        task = asyncio.ensure_future(awaitable)
        try:
            await asyncio.wait((task, self.lost), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise DirectorLost(self.lost.result())
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _send_forever(self) -> None:
        while True:
            await self._mail.wait()
            self._mail.clear()
            taken, self._outbox = self._outbox, []
            for letter in letters([request.model_dump(mode="json") for request, _ in taken]):
                sent, taken = taken[: len(letter)], taken[len(letter) :]
                try:
                    answer = await self.call("submit", letter)
                except DirectorLost as error:
                    self.mark_lost(str(error))
                    return
                refused = {item["index"]: item["problems"] for item in answer["refused"]}
                for index, (request, acknowledged) in enumerate(sent):
                    if index in refused:
                        self.outstanding.discard(request.id)
                    if acknowledged.done():
                        continue  # nobody waits for it any more
                    if index in refused:
                        acknowledged.set_exception(Refused([Problem(**problem) for problem in refused[index]]))
                    else:
                        acknowledged.set_result(None)

    async def _listen_forever(self) -> None:
        while True:
            try:
                page = await self.call("outcomes", self._cursor, PAGE, WAIT_S, timeout_s=UNREACHABLE_S)
            except DirectorLost as error:
                self.mark_lost(str(error))
                return
            self._cursor = page["next"]
            self.hopeless = page["hopeless"]
            self.rate.add(len(page["outcomes"]))
            for item in page["outcomes"]:
                outcome = Outcome.model_validate(item)
                self.outstanding.discard(outcome.id)
                self._receive(outcome)
            if page["failure"]:
                self.mark_lost(page["failure"])
                return
