"""The calls of one client that go on while nobody waits for them: each is made once, however often it is asked for."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any

from director.door import Problem, Refused
from director.link import seen
from simulations.records import Outcome

MOST_OPEN = 1000
MOST_REMEMBERED = 1000


class Calls:
    """Calls that are open, and the latest of those that have ended, by the ids of their Requests."""

    def __init__(self) -> None:
        self._tasks: OrderedDict[str, asyncio.Task[Outcome]] = OrderedDict()

    def begin(self, name: str, call: Callable[[], Coroutine[Any, Any, Outcome]]) -> asyncio.Task[Outcome]:
        """Begins a call, if it is not under way and has brought no Outcome that is remembered.

        Args:
            name: Id of its Request.
            call: Makes it.

        Raises:
            Refused: If too many calls are open.
        """
        known = self._tasks.get(name)
        if known is not None and not _in_vain(known):
            self._tasks.move_to_end(name)
            return known
        ended = [other for other, task in self._tasks.items() if task.done()]
        if len(self._tasks) - len(ended) >= MOST_OPEN:
            raise Refused([Problem("calls", f"{MOST_OPEN} are open", "Wait until some of them have ended")])
        for other in ended[: max(0, len(ended) - MOST_REMEMBERED)]:
            del self._tasks[other]
        task = asyncio.create_task(call(), name=f"call {name}")
        task.add_done_callback(seen)  # perhaps nobody asks for it again
        self._tasks[name] = task
        return task

    async def close(self) -> None:
        """Waits for no call any more. Their Requests are in their Directors' ledgers."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()


def _in_vain(task: asyncio.Task[Outcome]) -> bool:
    """Whether a call has ended without an Outcome, so that it is worth another try."""
    return task.done() and (task.cancelled() or task.exception() is not None)
