"""What a client asks of all Directors of a run: how they are, and to do otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from director import following
from director.call import DirectorLost
from director.carrier import fetch
from director.link import DirectorLink
from director.runfolder import RunRecord
from simulations.records import Outcome

CALL_S = 30.0
STATUS_S = 10.0


class Steering:
    """Looks at a run's Directors, and steers them.

    Attributes:
        links: The Directors.
        record: What is written down of the run.
    """

    links: list[DirectorLink]
    record: RunRecord

    def useful(self) -> list[DirectorLink]:
        """The Directors that can do something; all, if none can."""
        raise NotImplementedError

    async def fetch(self, path: str, target: Path, progress: Callable[[int, int], None] | None = None) -> int:
        """Fetches an artifact; see `director.carrier.fetch`."""
        return await fetch(self._call_any, path, target, progress)

    async def about(self) -> dict[str, Any]:
        """What run this is, where its folder is, and on which host; see `DirectorAgent.about`."""
        return dict(await self._call_any("about"))

    async def outcomes(self, *, follow: bool = False) -> AsyncIterator[Outcome]:
        """All Outcomes of the run from the first one on, whoever sent the Requests.

        Args:
            follow: Whether to go on until nothing is open any more.

        Raises:
            DirectorLost: If a Director does not answer, after those of all others.
        """
        calls = [link.call for link in self.links]
        async for outcome in following.follow(calls) if follow else following.outcomes_so_far(calls):
            yield outcome

    async def status(self) -> list[dict[str, Any]]:
        """How the Directors are; see `DirectorAgent.status`.

        One that has ended in an orderly way is ``closed``; one that is gone otherwise is ``lost``, and ``failure`` says
        why.
        """
        return list(await asyncio.gather(*(self._status(link) for link in self.links)))

    async def _status(self, link: DirectorLink) -> dict[str, Any]:
        try:
            return dict(await link.call("status", timeout_s=STATUS_S))
        except DirectorLost as error:
            known = {"director": link.index, "partition": self.record.partitions[link.index]}
            if link.summary is None:
                return {**known, "state": "lost", "failure": str(error)}
            left = {"queued": link.summary.get("open", 0), "running": 0, "finished": link.summary.get("finished", {})}
            return {**known, **left, "state": "closed", "workers": self.record.workers[link.index], "failure": None}

    async def cancel(self, ids: Sequence[str]) -> dict[str, str]:
        """Cancels Requests; says for each id whether it is ``cancelled``, ``stopping``, ``finished`` or ``unknown``."""
        return _joined(ids, await self._call_all("cancel", list(ids)))

    async def prioritize(self, ids: Sequence[str], priority: int) -> dict[str, str]:
        """Gives Requests another priority; says for each id whether it is ``changed``, ``finished`` or ``unknown``.

        Args:
            ids: Their ids.
            priority: From -1000 to 1000; of two that wait, the one with the higher priority starts first.
        """
        return _joined(ids, await self._call_all("prioritize", list(ids), priority))

    async def pause(self) -> int:
        """Lets the Directors start nothing more, and asks what runs to save what it has done and stop.

        Returns:
            How many Requests run on for now. Those whose Tools save nothing do so to their end.
        """
        return sum(answer["running"] for answer in await self._call_all("pause"))

    async def unpause(self) -> int:
        """Lets Directors go on that were paused; returns how many Requests are open."""
        return sum(answer["open"] for answer in await self._call_all("unpause"))

    async def wind_down(self, reason: str, within_s: float) -> int:
        """Asks the Directors to save what runs and to end in an orderly way. What is open stays in their ledgers.

        Args:
            reason: Why; shown where the run is.
            within_s: In what time, in s.

        Returns:
            How many Directors have heard it; they end by themselves.
        """
        return len(await self._call_all("wind_down", reason, within_s))

    async def open_ids(self) -> list[str]:
        """Ids of all Requests that have no Outcome."""
        return [name for ids in await self._call_all("open_ids") for name in ids]

    async def drain(self) -> int:
        """Lets the Directors accept nothing more; returns how many Requests are open."""
        return sum(answer["open"] for answer in await self._call_all("drain"))

    async def end(self) -> int:
        """Ends the Directors, whoever launched them; returns how many have heard it."""
        return len(await self._call_all("close"))

    async def _call_any(self, action: str, *arguments: Any) -> Any:
        """Calls a Director that is there; they share the run folder."""
        return await self.useful()[0].call(action, *arguments)

    async def _call_all(self, action: str, *arguments: Any) -> list[Any]:
        """Calls all Directors that are there.

        Raises:
            DirectorLost: If none is, or one does not answer.
        """
        there = [link for link in self.links if not link.lost.done()] or self.links
        return list(await asyncio.gather(*(link.call(action, *arguments, timeout_s=CALL_S) for link in there)))


def _joined(ids: Sequence[str], answers: Sequence[dict[str, str]]) -> dict[str, str]:
    """What became of each Request, when only one Director knows it."""
    joined = dict.fromkeys(ids, "unknown")
    for answer in answers:
        joined.update({name: what for name, what in answer.items() if what != "unknown"})
    return joined
