"""The Outcomes of a run, read from its Directors in pages, and waited for within a bound."""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from director.call import DirectorLost
from director.door import Problem, Refused
from director.link import DirectorLink
from simulations.records import Outcome

HOLD_S = 5.0
PAGE = 1_000
PATIENCE_S = 20.0
MOST_KEPT = 20_000
MOST_BYTES = 200_000
BRIEF = {"id", "tool", "status", "inputs", "result", "error", "artifacts", "reused_from"}


class OutcomeBook:
    """What has come out of a run, as far as this client has read.

    Args:
        links: The Directors.
        clock: Seconds, monotonic.
    """

    def __init__(self, links: Sequence[DirectorLink], clock: Callable[[], float] = time.monotonic) -> None:
        self._links = links
        self._clock = clock
        self._cursors = [0] * len(links)
        self._found: OrderedDict[str, Outcome] = OrderedDict()
        self._dropped = False
        self._reading = asyncio.Lock()

    async def read(self) -> list[Outcome]:
        """Reads what is new.

        Raises:
            DirectorLost: If a Director does not answer.
        """
        async with self._reading:
            pages = await asyncio.gather(*(self._read(index) for index in range(len(self._links))))
        return [outcome for page in pages for outcome in page]

    async def _read(self, index: int) -> list[Outcome]:
        new: list[Outcome] = []
        while True:
            page = await _page(self._links[index], self._cursors[index], PAGE, 0.0)
            if not page["outcomes"]:
                return new
            self._cursors[index] = page["next"]
            for item in page["outcomes"]:
                outcome = Outcome.model_validate(item)
                self._found[outcome.id] = outcome
                new.append(outcome)
            while len(self._found) > MOST_KEPT:
                self._found.popitem(last=False)
                self._dropped = True

    async def wait_for(self, ids: Sequence[str], wait_s: float) -> list[Outcome]:
        """The Outcomes of Requests, in their order, as far as they are there in time.

        Raises:
            DirectorLost: If a Director does not answer.
        """
        give_up = self._clock() + wait_s
        wanted = list(dict.fromkeys(ids))
        kept: dict[str, Outcome] = {}
        again = self._dropped
        while True:
            new = await self.read()
            kept |= {outcome.id: outcome for outcome in new if outcome.id in wanted}
            kept |= {name: self._found[name] for name in wanted if name in self._found}
            if again and len(kept) < len(wanted):  # it may be one that was read and not kept
                again = False
                self._cursors = [0] * len(self._links)
                continue
            left = give_up - self._clock()
            if len(kept) == len(wanted) or left <= 0:
                return [kept[name] for name in wanted if name in kept]
            await self._news(min(left, HOLD_S))

    async def latest(self, count: int) -> list[Outcome]:
        """The latest Outcomes, in the order in which their Requests ended.

        Raises:
            DirectorLost: If a Director does not answer.
        """
        await self.read()
        found = sorted(self._found.values(), key=lambda outcome: (outcome.finished_at, outcome.id))
        return found[-count:]

    async def _news(self, wait_s: float) -> None:
        """Returns when a Director has something new, or the time is over."""
        await self._first(self._cursors, 1, wait_s)

    async def page(self, after: str | None, limit: int, wait_s: float) -> dict[str, Any]:
        """A page of Outcomes.

        Args:
            after: The ``next`` of the page before; None: from the first one on.
            limit: How many at most.
            wait_s: How long to wait for the first one, in s.

        Returns:
            ``outcomes`` (as Outcomes), ``next`` and ``open`` (how many Requests have no Outcome).

        Raises:
            Refused: If ``after`` is none of this run's.
            DirectorLost: If a Director does not answer.
        """
        cursors = [int(part) for part in after.split(".")] if after else [0] * len(self._links)
        if len(cursors) != len(self._links):
            raise Refused([Problem("after", f"{after!r} is none of this run's", "Give the `next` of the page before")])
        pages = await asyncio.gather(
            *(_page(link, cursor, limit, 0.0) for link, cursor in zip(self._links, cursors, strict=True))
        )
        give_up = self._clock() + wait_s
        while not any(page["outcomes"] for page in pages) and (left := give_up - self._clock()) > 0:
            await self._first(cursors, 1, min(left, HOLD_S))
            pages = await asyncio.gather(
                *(_page(link, cursor, limit, 0.0) for link, cursor in zip(self._links, cursors, strict=True))
            )
        found: list[Outcome] = []
        for index, page in enumerate(pages):
            taken = page["outcomes"][: max(0, limit - len(found))]
            if len(taken) == len(page["outcomes"]):
                cursors[index] = page["next"]
            elif taken:  # sequence numbers are the Director's: asking for fewer tells where they end
                page = await _page(self._links[index], cursors[index], len(taken), 0.0)
                taken, cursors[index] = page["outcomes"], page["next"]
            found += [Outcome.model_validate(item) for item in taken]
        return {
            "outcomes": found,
            "next": ".".join(map(str, cursors)),
            "open": sum(page["open"] for page in pages),
        }

    async def _first(self, cursors: Sequence[int], limit: int, wait_s: float) -> None:
        tasks = [
            asyncio.create_task(_page(link, cursor, limit, wait_s))
            for link, cursor in zip(self._links, cursors, strict=True)
        ]
        try:
            waiting: set[asyncio.Task[Any]] = set(tasks)
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if any(task.result()["outcomes"] for task in done):
                    return
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _page(link: DirectorLink, cursor: int, limit: int, wait_s: float) -> dict[str, Any]:
    page: dict[str, Any] = await link.call("outcomes", cursor, limit, wait_s, timeout_s=PATIENCE_S, holds_s=wait_s)
    if not page["outcomes"] and page["failure"]:
        raise DirectorLost(page["failure"])
    return page


def shown(outcome: Outcome, *, full: bool) -> dict[str, Any]:
    """An Outcome as agents see it. Pure."""
    document = outcome.model_dump(mode="json", include=None if full else BRIEF, exclude_none=True)
    if not full:
        document = {name: value for name, value in document.items() if value != {}}
        if outcome.usage is not None:
            document["node_hours"] = outcome.usage.node_hours
    return document


def fitting(documents: Sequence[dict[str, Any]], most_bytes: int = MOST_BYTES) -> int:
    """How many of the documents fit into an answer; at least one, if there is one. Pure."""
    size = 0
    for count, document in enumerate(documents):
        size += len(json.dumps(document))
        if count and size > most_bytes:
            return count
    return len(documents)
