"""What a client has launched, and therefore ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from director.exchange import LoopbackExchange
from director.launch import Launched, Site
from director.link import DirectorLink

CLOSE_HERE_S = 4.0
CLOSE_ELSEWHERE_S = 10.0


class Owned:
    """Directors, their Site, and the exchange if it is this client's too.

    Args:
        directors: The Directors, in the order of their indices.
        site: Where they run.
        exchange: The exchange; None: it is not this client's.

    Attributes:
        directors: The Directors.
        exchange: See above.
    """

    def __init__(self, directors: Sequence[Launched], site: Site, exchange: LoopbackExchange | None) -> None:
        self.exchange = exchange
        self.directors = list(directors)
        self._site = site

    def tell(self, links: Sequence[DirectorLink]) -> None:
        """Lets each Director's link know when it has ended, and why."""
        loop = asyncio.get_running_loop()
        for link, director in zip(links, self.directors, strict=True):
            link.owned = True

            def ended(done: Any, link: DirectorLink = link) -> None:
                summary = done.result()
                reason = summary.get("error") or f"Director {link.index} ended: {summary.get('reason')}"
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                    loop.call_soon_threadsafe(link.mark_lost, reason)

            director.ended.add_done_callback(ended)

    async def ask_to_end(self, links: Sequence[DirectorLink]) -> None:
        """Asks Directors to end that would not notice that their client is gone."""
        if self._site.elsewhere:
            calls = (link.call("close", timeout_s=CLOSE_ELSEWHERE_S) for link in links if not link.lost.done())
            await asyncio.gather(*calls, return_exceptions=True)

    async def end(self) -> None:
        """Ends the Directors, and gives the Site back."""
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
