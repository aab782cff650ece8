"""A campaign, from its launching to its end: signals end it in order, and `resume` goes on."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from campaigns.campaign_file import CampaignFile
from campaigns.episode import Progress
from campaigns.evaluate import Evaluate
from campaigns.folder import CampaignFolder
from campaigns.llm.access import LanguageAccess
from campaigns.local import LocalEvaluate
from campaigns.runner import Result, Runner
from director.call import WoundDown
from director.campaigning.fleet_evaluate import FleetEvaluate
from director.service_partition.agents import served
from director.winding import WindingDown, reasons_of

if TYPE_CHECKING:
    from director.fleet import Fleet

Say = Callable[[str], None]


@dataclass(frozen=True)
class CampaignEnd:
    """How the process that ran a campaign came to its end.

    Attributes:
        result: What came of it; None: it was ended before.
        reason: Why it was ended; empty: it was not.
        signal: The signal that ended it, if one did.
    """

    result: Result | None
    reason: str = ""
    signal: signal.Signals | None = None


@dataclass(frozen=True)
class Campaigning:
    """What is to be run, and who is told.

    Attributes:
        campaign: The campaign.
        place: Its folder, which the caller holds.
        tell: Told how far each episode is.
        say: Told what is to be said to people.
        reserve_s: What the user keeps in reserve to save what runs, in s; None: what is usual.
        language: Where language models are; None: nowhere.
        base: Folder of the campaign file, where relative paths start.
    """

    campaign: CampaignFile
    place: CampaignFolder
    tell: Callable[[Progress], None]
    say: Say
    reserve_s: float | None = None
    language: LanguageAccess | None = None
    base: Path | None = None

    def runner(self, evaluate: Evaluate) -> Runner:
        """What runs it."""
        return Runner(self.campaign, self.place.path, evaluate, self.tell, self.language, self.base)

    async def owning(self, launching: contextlib.AbstractAsyncContextManager[Fleet]) -> CampaignEnd:
        """Runs it on Directors that are launched for it, and end with it.

        Raises:
            LaunchError: If a Director did not come up.
            DirectorLost: If one is gone in a way that was not orderly.
            Refused: If they cannot be launched.
        """
        result: Result | None = None
        reason = ""
        with WindingDown(self.reserve_s, self.say) as winding:
            try:
                async with launching as fleet:
                    winding.of(fleet)
                    try:
                        result = await self._on(fleet)
                    except WoundDown as error:
                        reason = "; ".join(reasons_of(fleet.summaries, str(error)))
                    if fleet.lost_service is not None:
                        raise RuntimeError(fleet.lost_service)
            except asyncio.CancelledError:
                if winding.signal is None:
                    raise
                reason = f"ended at once ({winding.signal.name})"
        return CampaignEnd(result, reason, winding.signal)

    async def attached(self, connect: Callable[[], Awaitable[Fleet]]) -> CampaignEnd:
        """Runs it on Directors that others have launched. They go on when it ends.

        Raises:
            DirectorLost: If they are gone.
            Refused: If the run is not open.
        """

        @contextlib.asynccontextmanager
        async def opened() -> AsyncIterator[FleetEvaluate]:
            fleet = await connect()
            async with fleet:
                evaluate = FleetEvaluate(fleet, self.place.inputs)
                await evaluate.learn()
                yield evaluate

        return await self._until_told(opened)

    async def local(self, workers: int | None) -> CampaignEnd:
        """Runs it in processes of this machine, without Directors."""

        @contextlib.asynccontextmanager
        async def opened() -> AsyncIterator[LocalEvaluate]:
            yield LocalEvaluate(self.place.local, self.place.inputs, workers)

        return await self._until_told(opened)

    async def _on(self, fleet: Fleet) -> Result:
        evaluate = FleetEvaluate(fleet, self.place.inputs)
        try:
            await evaluate.learn()
            mine = replace(self, language=await asyncio.to_thread(served, self.language, fleet.services))
            return await mine.runner(evaluate).run()
        finally:
            await evaluate.close()

    async def _until_told(self, opened: Callable[[], Any]) -> CampaignEnd:
        with Told() as told:
            try:
                async with opened() as evaluate:
                    try:
                        result = await self.runner(evaluate).run()
                    finally:
                        await evaluate.close()
            except WoundDown as error:
                return CampaignEnd(None, str(error), told.signal)
            except asyncio.CancelledError:
                if told.signal is None:
                    raise
                return CampaignEnd(None, f"ended ({told.signal.name})", told.signal)
        return CampaignEnd(result)


class Told:
    """While this is entered, signals that ask this process to end cancel the task that has entered it."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __enter__(self) -> Told:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  (this is entered in one)

        def end(number: signal.Signals) -> None:
            if self.signal is None:
                self.signal = number
                task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            asyncio.get_running_loop().add_signal_handler(number, end, number)
        return self

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            asyncio.get_running_loop().remove_signal_handler(number)


def base_of(source: str, fallback: Path) -> Path:
    """The folder of a campaign file; where it is not known any more, another one."""
    path = Path(source)
    return path.resolve().parent if source else fallback
