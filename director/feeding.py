"""Feeding Directors with Requests, and giving each Outcome to whoever waits for it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Sequence

from director.affinity import Affinity
from director.call import DirectorLost, TakesNoMore, WoundDown
from director.link import REASON_S, DirectorLink, seen, window
from director.staging import Ready
from simulations.records import Outcome


class Feeding:
    """Hands prepared Requests out to the Directors that have room for them. Equal ones go to the same Director.

    Attributes:
        links: The Directors.
    """

    def __init__(self) -> None:
        self.links: list[DirectorLink] = []
        self._waiting: dict[str, asyncio.Future[Outcome]] = {}
        self._affinity = Affinity()
        self._moving: set[asyncio.Task[None]] = set()

    def begin(self, links: Sequence[DirectorLink]) -> None:
        """Takes the links, whose Outcomes come to `receive`."""
        self.links = list(links)
        for link in self.links:
            link.lost.add_done_callback(functools.partial(self._on_lost, link))

    def receive(self, outcome: Outcome) -> None:
        """Gives an Outcome to whoever waits for it."""
        self._affinity.ended(outcome.id)
        future = self._waiting.pop(outcome.id, None)
        if future is not None and not future.done():
            future.set_result(outcome)

    def useful(self) -> list[DirectorLink]:
        """The Directors that can run something; all, if none can, so that it is they who say why."""
        there = [link for link in self.links if not link.lost.done()]
        willing = [link for link in there if link.closed is None]
        return [link for link in willing if link.hopeless is None] or willing or there or self.links

    async def run(self, ready: Ready, director: int | None = None) -> Outcome:
        """Runs a Request and waits for its Outcome.

        Args:
            ready: The Request.
            director: Index of the Director; None: the one with the most room.

        Raises:
            Refused: If the Director refuses it.
            WoundDown: If no Director takes any more, or the one that has it has ended in an orderly way.
            DirectorLost: If the Director is gone; the Request is in its ledger.
        """
        if director is not None:
            link = self.links[director]
        else:
            link = self._home(ready) or min(self.useful(), key=lambda link: self._load(link) / link.workers)
        outcome = self._wait_for(ready.request.id)
        try:
            await self._post(link, ready)
            return await outcome
        finally:
            self._waiting.pop(ready.request.id, None)

    async def hand(self, requests: Sequence[Ready], director: int | None = None) -> None:
        """Hands Requests out, and returns when they are on disk. Nobody waits for their Outcomes.

        Args:
            requests: What is handed over.
            director: Index of the Director; None: for each the one with the most room.

        Raises:
            Refused: If a Director refuses one.
            DirectorLost: If one is gone; what it had accepted is in its ledger.
        """
        acknowledged = []
        for ready in requests:
            home = self.links[director] if director is not None else self._home(ready)
            link = home or min(self.useful(), key=lambda link: self._load(link) / link.workers)
            acknowledged.append(self._post(link, ready))
        for answer in await asyncio.gather(*acknowledged, return_exceptions=True):
            if isinstance(answer, BaseException):
                raise answer

    async def map(self, requests: Sequence[Ready], already: Sequence[tuple[int, str]] = ()) -> AsyncGenerator[Outcome]:
        """Runs Requests on all Directors; yields Outcomes in the order in which they complete.

        Args:
            requests: What is handed over.
            already: Ids of Requests that Directors have already, each with the index of its Director.

        Raises:
            Refused: If a Director refuses one.
            WoundDown: If Directors have ended in an orderly way before all was done, or take no more, after all other
                Outcomes.
            DirectorLost: If one is gone otherwise, after all other Outcomes; what it had accepted is in its ledger.
        """
        names = list(dict.fromkeys([*(name for _, name in already), *(ready.request.id for ready in requests)]))
        done: asyncio.Queue[asyncio.Future[Outcome]] = asyncio.Queue()
        for name in names:
            self._wait_for(name).add_done_callback(done.put_nowait)
        self._expect(already)
        room = asyncio.Event()
        feeder = asyncio.create_task(self._feed(requests, room), name="feeder")
        missing: list[DirectorLost] = []
        waiting: asyncio.Task[asyncio.Future[Outcome]] | None = None
        try:
            for _ in names:
                waiting = asyncio.create_task(done.get())
                await asyncio.wait((waiting, feeder), return_when=asyncio.FIRST_COMPLETED)
                if not waiting.done() and feeder.done():
                    feeder.result()  # raises what went wrong
                room.set()
                try:
                    outcome = (await waiting).result()
                except DirectorLost as error:
                    missing.append(error)
                else:
                    yield outcome
        finally:
            feeder.cancel()
            if waiting is not None:
                waiting.cancel()
            for name in names:
                self._waiting.pop(name, None)
        if missing:
            raise _together(missing)

    def _expect(self, already: Sequence[tuple[int, str]]) -> None:
        by_link: dict[int, list[str]] = {}
        for index, name in already:
            by_link.setdefault(index, []).append(name)
        for index, names in by_link.items():
            link = self.links[index]
            link.expect(names)
            if link.lost.done():
                self._on_lost(link, link.lost)

    async def _feed(self, requests: Sequence[Ready], room: asyncio.Event) -> None:
        """Hands Requests out, always to the Director that is furthest below its window."""
        acknowledged: list[asyncio.Future[None]] = []
        for ready in requests:
            link = self._home(ready) or await self._with_room(room)
            acknowledged.append(self._post(link, ready))
        for answer in await asyncio.gather(*acknowledged, return_exceptions=True):
            if isinstance(answer, BaseException) and not isinstance(answer, DirectorLost):
                raise answer  # one that is lost has told all that wait for it

    async def _with_room(self, room: asyncio.Event) -> DirectorLink:
        while True:
            room.clear()
            link = min(self.useful(), key=lambda link: self._load(link) / window(link.rate.per_s, link.workers))
            only = len(self.links) == 1 or link.lost.done() or link.closed is not None
            if only or self._load(link) < window(link.rate.per_s, link.workers):
                return link
            await room.wait()

    def _home(self, ready: Ready) -> DirectorLink | None:
        """The Director that has an equal Request now.

        One that waits there for an equal one keeps no worker busy, so there is room for it however much runs.
        """
        if not ready.request.reuse or len(self.links) == 1:
            return None
        index = self._affinity.home(ready.key)
        return next((link for link in self.useful() if link.index == index and not link.lost.done()), None)

    def _load(self, link: DirectorLink) -> int:
        return len(link.outstanding) - self._affinity.waiting(link.index)

    def _post(self, link: DirectorLink, ready: Ready) -> asyncio.Future[None]:
        """Hands a Request to a Director, and to another one if that one takes no more.

        Returns:
            A future that is done when a Director has it on disk; see `DirectorLink.post`.
        """
        handed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        handed.add_done_callback(seen)
        if link.closed is not None:
            self._begin_to_move(ready, link, handed, TakesNoMore(link.closed))
            return handed
        if ready.request.reuse and not link.lost.done():
            self._affinity.sent(ready.request.id, ready.key, link.index)
        link.post(ready.request).add_done_callback(functools.partial(self._on_answer, ready, link, handed))
        if link.lost.done():
            self._fail(ready.request.id, link.error())
        return handed

    def _on_answer(
        self, ready: Ready, link: DirectorLink, handed: asyncio.Future[None], acknowledged: asyncio.Future[None]
    ) -> None:
        error = None if acknowledged.cancelled() else acknowledged.exception()
        if acknowledged.cancelled() or error is not None:
            self._affinity.ended(ready.request.id)
        if handed.done():  # nobody waits for it any more
            return
        if isinstance(error, TakesNoMore):
            self._begin_to_move(ready, link, handed, error)
        elif error is not None:
            handed.set_exception(error)
        elif not acknowledged.cancelled():
            handed.set_result(None)

    def _begin_to_move(
        self, ready: Ready, link: DirectorLink, handed: asyncio.Future[None], error: TakesNoMore
    ) -> None:
        moving = asyncio.get_running_loop().create_task(self._move(ready, link, handed, error), name="move")
        self._moving.add(moving)
        moving.add_done_callback(self._moving.discard)

    async def _move(self, ready: Ready, link: DirectorLink, handed: asyncio.Future[None], error: TakesNoMore) -> None:
        """Hands a Request to another Director, since this one takes no more. Without another one it is not run."""
        other = min(self.useful(), key=lambda one: self._load(one) / one.workers)
        if other.closed is None and not other.lost.done():
            posted = self._post(other, ready)
            await asyncio.wait((posted,))
            found = posted.exception()
        else:
            # One that is about to end says soon why, and in which way.
            await asyncio.wait((link.lost,), timeout=REASON_S)
            found = link.error() if link.lost.done() else error
            assert isinstance(found, DirectorLost)  # noqa: S101  (both are)
            self._fail(ready.request.id, found)
        if handed.done():
            return
        if found is None:
            handed.set_result(None)
        else:
            handed.set_exception(found)

    def _wait_for(self, name: str) -> asyncio.Future[Outcome]:
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        future.add_done_callback(seen)
        self._waiting[name] = future
        return future

    def _on_lost(self, link: DirectorLink, _: object) -> None:
        self._affinity.forget(link.index)
        for name in list(link.outstanding):
            self._fail(name, link.error())

    def _fail(self, name: str, error: DirectorLost) -> None:
        future = self._waiting.pop(name, None)
        if future is not None and not future.done():
            future.set_exception(error)


def _together(missing: Sequence[DirectorLost]) -> DirectorLost:
    """What is raised when Requests have no Outcome."""
    orderly = all(isinstance(error, WoundDown) for error in missing)
    reasons = "; ".join(dict.fromkeys(str(error) for error in missing if orderly or not isinstance(error, WoundDown)))
    return WoundDown(reasons, len(missing)) if orderly else DirectorLost(reasons)
