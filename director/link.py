"""The client's end of one Director: sends Requests together, receives Outcomes in pages."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from academy.exchange.client import UserExchangeClient
from academy.identifier import AgentId

from director.call import CALL_TIMEOUT_S, Caller, DirectorEnded, DirectorLost, TakesNoMore, WoundDown
from director.door import Problem, Refused
from simulations.records import Outcome, Request

T = TypeVar("T")

LETTER_BYTES = 100_000
"""Twice as much fills the wire no better, and whoever asks meanwhile waits for twice as long."""
LETTER_REQUESTS = 2_000
PAGE = 2_000
WAIT_S = 20.0
UNREACHABLE_S = 60.0
WINDOW_S = 0.25
WINDOW_TASKS_PER_WORKER = 3
RATE_MEMORY_S = 2.0
REASON_S = 5.0
AGAIN = "it has ended, and is being launched again"
# Where a Director finds the fault when it refuses a Request for its own sake; see `Engine.submit`.
ITSELF = "director"


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


class _MovedError(Exception):
    """The Director has another address by now."""


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
        self.closed: str | None = None
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.summary: Mapping[str, Any] | None = None
        self._client = client
        self._caller = Caller(index, agent_id, client)
        self._moved = asyncio.Event()
        self._receive = receive
        self._patience_s = patience_s
        self._cursor = after
        self._outbox: list[tuple[Request, asyncio.Future[None]]] = []
        self._unacknowledged: set[asyncio.Future[None]] = set()
        self._mail = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def cursor(self) -> int:
        """Sequence number of the latest Outcome that has come."""
        return self._cursor

    async def call(self, action: str, *arguments: Any, timeout_s: float = CALL_TIMEOUT_S, holds_s: float = 0.0) -> Any:
        """See `Caller.call`; ends at once when the Director is known to be lost, with the reason.

        If the Director is launched again meanwhile, it is asked again, since all that is called may be repeated.

        Raises:
            DirectorLost: If the Director is gone, or does not answer in time.
        """
        while True:
            caller = self._caller
            try:
                return await self._unless_lost(caller.call(action, *arguments, timeout_s=timeout_s, holds_s=holds_s))
            except _MovedError:
                continue
            except DirectorEnded as error:
                await self._lose(error)
                if self._caller is caller or self.lost.done():
                    raise self.error() from error

    def move(self, agent_id: AgentId[Any]) -> None:
        """Goes on with the same Director at another address: it is launched again, with the same ledger."""
        self._caller = Caller(self.index, agent_id, self._client)
        self.hopeless = AGAIN
        self.closed = None
        self._moved.set()
        self._moved = asyncio.Event()

    def expect(self, names: Iterable[str]) -> None:
        """Notes Requests that the Director has already; their Outcomes are received."""
        self.outstanding.update(names)
        if not self.lost.done():
            self._begin()

    def post(self, request: Request) -> asyncio.Future[None]:
        """Sends a Request.

        Returns:
            A future that is done when the Director has the Request on disk. It ends with `Refused` if the Director
            refused it, with `TakesNoMore` if it refuses all from now on, and with `DirectorLost` if it is gone.
        """
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.lost.done():
            acknowledged.set_exception(self.error())
            acknowledged.add_done_callback(seen)
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

    def mark_lost(self, reason: str, *, summary: Mapping[str, Any] | None = None) -> None:
        """Notes that the Director is gone: all that waits for it ends with `DirectorLost`.

        Args:
            reason: Why.
            summary: What it said at its end, if that was an orderly one: all ends with `WoundDown` then.
        """
        if not self.lost.done():
            self.summary = summary
            self.lost.set_result(reason)
            for acknowledged in list(self._unacknowledged):
                if not acknowledged.done():
                    acknowledged.set_exception(self.error())

    def error(self) -> DirectorLost:
        """What ends that waits for a Director that is gone."""
        reason = self.lost.result()
        return DirectorLost(reason) if self.summary is None else WoundDown(reason)

    def take(self, items: Iterable[tuple[int, Outcome]]) -> None:
        """Takes Outcomes, each with its sequence number; those that have come already are left out."""
        for seq, outcome in items:
            if seq > self._cursor:
                self._cursor = seq
                self.outstanding.discard(outcome.id)
                self._receive(outcome)

    async def _lose(self, error: DirectorLost) -> None:
        """Marks the Director as lost. If this client has launched it, the reason is about to come from its process."""
        if isinstance(error, DirectorEnded) and self.owned:
            moved = asyncio.create_task(self._moved.wait())
            await asyncio.wait((self.lost, moved), timeout=REASON_S, return_when=asyncio.FIRST_COMPLETED)
            if moved.done():
                return
            moved.cancel()
        self.mark_lost(str(error))

    async def close(self) -> None:
        """Stops sending and listening."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _unless_lost(self, awaitable: Awaitable[T]) -> T:
        task = asyncio.ensure_future(awaitable)
        moved = asyncio.create_task(self._moved.wait())
        try:
            await asyncio.wait((task, self.lost, moved), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if self.lost.done():
                raise self.error()
            raise _MovedError
        finally:
            for pending in (task, moved):
                if not pending.done():
                    pending.cancel()
                    await asyncio.gather(pending, return_exceptions=True)

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
                    refusal = self._refusal(refused[index]) if index in refused else None
                    if refusal is not None:
                        self.outstanding.discard(request.id)
                    if acknowledged.done():
                        continue  # nobody waits for it any more
                    if refusal is not None:
                        acknowledged.set_exception(refusal)
                    else:
                        acknowledged.set_result(None)

    def _refusal(self, found: Sequence[Mapping[str, str]]) -> Exception:
        """Why a Request was not accepted: something is wrong with it, or the Director accepts nothing any more."""
        problems = [Problem(**problem) for problem in found]
        if any(problem.where != ITSELF for problem in problems):
            return Refused(problems)
        self.closed = problems[0].message.replace("this Director", f"Director {self.index}", 1)
        return TakesNoMore(self.closed)

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
            self._cursor = max(self._cursor, page["next"])
            self.hopeless = page["hopeless"]
            self.rate.add(len(page["outcomes"]))
            for item in page["outcomes"]:
                outcome = Outcome.model_validate(item)
                self.outstanding.discard(outcome.id)
                self._receive(outcome)
            if page["failure"]:
                self.mark_lost(page["failure"])
                return
