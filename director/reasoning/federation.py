"""Reasoners as Academy agents in processes of their own, launched by the client or by the Directors."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from academy.identifier import AgentId
from academy.runtime import Runtime, RuntimeConfig
from academy.serialize import SerializationStrategy

from campaigns.reasoner.board import Shared
from campaigns.reasoner.crew import Ended
from campaigns.reasoner.state import ReasonerState, first_state
from director.call import DirectorLost
from director.door import Problem, Refused
from director.exchange import connect, factory_of, register, registration_of
from director.fleet import Fleet
from director.reasoning.agent_launch import AgentProcess
from director.reasoning.agent_spec import AgentSpec, AgentWork
from director.reasoning.board_agent import BoardAgent
from director.reasoning.spec import ReasoningSpec
from director.relaunching import MAX_RELAUNCHES

By = Literal["client", "directors"]
LOOK_S = 0.5
STOP_S = 5.0


class _Followed(Shared):
    """A board that tells of each step."""

    def __init__(self, spec: ReasoningSpec, told: Callable[[ReasonerState], None]) -> None:
        super().__init__(spec.limits.limits())
        self._told = told
        self._last: dict[str, ReasonerState] = {}

    def tell(self, state: ReasonerState) -> None:
        super().tell(state)
        before, self._last[state["reasoner"]] = self._last.get(state["reasoner"]), state
        if before is not None and before != state:
            self._told(state)


async def federate(
    fleet: Fleet,
    spec: ReasoningSpec,
    seeds: Mapping[str, Mapping[str, Any]],
    by: By,
    *,
    told: Callable[[ReasonerState], None] = lambda state: None,
) -> list[Ended]:
    """Has reasoners reason in processes of their own until they end, or go on where they were interrupted.

    All share one board, which is an agent of this client. With ``directors``, each Director launches its share on its
    own machine; the model's endpoint and key are taken from the environment there.

    Args:
        fleet: The run's Directors.
        spec: What they do.
        seeds: For each reasoner, by its name, the candidate that it begins with.
        by: Who launches them.
        told: Told of each step of each reasoner.

    Returns:
        One for each reasoner, in the order of ``seeds``. Of conclusions, only the latest of each is there.

    Raises:
        Refused: If the run has no folder on this machine, or is not open.
        DirectorLost: If a Director is gone.
    """
    exchange = fleet.folder.read_exchange() if fleet.folder is not None else None
    if fleet.folder is None or exchange is None:
        message = "the run has no folder here that is open"
        raise Refused([Problem("agents", message, "Have the reasoners in this process: leave --agents out")])
    shared = _Followed(spec, told)
    client = await connect(exchange, name="board")
    board: AgentId[Any] = AgentId(uid=uuid.uuid4())
    await register(client, BoardAgent, board)
    json_only = RuntimeConfig(
        default_serializer=SerializationStrategy.JSON, allowed_deserializers={SerializationStrategy.JSON}
    )
    works = [
        AgentWork(name=name, seed=dict(seed), spec=spec, board=board.uid, address=uuid.uuid4())
        for name, seed in seeds.items()
    ]
    try:
        async with Runtime(
            BoardAgent(shared),
            exchange_factory=factory_of(exchange),
            registration=registration_of(exchange, board, BoardAgent),
            config=json_only,
        ):
            if by == "client":
                ends = await _by_client(
                    [
                        AgentSpec(work=work, exchange=exchange, run_folder=str(fleet.folder.path), launched_by="client")
                        for work in works
                    ]
                )
            else:
                ends = await _ByDirectors(fleet, works).to_the_end()
    finally:
        await client.close()
    states = {state["reasoner"]: state for state in shared.states()}
    return [
        Ended(states.get(name) or first_state(name, seed), str(ends[name].get("failure") or ""))
        for name, seed in seeds.items()
    ]


async def _by_client(specs: list[AgentSpec]) -> dict[str, dict[str, Any]]:
    processes: list[AgentProcess] = []
    try:
        for spec in specs:
            made = await asyncio.to_thread(AgentProcess, spec)
            processes.append(made)
        ends = await asyncio.gather(*(asyncio.wrap_future(process.ended) for process in processes))
        return {end["reasoner"]: end for end in ends}
    finally:
        for process in processes:
            process.let_go()


class _ByDirectors:
    """Has each reasoner launched by one Director, in turn, and waits for their ends.

    A Director that was killed and launched again has forgotten its reasoners, which ended with it: they go on there.
    """

    def __init__(self, fleet: Fleet, works: Sequence[AgentWork]) -> None:
        self._homes = {work.name: fleet.links[index % len(fleet.links)] for index, work in enumerate(works)}
        self._open = {work.name: work for work in works}
        self._launched = dict.fromkeys(self._homes, 0)
        self._ends: dict[str, dict[str, Any]] = {}

    async def to_the_end(self) -> dict[str, dict[str, Any]]:
        try:
            await asyncio.gather(*map(self._launch, self._homes))
            while self._open:
                await asyncio.sleep(LOOK_S)
                await self._look()
        finally:
            await asyncio.gather(*map(self._stop, self._open))
        return self._ends

    async def _look(self) -> None:
        said: dict[str, Mapping[str, Any]] = {}
        for link in {link.index: link for link in self._homes.values()}.values():
            said |= await link.call("reasoners")
        for name in list(self._open):
            if name not in said and self._launched[name] <= MAX_RELAUNCHES:
                await self._launch(name)
                continue
            if name not in said:
                self._ends[name] = {"failure": f"its Director was lost {self._launched[name]} times"}
            elif said[name]["end"] is not None:
                self._ends[name] = dict(said[name]["end"])
            if name in self._ends:
                del self._open[name]

    async def _launch(self, name: str) -> None:
        self._launched[name] += 1
        # An exchange gives no address twice.
        self._open[name] = self._open[name].model_copy(update={"address": uuid.uuid4()})
        answer = await self._homes[name].call("spawn_reasoner", self._open[name].model_dump(mode="json"))
        if "refused" in answer:
            raise Refused([Problem(**problem) for problem in answer["refused"]])

    async def _stop(self, name: str) -> None:
        if not self._homes[name].lost.done():
            with contextlib.suppress(DirectorLost):
                await self._homes[name].call("stop_reasoner", name, timeout_s=STOP_S)
