"""One life of a Director, as a process that a test can kill: ``python -m tests.faults.one_life LEDGER LIFE``.

It reads commands from standard input, one JSON object a line, and answers each with one. Everything is real but the
workers: what becomes of an attempt is told by the ``seed`` of its Request, at once; see `Prompt`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from director.attempt import Attempt, AttemptResult
from director.engine import Engine
from director.ledger import Entry, SqliteLedger, open_claimed
from director.pool import How, LostError, NodeState
from director.reuse import OwnOutcomes, Reuse
from simulations.mock_md import TOOL
from simulations.records import Course, Ending, ErrorInfo, Request
from simulations.workspace import Stop
from tests.helpers import partition, tools_of

WAIT_S = 300.0
# What the hundreds of a seed mean.
OK, FAILED, LOST_ONCE, LOST_ALWAYS, NODE_LOST, PAUSED, AGAIN, ENDLESS = range(8)


class Prompt:
    """A Pool that answers at once, if it answers at all."""

    def __init__(self) -> None:
        self.workers = 2
        self.hopeless: str | None = None
        self._tries: Counter[str] = Counter()
        self._endless: dict[str, tuple[Attempt, Future[list[AttemptResult]]]] = {}

    def start(self) -> None:
        """Has nothing to start."""

    def close(self) -> None:
        """Has nothing to end."""

    def begun(self) -> dict[str, str]:
        """See `Pool.begun`."""
        return {f"{attempt.id}.{attempt.epoch}": "local-0" for attempt, _ in self._endless.values()}

    def endless(self) -> set[str]:
        """The Requests that go on until they are stopped."""
        return set(self._endless)

    def nodes(self) -> list[NodeState]:
        """One node that is up."""
        return [NodeState("local-0", "up", workers=self.workers)]

    def submit(self, attempts: list[Attempt]) -> Future[list[AttemptResult]]:
        """See `Pool.submit`."""
        future: Future[list[AttemptResult]] = Future()
        kinds = {attempt.id: attempt.inputs["seed"] // 100 for attempt in attempts}
        self._tries.update(kinds)
        first = {name for name in kinds if self._tries[name] == 1}
        if any(kind == LOST_ALWAYS or (kind == LOST_ONCE and name in first) for name, kind in kinds.items()):
            future.set_exception(LostError("its worker is gone"))
        elif any(kind == NODE_LOST and name in first for name, kind in kinds.items()):
            future.set_exception(LostError("its node is gone", with_node=True))
        elif ENDLESS in kinds.values():
            self._endless |= {attempt.id: (attempt, future) for attempt in attempts}
        else:
            endings = {FAILED: Ending.FAILED, PAUSED: Ending.PAUSED, AGAIN: Ending.AGAIN}
            future.set_result(
                [
                    _result(each, endings.get(kinds[each.id], Ending.OK) if self._fails(each, first) else Ending.OK)
                    for each in attempts
                ]
            )
        return future

    def stop(self, attempts: Mapping[str, int], why: Stop, how: How) -> None:
        """See `Pool.stop`: whatever is endless ends as it is asked to."""
        for name in attempts:
            attempt, future = self._endless.pop(name, (None, None))
            if attempt is not None and future is not None:
                future.set_result([_result(attempt, Ending.CANCELLED if why is Stop.CANCEL else Ending.PAUSED)])

    def _fails(self, attempt: Attempt, first: set[str]) -> bool:
        return attempt.inputs["seed"] // 100 == FAILED or attempt.id in first


def _result(attempt: Attempt, ending: Ending) -> AttemptResult:
    now = datetime.now(UTC)
    error = ErrorInfo(type="Test", message="as its seed says", hint="None needed.") if ending is not Ending.OK else None
    return AttemptResult(
        id=attempt.id,
        epoch=attempt.epoch,
        ending=ending,
        result={"slept_s": 0.0} if ending is Ending.OK else None,
        error=error if ending is not Ending.PAUSED else None,
        host="local-0",
        worker=f"local-0/{attempt.epoch}",
        accelerator=None,
        started_at=now,
        finished_at=now,
        artifacts={},
        versions={},
        course=Course(began_at=now, amount=1.0, saved_amount=0.5, saved_at=now),
    )


class OneLife:
    """A Director without nodes.

    Args:
        path: Its ledger.
        life: Which life it is.
    """

    def __init__(self, path: Path, life: int) -> None:
        self._path = path
        self._life = life
        # All calls of the ledger come from one thread: a failpoint counts the writes of a thread.
        self._disk = ThreadPoolExecutor(1)
        self._pool = Prompt()
        self._late_s = 0.0
        self._cursor = 0
        self._failed: list[str] = []

    async def begin(self) -> None:
        """Opens the ledger, claims it, and takes up what is open."""
        ledger = self._disk.submit(self._opened).result()
        self.engine = Engine(
            index=0,
            partition=partition(),
            tools=tools_of(TOOL),
            ledger=ledger,
            pool=self._pool,
            reuse=Reuse(self._path.parent, (OwnOutcomes(ledger, self._path.parent),)),
            clock=lambda: datetime.now(UTC) + timedelta(seconds=self._late_s),
            disk=self._disk,
            ticking=False,
            fail=lambda reason, fenced: self._failed.append(reason),
        )
        await self.engine.start()

    def _opened(self) -> SqliteLedger:
        return open_claimed(self._path, self._life)

    async def end(self) -> None:
        """Closes the ledger."""
        await self.engine.close()

    async def do(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Does one thing and answers."""
        ((what, given),) = command.items()
        answer: dict[str, Any] = {}
        if what == "submit":
            verdicts = await self.engine.submit([Request.model_validate(item) for item in given])
            answer["acknowledged"] = [verdict.id for verdict in verdicts if not verdict.problems]
        elif what == "cancel":
            answer["cancel"] = await self.engine.cancel(given)
        elif what == "prioritize":
            answer["prioritize"] = await self.engine.prioritize(given, 7)
        elif what == "pause":
            await self.engine.pause()
            await self.engine.unpause()
        elif what == "note":
            answer["noted"] = await self.engine.note(given, {"by": "the test"})
        elif what == "wait":
            await self._wait()
            answer["open"] = self.engine.open_ids()
        else:
            raise ValueError(f"nobody knows how to {what}")
        entries = await self.engine.outcomes(self._cursor, 1000, 0)
        self._cursor = entries[-1].seq if entries else self._cursor
        if self._failed:
            raise RuntimeError(self._failed[0])
        return answer | {"published": [[entry.seq, entry.id, entry.body] for entry in entries]}

    async def finish(self) -> None:
        """Ends all that is open: what is endless by cancelling it."""
        async with asyncio.timeout(WAIT_S):
            while self.engine.open_ids():
                await self._pass_time()
                await self.engine.cancel(sorted(self._pool.endless()))
        await self.engine.note("at rest", {})

    async def _wait(self) -> None:
        """Waits until only endless ones are open; time goes by quickly meanwhile."""
        async with asyncio.timeout(WAIT_S):
            while not set(self.engine.open_ids()) <= self._pool.endless():
                await self._pass_time()
        await self.engine.note("at rest", {})

    async def _pass_time(self) -> None:
        await asyncio.sleep(0.001)
        self._late_s += 1.0
        await self.engine.tick()


def entries_of(answers: Iterable[Mapping[str, Any]]) -> list[Entry]:
    """What was published in these answers."""
    return [Entry(*item) for answer in answers for item in answer["published"]]


async def main() -> None:
    """Lives until standard input ends."""
    life = OneLife(Path(sys.argv[1]), int(sys.argv[2]))
    await life.begin()
    for line in sys.stdin:
        answer = await life.do(json.loads(line))
        os.write(1, json.dumps(answer).encode() + b"\n")
    await life.end()
    os.write(1, b'{"published": [], "ended": true}\n')


if __name__ == "__main__":
    asyncio.run(main())
