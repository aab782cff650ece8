"""Sending a run to a Globus Compute endpoint, and leaving it there."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from academy.exchange.client import UserExchangeClient
from academy.identifier import AgentId

from director.agent import DirectorAgent
from director.call import Caller, DirectorLost
from director.elsewhere import cargo_bytes
from director.exchange import ExchangeError, register
from director.exchange.http import is_loopback
from director.fleet import Fleet, LaunchError
from director.remote import StillWaitingError, await_directors, fleet_of
from director.runs import Launching, RunStore, SubmittedRun, Task
from director.sites.globus import CARGO_BYTES, GlobusDirector, GlobusSite
from director.sites.state import TaskState, endpoint_state, explained, situation, task_state
from director.spec import DirectorSpec, ExchangeSpec, agent_id_of
from simulations.records import Request

TASK_IDS_S = 30.0
LOOK_S = 5.0
REPEAT_S = 30.0
END_S = 5.0
LATER = "Try again later, and see https://www.globusstatus.com"
LOOPBACK_HINT = (
    "That address is each machine's own. Start the exchange with --host and an address at which compute nodes reach "
    "this machine, or on the facility's login node, and submit with --exchange http://ADDRESS:PORT"
)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Submission:
    """A run that is on its way.

    Attributes:
        run: What is remembered of it.
        job: Which of its jobs this is for.
        site: Where it goes.
        exchange: Where its Directors answer.
        store: Where it is remembered.
    """

    run: SubmittedRun
    job: int
    site: GlobusSite
    exchange: ExchangeSpec
    store: RunStore

    async def send(
        self, client: UserExchangeClient[Any], launches: Mapping[int, int], *, wait_s: float, say: Say
    ) -> Fleet:
        """Launches Directors, and waits until they answer and have all their Requests.

        Args:
            client: The exchange. The Fleet has it from here on; if there is none, it is closed.
            launches: For each Director that is launched, how often it has been, this time included.
            wait_s: How long to wait for their answers, in s.
            say: Told how it goes.

        Returns:
            The Fleet; to be closed, which leaves the Directors at work.

        Raises:
            ExchangeError: If the exchange cannot be reached; nothing was started then.
            LaunchError: If a Director ended instead of answering. It says why; none of the others goes on.
            StillWaitingError: If they do not answer in time; they will go on by themselves.
        """
        requests = [item for item in self.store.requests(self.run.run_id) if item[0] in launches]
        staging = self.store.folder(self.run.run_id)
        try:
            specs, carried = self._specs(launches, requests)
            for spec in specs:
                await register(client, DirectorAgent, AgentId(uid=spec.agent_id))
            directors = {spec.index: (spec.launch, self.site.launch(spec)) for spec in specs}
            try:
                run = await self._noted(list(directors.values()))
                say(f"run {run.run_id}: {len(specs)} Directors submitted to endpoint {run.endpoint_id}")
                look = _Look(self.site, [director for _, director in directors.values()], say)
                found = await await_directors(client, run.run_id, directors, wait_s=wait_s, look=look)
            except StillWaitingError as error:
                await look.now()
                raise StillWaitingError(f"{error}: {look.last}. {_what_next(run.run_id, carried=carried)}") from None
            except LaunchError as error:
                why = self._why(str(error), [director for _, director in directors.values()])
                await self._end(client, directors)
                raise LaunchError(why) from None
            self.store.update(run.heard(directors))
            fleet = fleet_of(client, self.run.run_id, found, staging)
        except BaseException:
            await client.close()
            raise
        if not carried:
            await fleet.hand_over(requests)
        return fleet

    def _why(self, error: str, directors: Sequence[GlobusDirector]) -> str:
        """Why Directors did not come up: what one of them said, or else what the service or the endpoint did."""
        outside = [director.task.exception() for director in directors if director.task_id and _failed(director.task)]
        if outside and not any(director.ended.done() and not _failed(director.task) for director in directors):
            return explained(str(outside[0]))
        if "cannot reach the exchange" in error and is_loopback(self.exchange.url):
            return f"{error}. {LOOPBACK_HINT}"
        return error

    async def _end(self, client: UserExchangeClient[Any], directors: Mapping[int, tuple[int, GlobusDirector]]) -> None:
        """Ends what has come up, and keeps the rest from it: a Director whose address was taken back ends at once."""

        async def end(index: int, launch: int, director: GlobusDirector) -> None:
            agent_id: AgentId[Any] = AgentId(uid=agent_id_of(self.run.run_id, index, launch))
            with contextlib.suppress(DirectorLost, ExchangeError, TimeoutError):
                if not director.ended.done():
                    await Caller(index, agent_id, client).call("close", timeout_s=END_S)
            with contextlib.suppress(Exception):  # the exchange may be what is in the way
                async with asyncio.timeout(END_S):
                    await client.terminate(agent_id)

        await asyncio.gather(*(end(index, launch, director) for index, (launch, director) in directors.items()))

    async def _noted(self, directors: Sequence[tuple[int, GlobusDirector]]) -> SubmittedRun:
        """Remembers the launching, with what the service calls its tasks.

        Raises:
            LaunchError: If the service does not take them.
        """
        at = datetime.now(UTC)
        give_up = time.monotonic() + TASK_IDS_S
        while any(director.task_id is None and not director.ended.done() for _, director in directors):
            if time.monotonic() > give_up:
                raise LaunchError(f"Globus Compute has not taken the tasks within {TASK_IDS_S:g} s. {LATER}")
            await asyncio.sleep(0.05)
        refused = [director.ended.result() for _, director in directors if director.task_id is None]
        if refused:
            raise LaunchError(f"Globus Compute does not take the tasks: {explained(str(refused[0].get('error')))}")
        tasks = [
            Task(director=director.spec.index, launch=launch, task_id=str(director.task_id))
            for launch, director in directors
        ]
        launching = Launching(at=at, job=self.job, task_group_id=self.site.task_group_id, tasks=tasks)
        run = self.run.model_copy(update={"launchings": [*self.run.launchings, launching]})
        self.store.update(run)
        return run

    def _specs(
        self, launches: Mapping[int, int], requests: Sequence[tuple[int, Request]]
    ) -> tuple[list[DirectorSpec], bool]:
        """What the Directors are told; with their Requests, if these are not too many to travel along."""
        plan, staged = self.run.plan, self.store.folder(self.run.run_id).staged
        if sum(staged(file).stat().st_size for _, item in requests for file in item.files.values()) < CARGO_BYTES:
            specs = plan.specs(self.exchange, launches, requests, staged)
            if sum(map(cargo_bytes, specs)) <= CARGO_BYTES:
                return specs, True
        return plan.specs(self.exchange, launches, (), staged), False


def _what_next(run_id: str, *, carried: bool) -> str:
    if carried:
        return f"It begins by itself when its job does. Look at it: director watch {run_id}"
    return f"Its requests are too many to travel along. When its job runs, send them: director resume {run_id}"


def _failed(task: Any) -> bool:
    return bool(task.done() and not task.cancelled() and task.exception() is not None)


class _Look:
    """Tells, now and then, where the tasks are before their Directors answer.

    The SDK's futures hang when the user endpoint is killed, so that tasks which have ended are looked for, too.
    """

    def __init__(self, site: GlobusSite, directors: Sequence[GlobusDirector], say: Say) -> None:
        self._site = site
        self._directors = directors
        self._say = say
        self._begin = time.monotonic()
        self._next = self._begin + LOOK_S
        self._said = self._begin
        self._ended: str | None = None
        self.last = ""

    async def __call__(self) -> None:
        if time.monotonic() >= self._next:
            await self.now()
            self._next = time.monotonic() + LOOK_S

    async def now(self) -> None:
        """Asks the service, and says what is new.

        Raises:
            LaunchError: If a task has ended, and its future has not told for a while.
        """
        found, ended = await asyncio.to_thread(self._ask)
        now = time.monotonic()
        if found != self.last:
            self.last, self._said = found, now
            self._say(found)
        elif now - self._said > REPEAT_S:
            self._said = now
            self._say(f"{found} (for {now - self._begin:.0f} s now)")
        before, self._ended = self._ended, ended
        if before is not None and ended is not None:
            raise LaunchError(ended)

    def _ask(self) -> tuple[str, str | None]:
        client = self._site.client
        try:
            tasks: list[TaskState | None] = [
                task_state(client, director.task_id) if director.task_id else None for director in self._directors
            ]
            ended = next((task.error or task.result for task in tasks if task and (task.error or task.result)), None)
            return situation(endpoint_state(client, self._site.endpoint_id), tasks), ended
        except Exception as error:  # the service is asked for the user's sake only
            return f"Globus Compute does not say how it is: {explained(str(error) or repr(error))}", None
