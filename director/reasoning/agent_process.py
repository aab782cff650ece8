"""The process of one reasoner: ``python -m director.reasoning.agent_process``, with its spec on standard input.

It is an Academy agent on the run's exchange. Standard input stays open as a lifeline: when it closes, the reasoner
ends; what it has done is kept. The last line of standard output is a JSON summary.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from academy.agent import Agent, action
from academy.identifier import AgentId
from academy.runtime import Runtime, RuntimeConfig
from academy.serialize import SerializationStrategy

from campaigns.llm import LanguageAccess, Meter, OpenAIModel, access_from
from campaigns.reasoner.crew import Ended, run_crew
from campaigns.reasoner.state import ReasonerState, first_state
from director.call import Caller
from director.campaigning.fleet_evaluate import FleetEvaluate
from director.ending import watch_lifeline
from director.exchange import connect, factory_of, register, registration_of
from director.fleet import Fleet
from director.reasoning.agent_spec import AGENTS_FOLDER, AgentSpec
from director.reasoning.board_agent import FarBoard
from director.reasoning.running import prepared
from director.runfolder import RunFolder
from simulations.disk import lock_file

ALONE_S = 60.0
ALONE_LOOK_S = 0.2


class ReasonerAgent(Agent):
    """A reasoner, as other agents see it. Actions return JSON values only.

    Args:
        state: Where it begins.
        launched_by: Who launched it.
    """

    def __init__(self, state: ReasonerState, launched_by: str) -> None:
        super().__init__()
        self.state = state
        self._launched_by = launched_by
        self.stopped = asyncio.Event()

    @action
    async def about(self) -> dict[str, Any]:
        """How far it is.

        Returns:
            ``reasoner``, ``launched_by``, ``pid``, ``round``, ``next``, ``simulated`` (how many Outcomes it has),
            ``counts`` and ``ended``.
        """
        state = self.state
        return {
            "reasoner": state["reasoner"],
            "launched_by": self._launched_by,
            "pid": os.getpid(),
            "round": state["round"],
            "next": state["next"],
            "simulated": len(state["entries"]),
            "counts": state["counts"],
            "ended": state["ended"],
        }

    @action
    async def stop(self) -> None:
        """Ends it; what it has done is kept."""
        self.stopped.set()


async def work(spec: AgentSpec, access: LanguageAccess, gone: asyncio.Event) -> Ended | None:
    """Reasons until the end; None: it was stopped before.

    Args:
        spec: What is done.
        access: What this process's environment says of the language model.
        gone: Set when whoever launched this is gone.

    Raises:
        Exception: Whatever keeps it from going on.
    """
    mine, folder = spec.work, RunFolder(Path(spec.run_folder))
    settings = access.settings(mine.spec.language.model_dump())  # a key goes to no other endpoint than its own
    steps, _ = prepared(folder.path, mine.spec)
    place = folder.path / AGENTS_FOLDER
    place.mkdir(exist_ok=True, mode=0o700)
    await _alone(place / f"{mine.name}.lock")
    agent = ReasonerAgent(first_state(mine.name, mine.seed), spec.launched_by)
    cancelled = threading.Event()

    def told(state: ReasonerState) -> None:
        agent.state = state

    client = await connect(spec.exchange, name=mine.name)
    async with Fleet(folder.read(), client, folder=folder) as fleet:
        address: AgentId[Any] = AgentId(uid=mine.address)
        await register(client, ReasonerAgent, address)
        board = FarBoard(Caller(0, AgentId(uid=mine.board), client))
        evaluate = FleetEvaluate(fleet, folder.path)
        async with Runtime(
            agent,
            exchange_factory=factory_of(spec.exchange),
            registration=registration_of(spec.exchange, address, ReasonerAgent),
            config=RuntimeConfig(
                default_serializer=SerializationStrategy.JSON, allowed_deserializers={SerializationStrategy.JSON}
            ),
        ):
            await evaluate.learn()
            working = asyncio.create_task(
                run_crew(
                    steps,
                    {mine.name: mine.seed},
                    lambda name: OpenAIModel(settings, access.key, agent=name, meter=Meter(), cancelled=cancelled),
                    evaluate,
                    place / f"{mine.name}.sqlite",
                    told=told,
                    board=board,
                )
            )
            stops = [asyncio.create_task(event.wait()) for event in (agent.stopped, gone)]
            await asyncio.wait({working, *stops}, return_when=asyncio.FIRST_COMPLETED)
            cancelled.set()
            for task in (*stops, *([] if working.done() else [working])):
                task.cancel()
            await asyncio.wait({working, *stops})
            await evaluate.close()
            return None if working.cancelled() else working.result()[0]


async def _alone(file: Path) -> None:
    """Waits until no other process has the same reasoner; one that was told to end may take a moment.

    Raises:
        RuntimeError: If another one has it.
    """
    give_up = time.monotonic() + ALONE_S
    while True:
        try:
            lock_file(file)  # held until this process ends
            return
        except BlockingIOError:
            if time.monotonic() > give_up:
                raise RuntimeError(f"{file.stem} is at work in another process") from None
            await asyncio.sleep(ALONE_LOOK_S)


def main() -> None:
    """Reads the spec, reasons, writes the summary."""
    spec = AgentSpec.model_validate_json(sys.stdin.buffer.readline())
    answer = os.dup(1)
    os.dup2(2, 1)  # only the summary goes to standard output, whatever the libraries print
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    os.umask(0o077)

    async def whole() -> Ended | None:
        loop, gone = asyncio.get_running_loop(), asyncio.Event()

        def lost(reason: str) -> None:
            loop.call_soon_threadsafe(gone.set)

        watch_lifeline(lost)
        return await work(spec, access_from(os.environ), gone)

    summary: dict[str, Any] = {"reasoner": spec.work.name, "pid": os.getpid(), "launched_by": spec.launched_by}
    try:
        ended = asyncio.run(whole())
        summary |= {"stopped": True} if ended is None else {"failure": ended.failure, "ended": ended.state["ended"]}
    except Exception as error:
        logging.getLogger(__name__).exception("%s ended with an error", spec.work.name)
        summary |= {"failure": f"{type(error).__name__}: {error}"}
    with contextlib.suppress(BrokenPipeError):  # whoever launched it is gone
        os.write(answer, json.dumps(summary).encode() + b"\n")
    os._exit(1 if summary.get("failure") else 0)  # a thread may still wait for a model


if __name__ == "__main__":
    main()
