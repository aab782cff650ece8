"""Several reasoners at once, in one process, on one board."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from campaigns.evaluate import Evaluate
from campaigns.language import LanguageModel, LanguageModelError, Message, Reply, ToolFace
from campaigns.reasoner.board import Board, LocalBoard, Shared
from campaigns.reasoner.checkpoint import checkpoints, kept
from campaigns.reasoner.dispatch import Dispatch
from campaigns.reasoner.graph import Ask, build, go_on
from campaigns.reasoner.state import ReasonerState, first_state
from campaigns.reasoner.steps import Steps


@dataclass(frozen=True)
class Ended:
    """How a reasoner came to its end.

    Attributes:
        state: What it has got to.
        failure: Why it could not go on; empty if it came to its end.
    """

    state: ReasonerState
    failure: str = ""


def asking(model: LanguageModel, threads: ThreadPoolExecutor) -> Ask:
    """Asks a model in a thread, so that others go on in the meantime."""

    async def ask(messages: Sequence[Message], tools: Sequence[ToolFace]) -> Reply:
        return await asyncio.get_running_loop().run_in_executor(threads, model.reply, messages, tools)

    return ask


def names(count: int) -> list[str]:
    """Names of so many reasoners."""
    return [f"reasoner-{index}" for index in range(count)]


async def run_crew(
    steps: Steps[Any],
    seeds: Mapping[str, Mapping[str, Any]],
    model_of: Callable[[str], LanguageModel],
    evaluate: Evaluate,
    file: Path,
    *,
    told: Callable[[ReasonerState], None] | None = None,
    board: Board | None = None,
) -> list[Ended]:
    """Takes all reasoners to their ends, side by side, from the beginning or from where they were interrupted.

    Args:
        steps: What they do.
        seeds: For each reasoner, by its name, the candidate that it begins with, as the subject writes it.
        model_of: Makes the model of a reasoner, by its name.
        evaluate: Who runs simulations. It is closed by the caller.
        file: Where their steps are kept.
        told: Called after each step of each reasoner.
        board: What they share with reasoners elsewhere; None: with each other only.

    Returns:
        One for each reasoner, in the order of ``seeds``. One whose model does not answer keeps no other from going on.

    Raises:
        Exception: What the evaluation raises that can go on no longer. What was done before is kept.
    """
    on = _Telling(board or LocalBoard(Shared(steps.limits)), told)
    dispatch = Dispatch(evaluate)
    threads = ThreadPoolExecutor(max(1, len(seeds)), thread_name_prefix="model")
    try:
        async with checkpoints(file) as saver:
            graphs = {name: build(steps, asking(model_of(name), threads), on, dispatch.run, saver) for name in seeds}
            before = {name: await kept(saver, name) for name in seeds}
            begin = {name: first_state(name, seed) for name, seed in seeds.items()}
            for name in seeds:
                await on.tell(before[name] or begin[name])

            async def to_its_end(name: str) -> Ended:
                try:
                    return Ended(await go_on(graphs[name], name, before[name], begin[name], steps.limits.most_steps))
                except LanguageModelError as error:
                    return Ended(await kept(saver, name) or begin[name], f"its model did not answer: {error}")

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(to_its_end(name), name=name) for name in seeds]
            return [task.result() for task in tasks]
    except ExceptionGroup as several:
        raise several.exceptions[0] from several
    finally:
        await dispatch.close()
        threads.shutdown(wait=False, cancel_futures=True)


class _Telling:
    """A board whose users are followed: each step of each reasoner is told once."""

    def __init__(self, board: Board, told: Callable[[ReasonerState], None] | None) -> None:
        self.glance = board.glance
        self.claim = board.claim
        self._board = board
        self._told = told
        self._last: dict[str, ReasonerState] = {}

    async def tell(self, state: ReasonerState) -> None:
        before, self._last[state["reasoner"]] = self._last.get(state["reasoner"]), state
        if before == state:
            return
        await self._board.tell(state)
        if before is not None and self._told is not None:  # the first is where it begins
            self._told(state)
