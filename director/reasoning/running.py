"""Reasoners and their Directors, from the launching to the report."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from campaigns.llm import Key, Meter, OpenAIModel
from campaigns.reasoner.checkpoint import checkpoints, kept
from campaigns.reasoner.crew import Ended, run_crew
from campaigns.reasoner.state import ReasonerState, first_state
from campaigns.reasoner.steps import Steps
from campaigns.reasoner.subject import ToolSubject
from director.call import DirectorLost
from director.campaigning.fleet_evaluate import FleetEvaluate
from director.door import Problem, Refused
from director.reasoning.agent_spec import AGENTS_FOLDER
from director.reasoning.elsewhere import Keeping
from director.reasoning.report import write_report
from director.reasoning.spec import SPEC_FILE, STEPS_FILE, ReasoningSpec
from director.winding import WindingDown
from simulations.disk import lock_file
from simulations.tool import find_tools

if TYPE_CHECKING:
    import signal

    from director.fleet import Fleet

LOCK_FILE = "reasoning.lock"
Seeds = Mapping[str, Mapping[str, Any]]


@dataclass
class Reasoned:
    """How reasoners came to their end.

    Attributes:
        folder: The run folder.
        ended: Each of them, in order.
        summary: What came of it; see `campaigns.reasoner.summary.summary`.
        stopped: Why they were stopped before their end; empty if they were not.
        signal: What told them to.
    """

    folder: Path
    ended: list[Ended] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    stopped: str = ""
    signal: signal.Signals | None = None

    @property
    def complete(self) -> bool:
        """Whether all came to their end, and all that was evaluated is ``ok``."""
        return not self.stopped and all(
            not one.failure and one.state["next"] == "end" and all(e["status"] == "ok" for e in one.state["entries"])
            for one in self.ended
        )


async def reason(
    folder: Path,
    spec: ReasoningSpec,
    key: Key | None,
    launch: Callable[[], AbstractAsyncContextManager[Fleet]],
    *,
    reserve_s: float | None = None,
    say: Callable[[str], None] = lambda text: None,
    told: Callable[[ReasonerState], None] = lambda state: None,
) -> Reasoned:
    """Has reasoners reason until they end, from the beginning or from where they were interrupted.

    Args:
        folder: The run folder, which holds their spec.
        spec: What they do.
        key: Key of their model's endpoint.
        launch: Launches the run's Directors, or those of a run that goes on; or, if the spec names another run,
            connects to that one's, which then go on.
        reserve_s: What is kept in reserve to save what runs, in s; None: what is usual.
        say: Told what happens.
        told: Told of each step of each reasoner.

    Raises:
        Refused: If another process has these reasoners, or the run cannot be launched.
        LaunchError: If a Director did not come up.
        DirectorLost: If one is gone in a way that was not orderly.
    """
    steps, seeds = prepared(folder, spec)
    with _alone(folder):
        ended = await kept_by(folder, seeds)
        if all(one.state["next"] == "end" for one in ended):
            done = Reasoned(folder, ended)
        else:
            done = await _on_directors(folder, spec, key, launch, steps, seeds, reserve_s=reserve_s, say=say, told=told)
        done.summary = await asyncio.to_thread(write_report, folder, done.ended, _subject(steps))
    return done


def prepared(folder: Path, spec: ReasoningSpec) -> tuple[Steps[Any], Seeds]:
    """What reasoners do, and what each begins with.

    Raises:
        Refused: If the spec cannot be followed here.
    """
    subject = spec.subject(find_tools())
    return Steps(subject, spec.limits.limits(), folder), spec.seeds_of(subject)


async def kept_by(folder: Path, seeds: Seeds) -> list[Ended]:
    """What reasoners have got to, as far as it was kept: in one file, or in one for each that is an agent."""
    return [
        Ended(
            await _kept(folder / STEPS_FILE, name)
            or await _kept(folder / AGENTS_FOLDER / f"{name}.sqlite", name)
            or first_state(name, seed)
        )
        for name, seed in seeds.items()
    ]


async def _kept(file: Path, name: str) -> ReasonerState | None:
    if not await asyncio.to_thread(file.exists):
        return None
    async with checkpoints(file) as saver:
        return await kept(saver, name)


async def _on_directors(
    folder: Path,
    spec: ReasoningSpec,
    key: Key | None,
    launch: Callable[[], AbstractAsyncContextManager[Fleet]],
    steps: Steps[Any],
    seeds: Seeds,
    *,
    reserve_s: float | None,
    say: Callable[[str], None],
    told: Callable[[ReasonerState], None],
) -> Reasoned:

    done = Reasoned(folder)
    with WindingDown(reserve_s, say) as winding:
        try:
            async with launch() as fleet:
                if not spec.run:
                    winding.of(fleet)
                working = asyncio.create_task(_crew(fleet, folder, spec, key, steps, seeds, told), name="reasoners")
                while not working.done() and (there := [one.lost for one in fleet.links if not one.lost.done()]):
                    ends: set[asyncio.Future[Any]] = {working, *there}
                    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                if not working.done():
                    working.cancel()
                    await asyncio.wait({working})
                done.ended, done.stopped = _result(working, fleet.links)
        except asyncio.CancelledError:
            if winding.signal is None:
                raise
            done.stopped = winding.signal.name
        done.signal = winding.signal
    if done.stopped and done.signal is None and "signal" not in done.stopped:
        say(f"stopped: {done.stopped}")
    if not done.ended:
        done.ended = await kept_by(folder, seeds)
    return done


async def _crew(
    fleet: Fleet,
    folder: Path,
    spec: ReasoningSpec,
    key: Key | None,
    steps: Steps[Any],
    seeds: Seeds,
    told: Callable[[ReasonerState], None],
) -> list[Ended]:
    """Has all reasoners reason to their ends, here or in processes of their own."""
    if spec.agents != "here":
        from director.reasoning.federation import federate

        return await federate(fleet, spec, seeds, spec.agents, told=told)
    meter, cancelled = Meter(), threading.Event()

    def model_of(name: str) -> OpenAIModel:
        return OpenAIModel(spec.language, key, agent=name, meter=meter, cancelled=cancelled)

    directors = FleetEvaluate(fleet, folder)
    evaluate = Keeping(directors, folder) if spec.run else directors
    try:
        if fleet.left is not None or spec.run:
            await directors.learn()
        return await run_crew(steps, seeds, model_of, evaluate, folder / STEPS_FILE, told=told)
    finally:
        cancelled.set()
        await evaluate.close()


def _result(working: asyncio.Task[list[Ended]], links: Sequence[Any]) -> tuple[list[Ended], str]:
    """What the reasoners came to, and why they were stopped, if they were.

    Raises:
        DirectorLost: If a Director is gone in a way that was not orderly.
    """
    from director.call import WoundDown

    if working.cancelled():
        error = links[0].error()
        if isinstance(error, WoundDown):
            return [], str(error)
        raise error
    error = working.exception()
    if isinstance(error, WoundDown):
        return [], str(error)
    if error is not None:
        raise error
    return working.result(), ""


def _subject(steps: Steps[Any]) -> ToolSubject:
    assert isinstance(steps.subject, ToolSubject)  # noqa: S101  (`prepared` makes it)
    return steps.subject


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Sees to it that no other process has the same reasoners at work."""
    try:
        descriptor = lock_file(folder / LOCK_FILE)
    except BlockingIOError:
        message = f"the reasoners of {folder} are at work in another process"
        raise Refused([Problem("run-dir", message, "Wait for it, or end it")]) from None
    try:
        yield
    finally:
        os.close(descriptor)


__all__ = ["SPEC_FILE", "DirectorLost", "Reasoned", "kept_by", "prepared", "reason"]
