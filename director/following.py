"""Reading the Outcomes of a run from its Directors, from the first one on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from director.call import Call, DirectorLost
from simulations.records import Outcome

PAGE = 2_000
WAIT_S = 5.0
PATIENCE_S = 20.0


async def outcomes_so_far(calls: Sequence[Call]) -> AsyncGenerator[Outcome]:
    """The Outcomes that Directors have by now.

    Args:
        calls: For each Director what calls its actions.

    Raises:
        DirectorLost: If some did not answer, after all others have been read.
    """
    async for outcome in _merged([_pages(call, until_done=False) for call in calls]):
        yield outcome


async def follow(calls: Sequence[Call]) -> AsyncIterator[Outcome]:
    """The Outcomes of Directors as they complete, until nothing is open any more.

    Args:
        calls: For each Director what calls its actions.

    Raises:
        DirectorLost: If some stopped answering, after all others have come to their end.
    """
    async for outcome in _merged([_pages(call, until_done=True) for call in calls]):
        yield outcome


async def _pages(call: Call, *, until_done: bool) -> AsyncIterator[list[Outcome]]:
    cursor = 0
    wait_s = 0.0
    while True:
        page = await call("outcomes", cursor, PAGE, wait_s, timeout_s=PATIENCE_S, holds_s=wait_s)
        cursor = page["next"]
        wait_s = WAIT_S if until_done and page["open"] else 0.0
        if page["outcomes"]:
            yield [Outcome.model_validate(item) for item in page["outcomes"]]
        elif page["failure"]:
            raise DirectorLost(page["failure"])
        elif not until_done or not page["open"]:
            return


async def _merged(sources: Sequence[AsyncIterator[list[Outcome]]]) -> AsyncIterator[Outcome]:
    """What several sources give, as it comes; an error is raised when the others have ended."""
    queue: asyncio.Queue[list[Outcome] | None] = asyncio.Queue()
    lost: list[str] = []

    async def read(source: AsyncIterator[list[Outcome]]) -> None:
        try:
            async for page in source:
                queue.put_nowait(page)
        except DirectorLost as error:
            lost.append(str(error))
        finally:
            queue.put_nowait(None)

    tasks = [asyncio.create_task(read(source), name="follow") for source in sources]
    try:
        ended = 0
        while ended < len(tasks):
            page = await queue.get()
            if page is None:
                ended += 1
            for outcome in page or ():
                yield outcome
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        task.result()  # raises what is no loss, such as an answer that cannot be read
    if lost:
        raise DirectorLost("; ".join(lost))
