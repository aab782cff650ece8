"""The client's end of one Director: sends Requests together, receives Outcomes in pages."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from academy.exchange.client import UserExchangeClient
from academy.identifier import AgentId

from director.call import CALL_TIMEOUT_S, Caller, DirectorEnded, DirectorLost
from director.door import Problem, Refused
from simulations.records import Outcome, Request

T = TypeVar("T")

LETTER_BYTES = 200_000
LETTER_REQUESTS = 2_000
PAGE = 2_000
WAIT_S = 20.0
UNREACHABLE_S = 60.0
WINDOW_S = 0.25
WINDOW_TASKS_PER_WORKER = 3
RATE_MEMORY_S = 2.0
REASON_S = 5.0


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
        patience_s: How long it may be silent before it counts as lost, in s.
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
        patience_s: float = UNREACHABLE_S,
    ) -> None:
        self.index = index
        self.workers = workers
        self.owned = False
        self.outstanding: set[str] = set()
        self.rate = Rate()
        self.hopeless: str | None = None
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._caller = Caller(index, agent_id, client)
        self._receive = receive
        self._patience_s = patience_s
        self._cursor = after
        self._outbox: list[tuple[Request, asyncio.Future[None]]] = []
        self._unacknowledged: set[asyncio.Future[None]] = set()
        self._mail = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def call(self, action: str, *arguments: Any, timeout_s: float = CALL_TIMEOUT_S, holds_s: float = 0.0) -> Any:
        """See `Caller.call`; ends at once when the Director is known to be lost, with the reason.

        Raises:
            DirectorLost: If the Director is gone, or does not answer in time.
        """
        try:
            return await self._unless_lost(self._caller.call(action, *arguments, timeout_s=timeout_s, holds_s=holds_s))
        except DirectorEnded as error:
            await self._lose(error)
            raise DirectorLost(self.lost.result()) from error

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
        self._begin()
        self.outstanding.add(request.id)
        self._unacknowledged.add(acknowledged)
        acknowledged.add_done_callback(self._unacknowledged.discard)
        acknowledged.add_done_callback(seen)
        self._outbox.append((request, acknowledged))
        self._mail.set()
        return acknowledged

    def _begin(self) -> None:
        """Sends and listens, from the first Request on: who only looks need not."""
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._send_forever(), name=f"send-{self.index}"),
                asyncio.create_task(self._listen_forever(), name=f"listen-{self.index}"),
            ]

    def mark_lost(self, reason: str) -> None:
        """Notes that the Director is gone: all that waits for it ends with `DirectorLost`."""
        if not self.lost.done():
            self.lost.set_result(reason)
            for acknowledged in list(self._unacknowledged):
                if not acknowledged.done():
                    acknowledged.set_exception(DirectorLost(reason))

    async def _lose(self, error: DirectorLost) -> None:
        """Marks the Director as lost. If this client has launched it, the reason is about to come from its process."""
        if isinstance(error, DirectorEnded) and self.owned:
            await asyncio.wait((self.lost,), timeout=REASON_S)
        self.mark_lost(str(error))

    async def close(self) -> None:
        """Stops sending and listening."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

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
                    await self._lose(error)
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
                wait_s = min(WAIT_S, self._patience_s / 3)
                page = await self.call(
                    "outcomes", self._cursor, PAGE, wait_s, timeout_s=self._patience_s, holds_s=wait_s
                )
            except DirectorLost as error:
                await self._lose(error)
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
