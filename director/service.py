"""A Director at work: what its Engine is made of, how long it stays, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from director.accounting import Account
from director.ending import CannotRunError, Ending
from director.engine import Engine
from director.failures import Bounds
from director.ledger import Entry, Event, Ledger, read_events, read_outcomes
from director.lingering import reason_to_end
from director.news import Policy
from director.pool import Pool
from director.reuse import OwnOutcomes, Reuse, RunOutcomes, Source
from director.runfolder import RunFolder
from director.siblings import Siblings
from director.spec import DirectorSpec, ReuseSpec, WalltimeSpec
from director.terms import LEAST_RESERVE_S
from director.tidying import tidy
from director.toolbox import fewest_cores, tools_with
from director.walltime import Walltime
from partitions.carve import Partition
from simulations.records import Course, Outcome
from simulations.workspace import read_course

logger = logging.getLogger(__name__)

T = TypeVar("T", Entry, Event)

PAGE = 2000
LINGER_LOOK_S = 0.5
AT_REST_LOOK_S = 0.05
UNREAD_S = 1.0
# What is needed after all that runs has stopped: workers, exchange, ledger, and the scheduler's own slowness.
CLOSING_S = 4.0
MOST_RESERVE_S = 60.0
RESERVE_SHARE = 0.1


def walltime_of(spec: WalltimeSpec, granted: datetime | None, now: datetime) -> Walltime | None:
    """When a Director must have ended, and how long before that it begins to. Pure.

    Args:
        spec: What was asked for.
        granted: When the scheduler ends the job (UTC), if that is known.
        now: When the Director starts (UTC).
    """
    ends = [end for end in (spec.deadline, granted) if end is not None]
    if not ends:
        return None
    deadline = min(ends)
    share_s = RESERVE_SHARE * (deadline - now).total_seconds()
    reserve_s = spec.reserve_s or min(MOST_RESERVE_S, max(LEAST_RESERVE_S, share_s))
    return Walltime(deadline.astimezone(UTC), reserve_s)


def make_engine(
    spec: DirectorSpec,
    partition: Partition,
    pool: Pool,
    ledger: Ledger,
    folder: RunFolder,
    walltime: Walltime | None,
    ending: Ending,
    life: int,
) -> Engine:
    """The Engine of a Director."""
    return Engine(
        index=spec.index,
        partition=partition,
        tools=tools_with(spec.tools),
        cores=fewest_cores([partition], spec.pool),
        ledger=ledger,
        pool=pool,
        policy=Policy(Bounds(worker_losses=spec.pool.max_attempts, node_losses=spec.pool.max_node_losses)),
        walltime=walltime,
        reuse=_reuse(spec.reuse, folder, ledger, folder.ledger(spec.index)),
        course_of=lambda name, epoch: read_course(folder.work(spec.index) / name, epoch) or Course(),
        past=None if spec.memory_ledger else functools.partial(past_account, spec, folder, partition, pool, life),
        fail=lambda reason, fenced: ending.ask(reason, failed=True, taken_over=fenced),
        tidy=functools.partial(tidy, folder.work(spec.index)),
    )


def _reuse(spec: ReuseSpec, folder: RunFolder, ledger: Ledger, path: Path) -> Reuse | None:
    if not spec.enabled:
        return None
    others: tuple[Source, ...] = (
        RunOutcomes(folder.path, without=path),
        *(RunOutcomes(Path(store)) for store in spec.stores),
    )
    return Reuse(folder.path, (OwnOutcomes(ledger, folder.path), *others))


def past_account(
    spec: DirectorSpec, folder: RunFolder, partition: Partition, pool: Pool, life: int, last: int
) -> Account:
    """Where the time went in the lives before this one.

    Args:
        spec: What the Director was told.
        folder: The run folder.
        partition: Its Partition now.
        pool: Its pool now.
        life: Its life.
        last: Sequence number of the last Outcome of the lives before.

    Raises:
        LedgerError: If the ledger cannot be read.
    """
    path = folder.ledger(spec.index)
    before = itertools.takewhile(lambda event: event.life < life, _paged(functools.partial(read_events, path)))
    entries = itertools.takewhile(lambda entry: entry.seq <= last, _paged(functools.partial(read_outcomes, path)))
    outcomes = (Outcome.model_validate_json(entry.body) for entry in entries)
    return Account.of(before, outcomes, nodes=len(partition.hostnames), workers=pool.workers)


def _paged(read: Callable[[int, int], Sequence[T]]) -> Iterator[T]:
    """All that a ledger has of something, without having all of it at once."""
    after = 0
    while page := read(after, PAGE):
        yield from page
        after = page[-1].seq


async def begin_with(spec: DirectorSpec, engine: Engine) -> None:
    """Accepts the Requests that came with the spec. Those that it has had in an earlier life are left as they are.

    Raises:
        CannotRunError: If one of them is refused.
    """
    for verdict in await engine.submit(spec.requests) if spec.requests else ():
        if verdict.problems:  # its client has checked it: the Tools here must be others
            raise CannotRunError(f"request {verdict.id} was refused: {'; '.join(map(str, verdict.problems))}")


async def linger(linger_s: float, engine: Engine, siblings: Siblings, ending: Ending) -> None:
    """Ends the Director when it has had nothing to do for long enough."""
    while True:
        await asyncio.sleep(LINGER_LOOK_S)
        reason = reason_to_end(engine.idleness(), linger_s)
        if reason and (engine.draining or not await asyncio.to_thread(siblings.busy)):
            ending.ask(reason)


async def keep_walltime(engine: Engine, ending: Ending, walltime: Walltime) -> None:
    """Ends the Director in time before its job ends, or when nothing more can be done before that."""
    while True:
        left_s = walltime.left_s(datetime.now(UTC))
        if left_s <= 0:
            ending.ask_softly("walltime", max(1.0, walltime.reserve_s - CLOSING_S))
            return
        if engine.stuck:
            ending.ask_softly("walltime: no time is left for what is open", 1.0)
            return
        await asyncio.sleep(min(left_s, LINGER_LOOK_S))


async def wind_down_when_asked(engine: Engine, ending: Ending) -> None:
    """Brings all that runs to stop when the end is asked for softly, and then asks for it at once."""
    await ending.softly.wait()
    logger.info("the Director ends (%s): what runs has %.1f s to save what it has done", ending.reason, ending.within_s)
    await engine.wind_down(ending.reason, ending.within_s)
    await _come_true(lambda: engine.at_rest, lambda: ending.give_up)
    unread_until = time.monotonic() + UNREAD_S
    await _come_true(lambda: not engine.idleness().unread, lambda: min(ending.give_up, unread_until))
    ending.ask(ending.reason)


async def _come_true(condition: Callable[[], bool], give_up: Callable[[], float]) -> None:
    """Waits until something is true, but not beyond a time of the monotonic clock, which may come nearer."""
    while True:
        if condition() or time.monotonic() >= give_up():
            return
        await asyncio.sleep(AT_REST_LOOK_S)


async def sum_up(engine: Engine, ending: Ending) -> dict[str, Any]:
    """What a Director says in the end; it is journaled too, if the ledger can be written."""
    counts = engine.counts()
    still_open = len(engine.open_ids())
    begun = engine.begun_before()
    summary = {
        "reason": ending.reason,
        "done": sum(counts.finished.values()),
        "finished": dict(counts.finished),
        "open": still_open,
        "paused": begun,
        "queued": still_open - begun,
        "accounting": engine.totals().model_dump(mode="json"),
    }
    if not engine.failure:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(UNREAD_S):
                await engine.note("ended", summary)
    return summary


def began(partition: Partition, pool: Pool, host: str, job_id: str | None) -> dict[str, Any]:
    """What is journaled of a Director's beginning."""
    return {"nodes": len(partition.hostnames), "workers": pool.workers, "host": host, "job_id": job_id}
