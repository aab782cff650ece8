"""Running an analysis: opens what was kept, asks the model, launches Directors when there is something to simulate."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from campaigns.language import Message, Reply, ToolFace
from campaigns.llm import Key, LanguageAccess, Meter, OpenAIModel
from campaigns.reasoner.checkpoint import checkpoints
from director.analysis import writing
from director.analysis.facts import UnreadableStructure, structure_facts
from director.analysis.graph import Hands, build, go_on, kept
from director.analysis.proposals import check_fixed
from director.analysis.spec import AnalysisFolder, AnalysisSpec
from director.analysis.state import AnalysisState, fresh
from director.call import WoundDown
from director.campaigning.fleet_evaluate import FleetEvaluate
from director.door import Problem, Refused
from director.winding import WindingDown, reasons_of
from simulations.records import Outcome, Request
from simulations.tool import AnyTool, find_tools

if TYPE_CHECKING:
    from director.fleet import Fleet

MOST_BYTES = 64 * 1024 * 1024
"""Size of a structure file that is still read here, for its facts."""


class Interrupted(Exception):  # noqa: N818  (somebody asked for it)
    """The analysis was told to end, and goes on when it is resumed.

    Args:
        reason: What told it.
        number: The signal, if one did.
    """

    def __init__(self, reason: str, number: signal.Signals | None = None) -> None:
        super().__init__(reason)
        self.number = number


@dataclass(frozen=True)
class Analysis:
    """What is to be run.

    Attributes:
        folder: Where.
        spec: What is asked.
        key: The model's key.
        launch: Launches Directors, or those of the run again.
        say: Told what is to be said to people.
        told: Told of each state.
        reserve_s: What the user keeps in reserve to save what runs, in s; None: what is usual.
    """

    folder: AnalysisFolder
    spec: AnalysisSpec
    key: Key | None
    launch: Callable[[], AbstractAsyncContextManager[Fleet]]
    say: Callable[[str], None]
    told: Callable[[AnalysisState], None]
    reserve_s: float | None = None


def read_structure(path: Path) -> tuple[bytes, dict[str, Any]]:
    """Reads a structure file: its content, and what it says of itself.

    Raises:
        Refused: If there is no such file, or it is none.
    """
    hint = "Give a PDB or mmCIF file"
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Refused([Problem("--structure", f"{path} is larger than {MOST_BYTES // 2**20} MiB", hint)])
        content = path.read_bytes()
        return content, structure_facts(path.name, content.decode("utf-8", errors="replace"))
    except OSError as error:
        raise Refused([Problem("--structure", f"{path} cannot be read ({error.strerror})", hint)]) from None
    except UnreadableStructure as error:
        raise Refused([Problem("--structure", str(error), hint)]) from None


def tool_of(spec: AnalysisSpec) -> AnyTool:
    """The Tool of an analysis.

    Raises:
        Refused: If it is not installed, takes no structure, or does not take what is fixed.
    """
    tools = find_tools()
    if spec.tool not in tools:
        raise Refused([Problem("tool", f"{spec.tool!r} is not known", f"Installed: {', '.join(sorted(tools))}")])
    tool = tools[spec.tool]
    if "structure" not in tool.file_inputs:
        raise Refused([Problem("tool", f"{spec.tool} takes no structure", "Choose one that does, such as md")])
    check_fixed(spec, tool)
    return tool


async def analyse(what: Analysis) -> AnalysisState:
    """Takes an analysis to its end, and writes its report.

    Raises:
        Interrupted: If it was told to end; what was done is kept.
        LanguageModelError: If the model does not answer; what was done is kept.
        Refused: If the Directors cannot be launched.
        LaunchError: If a Director did not come up.
        DirectorLost: If one is gone in a way that was not orderly.
        OSError: If the run folder cannot be written.
    """
    tool = tool_of(what.spec)
    _, facts = read_structure(what.folder.inputs / what.spec.structure)
    meter = Meter()
    access = LanguageAccess(what.spec.language.base_url, what.spec.language.model, what.key)
    model = OpenAIModel(what.spec.language, what.key, agent="analyst", meter=meter, cancelled=access.cancelled)

    async def ask(messages: Sequence[Message], face: ToolFace) -> Reply:
        return await asyncio.to_thread(model.reply, messages, [face])

    with Told() as told:

        async def run(requests: Sequence[Request]) -> Sequence[Outcome]:
            try:
                return await _simulate(what, requests)
            finally:
                told.listen()

        try:
            async with checkpoints(what.folder.steps_file) as saver:
                before = await kept(saver)
                if before is not None:
                    meter.load(before["spent"])
                hands = Hands(ask, run, meter.all, what.told)
                graph = build(what.spec, tool, what.folder.inputs, hands, saver)
                state = await go_on(graph, before, fresh(facts), what.spec)
        except asyncio.CancelledError:
            if told.number is None:
                raise
            raise Interrupted(f"ended by {told.number.name}", told.number) from None
        finally:
            access.cancel()  # or the thread that waits for a reply would keep this process from ending
    await asyncio.to_thread(writing.write, what.folder, what.spec, state)
    return state


async def _simulate(what: Analysis, requests: Sequence[Request]) -> Sequence[Outcome]:
    """Runs Requests on Directors that are launched for it. What was run before is not run again."""
    outcomes: list[Outcome] = []
    with WindingDown(what.reserve_s, what.say) as winding:
        try:
            async with what.launch() as fleet:
                winding.of(fleet)
                evaluate = FleetEvaluate(fleet, what.folder.inputs)
                try:
                    await evaluate.learn()
                    await evaluate.submit(requests)
                    outcomes += [await evaluate.next() for _ in requests]
                except WoundDown as error:
                    reason = "; ".join(reasons_of(fleet.summaries, str(error)))
                    raise Interrupted(reason, winding.signal) from None
                finally:
                    await evaluate.close()
        except asyncio.CancelledError:
            if winding.signal is None:
                raise
            raise Interrupted(f"ended at once ({winding.signal.name})", winding.signal) from None
    return outcomes


class Told:
    """While this is entered, signals that ask this process to end cancel the task that has entered it.

    Attributes:
        number: The signal that came, if one did.
    """

    def __init__(self) -> None:
        self.number: signal.Signals | None = None
        self._main: asyncio.Task[Any] | None = None

    def __enter__(self) -> Self:
        self._main = asyncio.current_task()
        self.listen()
        return self

    def listen(self) -> None:
        """Listens, also after others have in between."""
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._end, number)

    def _end(self, number: signal.Signals) -> None:
        if self.number is None and self._main is not None:
            self.number = number
            self._main.cancel()

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().remove_signal_handler(number)
