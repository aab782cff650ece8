"""What a client has launched, and therefore ends; and launches again, if it ends by itself."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from director.exchange import LoopbackExchange
from director.launch import Launched, Site
from director.link import DirectorLink
from director.relaunching import launch_again, orderly

logger = logging.getLogger(__name__)

CLOSE_HERE_S = 12.0
CLOSE_ELSEWHERE_S = 15.0

Relaunch = Callable[[DirectorLink], Awaitable[Launched]]
"""Launches a Director again, lets its link know its new address, and returns it."""


class Owned:
    """Directors, their Site, and the exchange if it is this client's too.

    Args:
        directors: The Directors, in the order of their indices.
        site: Where they run.
        exchange: The exchange; None: it is not this client's.
        relaunch: Launches one again that was killed; None: nothing does.
        relaunches: How often that is done for each Director, at most.
        catch_up: Reads what a Director has left unsaid at its end; None: nothing does.

    Attributes:
        directors: The Directors.
        exchange: See above.
    """

    def __init__(
        self,
        directors: Sequence[Launched],
        site: Site,
        exchange: LoopbackExchange | None,
        *,
        relaunch: Relaunch | None = None,
        relaunches: int = 0,
        catch_up: Callable[[DirectorLink], Awaitable[None]] | None = None,
    ) -> None:
        self.exchange = exchange
        self.directors = list(directors)
        self._site = site
        self._relaunch = relaunch
        self._limit = relaunches
        self._catch_up = catch_up
        self._relaunched = [0] * len(self.directors)
        self._up = False
        self._ending = False
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, links: Sequence[DirectorLink]) -> None:
        """Lets each Director's link know when it has ended, and why."""
        for link, director in zip(links, self.directors, strict=True):
            link.owned = True
            self._follow(link, director)

    def are_up(self) -> None:
        """Notes that all have answered: from now on, one that is killed is launched again."""
        self._up = True

    def wind_down(self) -> None:
        """Notes that they are to end: from now on, none is launched again."""
        self._up = False

    async def ask_to_end(self, links: Sequence[DirectorLink]) -> None:
        """Asks Directors to end that would not notice that their client is gone."""
        self._ending = True
        if self._site.elsewhere:
            calls = (link.call("close", timeout_s=CLOSE_ELSEWHERE_S) for link in links if not link.lost.done())
            await asyncio.gather(*calls, return_exceptions=True)

    async def end(self) -> None:
        """Ends the Directors, and gives the Site back."""
        self._ending = True
        if self._tasks:  # one is just being launched again
            await asyncio.wait(self._tasks, timeout=CLOSE_HERE_S)
        for director in self.directors:
            director.let_go()
        ends = [asyncio.wrap_future(director.ended) for director in self.directors]
        timeout_s = CLOSE_ELSEWHERE_S if self._site.elsewhere else CLOSE_HERE_S
        _, late = await asyncio.wait(ends, timeout=timeout_s)
        for director in self.directors if late else []:
            director.kill()
        if not self._site.elsewhere:  # a service may never say that a task has ended
            await asyncio.gather(*ends)
        await asyncio.to_thread(self._site.close)

    def _follow(self, link: DirectorLink, director: Launched) -> None:
        loop = asyncio.get_running_loop()

        def ended(done: Future[dict[str, Any]]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(functools.partial(self._begin_after, link, done.result()))

        director.ended.add_done_callback(ended)

    def _begin_after(self, link: DirectorLink, summary: Mapping[str, Any]) -> None:
        task = asyncio.get_running_loop().create_task(self._after(link, summary), name=f"ended-{link.index}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _after(self, link: DirectorLink, summary: Mapping[str, Any]) -> None:
        reason = summary.get("error") or f"Director {link.index} ended: {summary.get('reason')}"
        trouble = ""
        if self._may_relaunch(link, summary):
            try:
                await self._launch_again(link, f"it ended with {summary.get('how')}")
            except Exception as error:  # whatever it is, whoever waits must be told
                trouble = f". It could not be launched again: {error}"
            else:
                return
        if self._catch_up is not None and not self._ending:
            try:
                await self._catch_up(link)
            except Exception as error:  # likewise
                trouble += f". Its last Outcomes could not be read from its ledger: {error}"
        link.mark_lost(reason + trouble, summary=summary if orderly(summary) else None)

    def _may_relaunch(self, link: DirectorLink, summary: Mapping[str, Any]) -> bool:
        wanted = self._relaunch is not None and self._up and not self._ending and not link.lost.done()
        return wanted and launch_again(summary, self._relaunched[link.index], self._limit)

    async def _launch_again(self, link: DirectorLink, reason: str) -> None:
        assert self._relaunch is not None  # noqa: S101  (see `_may_relaunch`)
        logger.warning("Director %d is launched again: %s; see its log in the run folder", link.index, reason)
        self._relaunched[link.index] += 1
        director = await self._relaunch(link)
        self.directors[link.index] = director
        if self._ending:
            director.let_go()
        self._follow(link, director)
