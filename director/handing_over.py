"""What a client gives Directors to do, and what comes back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from director.carrier import Carrier
from director.feeding import Feeding
from director.following import outcomes_so_far
from director.left import Left, entries_after
from director.link import DirectorLink
from director.owned import Owned
from director.requestbook import RequestBook
from director.runfolder import RunFolder
from director.staging import Ready, prepare
from director.steering import Steering
from simulations.records import Outcome, Request
from simulations.tool import AnyTool

# An Outcome that is not there by then may be one that came to this client before it asked for it.
ENDED_BEFORE_S = 1.0


class HandingOver(Steering):
    """Hands Requests over to a run's Directors.

    Attributes:
        folder: The run folder, if it is on this machine's file systems.
        tools: The installed Tools.
        left: What was left of the run when it was resumed; None: it was not.
    """

    folder: RunFolder | None
    tools: Mapping[str, AnyTool]
    left: Left | None
    _feeding: Feeding
    _staging: RunFolder | None
    _carrier: Carrier | None
    _owned: Owned | None

    async def run(self, tool: str, **inputs: Any) -> Outcome:
        """Runs a Tool once, on the Director with the most room, and waits for its Outcome.

        Args:
            tool: Name of the Tool.
            inputs: Its inputs; paths are taken from the current folder.

        Raises:
            Refused: If the Tool or an input is not acceptable; nothing was started then.
            DirectorLost: If the Director is gone; the Request is in its ledger.
        """
        return await self.call(self.prepared(Request(tool=tool, inputs=inputs)))

    async def call(self, ready: Ready, *, director: int | None = None) -> Outcome:
        """Runs a prepared Request, and waits for its Outcome.

        Args:
            ready: The Request.
            director: Index of the Director that is to run it; None: the one with the most room. One that has had the
                Request before, from whichever client, does not run it again.

        Raises:
            Refused: If the Director does not accept it.
            DirectorLost: If the Director is gone; the Request is in its ledger.
        """
        await self._carry([ready.request])
        running = asyncio.create_task(self._feeding.run(ready, director))
        try:
            if director is not None:
                done, _ = await asyncio.wait({running}, timeout=ENDED_BEFORE_S)
                found = None if done else await self._ended_before(ready.request.id, self.links[director])
                if found is not None:
                    return found
            return await running
        finally:
            if not running.done():
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    async def _ended_before(self, name: str, link: DirectorLink) -> Outcome | None:
        """The Outcome of a Request that had ended before this client asked for it; None if it is open."""
        if name in await link.call("open_ids"):
            return None
        stream = outcomes_so_far([link.call])
        async with contextlib.aclosing(stream):
            async for outcome in stream:
                if outcome.id == name:
                    return outcome
        return None

    def prepared(self, request: Request, *, base: Path | None = None) -> Ready:
        """Checks one Request and copies its files into the run folder; see `map`.

        Raises:
            Refused: If it is not acceptable.
        """
        return self._ready([request], base)[0]

    async def submit(self, ready: Sequence[Ready], *, director: int | None = None) -> list[str]:
        """Hands prepared Requests over, and returns when they are on disk: what runs is not waited for.

        Args:
            ready: The Requests; see `prepare_all`.
            director: Index of the Director that is to run them; None: for each the one with the most room. One that has
                had a Request before, from whichever client, does not run it again.

        Returns:
            Their ids, in order. Their Outcomes are among `outcomes`.

        Raises:
            Refused: If a Director refuses one.
            DirectorLost: If a Director is gone; what it had accepted is in its ledger.
        """
        requests = [item.request for item in ready]
        await self._write_down(requests)
        await self._carry(requests)
        await self._feeding.hand(ready, director)
        return [request.id for request in requests]

    def prepare_all(self, requests: Sequence[Request], *, base: Path | None = None) -> list[Ready]:
        """Checks Requests and copies their files into the run folder, for `submit`; see `map`.

        Raises:
            Refused: If any Request is not acceptable.
        """
        return self._ready(requests, base)

    async def map(self, requests: Sequence[Request], *, base: Path | None = None) -> AsyncIterator[Outcome]:
        """Runs many Requests on all Directors; yields Outcomes in the order in which they complete.

        A Director gets as many as it needs to keep its workers busy, so a fast one takes more. All Requests are written
        down in the run folder first, if this client has launched the Directors: `resume` hands over what it did not.

        Args:
            requests: The Requests.
            base: Folder that relative paths start from, and that all files must lie in; None: the current folder,
                and files may lie anywhere.

        Raises:
            Refused: If any Request is not acceptable; nothing was started then.
            WoundDown: If Directors have ended in an orderly way before all was done, after all other Outcomes.
            DirectorLost: If a Director is gone, after all other Outcomes; what it had accepted is in its ledger.
        """
        ready = self._ready(requests, base)
        await self._write_down([item.request for item in ready])
        await self._carry([item.request for item in ready])
        stream = self._feeding.map(ready)
        async with contextlib.aclosing(stream):
            async for outcome in stream:
                yield outcome

    async def remaining(self) -> AsyncIterator[Outcome]:
        """Finishes what was open when the run was resumed; yields Outcomes in the order in which they complete.

        Raises:
            Refused: If a Request is not acceptable here, such as one of a Tool that is not installed.
            WoundDown: See `map`.
            DirectorLost: See `map`.
            RuntimeError: If this run was not resumed.
        """
        if self.left is None:
            raise RuntimeError("there is nothing that remains of a run that is new; use Fleet.resume")
        stream = self._feeding.map(self._ready(self.left.unknown, None), self.left.open)
        async with contextlib.aclosing(stream):
            async for outcome in stream:
                yield outcome

    @property
    def summaries(self) -> list[Mapping[str, Any]]:
        """What the Directors have said that have ended in an orderly way."""
        return [link.summary for link in self.links if link.summary is not None]

    def prepare(self, requests: Sequence[Request], *, base: Path | None = None) -> list[Request]:
        """Checks Requests and copies their files into the run folder; see `map`.

        Raises:
            Refused: If any Request is not acceptable.
        """
        return [item.request for item in self._ready(requests, base)]

    def _ready(self, requests: Sequence[Request], base: Path | None) -> list[Ready]:
        stage = self._staging.stage if self._staging else None
        return prepare(requests, self.tools, base=base or Path.cwd(), confined=base is not None, stage=stage)

    async def _write_down(self, requests: Sequence[Request]) -> None:
        if self._owned is not None and self.folder is not None and not self.record.memory_ledger:
            await asyncio.to_thread(RequestBook(self.folder.requests_file).add, requests)

    async def hand_over(self, requests: Sequence[tuple[int, Request]]) -> None:
        """Gives Requests to Directors, and returns when they are on disk there. Giving one twice runs it once.

        Args:
            requests: Prepared Requests, each with the index of its Director.

        Raises:
            Refused: If a Director refuses one.
            DirectorLost: If a Director is gone; what it had accepted is in its ledger.
        """
        await self._carry([request for _, request in requests])
        await asyncio.gather(*(self.links[index].post(request) for index, request in requests))

    async def catch_up(self, link: DirectorLink) -> None:
        """Takes the Outcomes that a Director has journaled, and could not hand out before it ended.

        Raises:
            LedgerError: If its ledger cannot be read.
        """
        if self.folder is not None:
            entries = await asyncio.to_thread(entries_after, self.folder.ledger(link.index), link.cursor)
            link.take((entry.seq, Outcome.model_validate_json(entry.body)) for entry in entries)

    def useful(self) -> list[DirectorLink]:
        """See `Steering.useful`."""
        return self._feeding.useful()

    async def _carry(self, requests: Sequence[Request]) -> None:
        if self._carrier is not None:
            await self._carrier.carry(requests)
