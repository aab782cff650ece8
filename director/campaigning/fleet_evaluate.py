"""`campaigns.Evaluate` by Directors."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from campaigns.sharing import refused
from director.call import DirectorLost
from director.door import Refused
from director.following import outcomes_so_far
from director.link import DirectorLink
from simulations.records import Outcome, Request

if TYPE_CHECKING:
    from director.fleet import Fleet
    from director.staging import Ready


class FleetEvaluate:
    """Runs the Requests of a campaign on the Directors of a run.

    What Directors have had before, they know by its id: its Outcome is taken from their ledgers, or waited for. So a
    campaign that goes on hands everything over again that it has no Outcome of, and nothing is run twice.

    Args:
        fleet: The Directors; closed by whoever opened it.
        base: Folder that paths in inputs start from, and that all files lie in.
    """

    def __init__(self, fleet: Fleet, base: Path) -> None:
        self._fleet = fleet
        self._base = base
        self._queue: asyncio.Queue[Outcome | BaseException] = asyncio.Queue()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._owners: dict[str, int] = {}
        self._finished: dict[str, Outcome] = {}

    async def learn(self) -> None:
        """Asks the Directors what they have already.

        Raises:
            DirectorLost: If one does not answer.
        """
        await asyncio.gather(*(self._learn(link) for link in self._fleet.links))

    async def _learn(self, link: DirectorLink) -> None:
        # What ends between the two questions is in both answers.
        self._owners |= dict.fromkeys(await link.call("open_ids"), link.index)
        async for outcome in outcomes_so_far([link.call]):
            self._finished[outcome.id] = outcome

    async def submit(self, requests: Sequence[Request]) -> None:
        """Hands Requests over. The campaign's record has them, so they survive the end of this process.

        Raises:
            Refused: If a Request is not acceptable.
        """
        fresh = [request for request in requests if request.id not in self._running]
        unknown = [request for request in fresh if request.id not in self._finished]
        ready = await asyncio.to_thread(self._prepared, unknown)
        for request in fresh:
            outcome = self._finished.pop(request.id, None)
            if outcome is not None:
                self._queue.put_nowait(outcome)
        for item in ready:
            name = item.request.id
            self._running[name] = asyncio.create_task(self._run(item), name=name)

    def _prepared(self, requests: Sequence[Request]) -> list[Ready]:
        return [self._fleet.prepared(request, base=self._base) for request in requests]

    async def _run(self, ready: Ready) -> None:
        name = ready.request.id
        try:
            self._queue.put_nowait(await self._fleet.call(ready, director=self._owners.get(name)))
        except Refused as refusal:  # by a Director, such as one whose workers own too few cores
            self._queue.put_nowait(refused(ready.request, str(refusal)))
        except (DirectorLost, OSError, RuntimeError) as error:
            self._queue.put_nowait(error)
        finally:
            self._running.pop(name, None)

    async def next(self) -> Outcome:
        """See `campaigns.evaluate.Evaluate.next`.

        Raises:
            WoundDown: If the Directors have ended in an orderly way.
            DirectorLost: If one is gone otherwise; what it had is in its ledger.
        """
        item = await self._queue.get()
        if isinstance(item, BaseException):
            raise item
        return item

    async def close(self) -> None:
        """Waits for nothing any more. What the Directors have goes on as long as they do."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
