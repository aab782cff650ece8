"""Feeding Directors with Requests, and giving each Outcome to whoever waits for it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Sequence

from director.call import DirectorLost
from director.link import DirectorLink, seen, window
from simulations.records import Outcome, Request


class Feeding:
    """Hands prepared Requests out to the Directors that have room for them.

    Attributes:
        links: The Directors.
    """

    def __init__(self) -> None:
        self.links: list[DirectorLink] = []
        self._waiting: dict[str, asyncio.Future[Outcome]] = {}

    def begin(self, links: Sequence[DirectorLink]) -> None:
        """Takes the links, whose Outcomes come to `receive`."""
        self.links = list(links)
        for link in self.links:
            link.lost.add_done_callback(functools.partial(self._on_lost, link))

    def receive(self, outcome: Outcome) -> None:
        """Gives an Outcome to whoever waits for it."""
        future = self._waiting.pop(outcome.id, None)
        if future is not None and not future.done():
            future.set_result(outcome)

    def useful(self) -> list[DirectorLink]:
        """The Directors that can run something; all, if none can, so that it is they who say why."""
        there = [link for link in self.links if not link.lost.done()]
        return [link for link in there if link.hopeless is None] or there or self.links

    async def run(self, request: Request) -> Outcome:
        """Runs a Request on the Director with the most room, and waits for its Outcome.

        Raises:
            Refused: If the Director refuses it.
            DirectorLost: If the Director is gone; the Request is in its ledger.
        """
        link = min(self.useful(), key=lambda link: len(link.outstanding) / link.workers)
        outcome = self._wait_for(request)
        try:
            await link.post(request)
            return await outcome
        finally:
            self._waiting.pop(request.id, None)

    async def map(self, requests: Sequence[Request]) -> AsyncGenerator[Outcome]:
        """Runs Requests on all Directors; yields Outcomes in the order in which they complete.

        Raises:
            Refused: If a Director refuses one.
            DirectorLost: If a Director is gone; what it had accepted is in its ledger.
        """
        done: asyncio.Queue[asyncio.Future[Outcome]] = asyncio.Queue()
        for request in requests:
            self._wait_for(request).add_done_callback(done.put_nowait)
        room = asyncio.Event()
        feeder = asyncio.create_task(self._feed(requests, room), name="feeder")
        try:
            for _ in requests:
                waiting = asyncio.create_task(done.get())
                await asyncio.wait((waiting, feeder), return_when=asyncio.FIRST_COMPLETED)
                if not waiting.done() and feeder.done():
                    feeder.result()  # raises what went wrong
                room.set()
                yield (await waiting).result()
        finally:
            feeder.cancel()
            for request in requests:
                self._waiting.pop(request.id, None)

    async def _feed(self, requests: Sequence[Request], room: asyncio.Event) -> None:
        """Hands Requests out, always to the Director that is furthest below its window."""
        alone = len(self.links) == 1
        acknowledged: list[asyncio.Future[None]] = []
        for request in requests:
            while True:
                room.clear()
                link = min(
                    self.useful(), key=lambda link: len(link.outstanding) / window(link.rate.per_s, link.workers)
                )
                if alone or len(link.outstanding) < window(link.rate.per_s, link.workers):
                    break
                await room.wait()
            acknowledged.append(link.post(request))
        await asyncio.gather(*acknowledged)

    def _wait_for(self, request: Request) -> asyncio.Future[Outcome]:
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        future.add_done_callback(seen)
        self._waiting[request.id] = future
        return future

    def _on_lost(self, link: DirectorLink, lost: asyncio.Future[str]) -> None:
        for name in list(link.outstanding):
            future = self._waiting.pop(name, None)
            if future is not None and not future.done():
                future.set_exception(DirectorLost(lost.result()))
