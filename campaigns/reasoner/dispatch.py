"""Many reasoners, one evaluation: each Outcome goes to whoever waits for its id, in whichever order they come."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from campaigns.evaluate import Evaluate
from simulations.records import Outcome, Request


class Dispatch:
    """Shares an `Evaluate` among reasoners of one event loop.

    Args:
        evaluate: Who runs Requests. It is closed by whoever made it.
    """

    def __init__(self, evaluate: Evaluate) -> None:
        self._evaluate = evaluate
        self._waiting: dict[str, list[asyncio.Future[Outcome]]] = {}
        self._pump: asyncio.Task[None] | None = None

    async def run(self, requests: Sequence[Request]) -> Mapping[str, Outcome | str]:
        """Has Requests evaluated side by side, and waits for all of them.

        Returns:
            For each, by its id, its Outcome, or why it was not accepted.

        Raises:
            Exception: What the evaluation raises that can go on no longer.
        """
        found: dict[str, Outcome | str] = {}
        futures = {request.id: self._expect(request.id) for request in requests}
        try:
            for name, reason in (await self._submit(requests)).items():
                found[name] = reason
                self._forget(name, futures.pop(name))
            if futures:
                if self._pump is None or self._pump.done():
                    self._pump = asyncio.create_task(self._deliver())
                await asyncio.gather(*futures.values())
        finally:
            for name, future in futures.items():
                self._forget(name, future)
        return found | {name: future.result() for name, future in futures.items()}

    async def close(self) -> None:
        """Waits for nothing more."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)

    def _expect(self, name: str) -> asyncio.Future[Outcome]:
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(name, []).append(future)
        return future

    def _forget(self, name: str, future: asyncio.Future[Outcome]) -> None:
        waiting = self._waiting.get(name, [])
        if future in waiting:
            waiting.remove(future)
            future.cancel()
        if not waiting:
            self._waiting.pop(name, None)

    async def _submit(self, requests: Sequence[Request]) -> dict[str, str]:
        """Hands Requests over; gives the reasons for those that were refused."""
        try:
            await self._evaluate.submit(requests)
        except ValueError as error:
            if len(requests) == 1:
                return {requests[0].id: str(error)}
        else:
            return {}
        refused: dict[str, str] = {}
        for request in requests:  # one is refused, and none has run: each for itself
            refused |= await self._submit([request])
        return refused

    async def _deliver(self) -> None:
        """Gives Outcomes to those who wait for them, as long as any do."""
        try:
            while self._waiting:
                outcome = await self._evaluate.next()
                for future in self._waiting.pop(outcome.id, []):
                    if not future.done():
                        future.set_result(outcome)
        except Exception as error:  # each of those who wait is told
            waiting, self._waiting = self._waiting, {}
            for future in (future for futures in waiting.values() for future in futures):
                if not future.done():
                    future.set_exception(error)
