"""The process of one Director: ``python -m director.process``, with its spec as one line of JSON on standard input.

Standard input stays open as a lifeline: when it closes, whoever launched the Director is gone, and the Director ends.
The last line of standard output is a JSON summary.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from director.carving import carved, granted, launcher_of, settled, shares_of
from director.launch import run_folder_of
from director.lease import HeldError, Holder, Lease, LeaseError
from director.ledger import MemoryLedger, SqliteLedger
from director.lingering import reason_to_end
from director.plan import record_of
from director.runfolder import RunFolder
from director.siblings import Siblings
from director.spec import DirectorSpec
from director.transfer import store
from director.warm import WarmInterchange
from partitions.address import LOOPBACK, address_for
from partitions.allocation import Allocation
from partitions.carve import Partition
from partitions.guard import MARK_VARIABLE, Guard, end_marked
from partitions.lean import lean_parsl
from partitions.surroundings import Surroundings, ThisProcess
from simulations.tool import find_tools

if TYPE_CHECKING:
    from director.engine import Engine
    from director.parsl_pool import ParslPool

logger = logging.getLogger(__name__)

END_WITHIN_S = 3.0
PARENT_POLL_S = 0.25
LINGER_LOOK_S = 0.5
# File systems of clusters have been seen to pause for this long.
LEASE_S = 30.0
LEASE_PATIENCE_S = 300.0
JOB_VARIABLES = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "FLUX_JOB_ID")


def watch_lifeline(end: Callable[[], None], *, stdin: int = 0) -> None:
    """Calls ``end`` once when standard input closes or the parent is another than before, and returns at once."""
    parent = os.getppid()
    gone = threading.Event()

    def read() -> None:
        while os.read(stdin, 4096):
            continue
        gone.set()

    def wait() -> None:
        while not gone.wait(PARENT_POLL_S) and os.getppid() == parent:
            continue
        end()

    threading.Thread(target=read, name="lifeline", daemon=True).start()
    threading.Thread(target=wait, name="parent", daemon=True).start()


class CannotRunError(RuntimeError):
    """The Director cannot run anything on its Partition. The message says why."""


class HeldByAnotherError(CannotRunError):
    """Another Director lives for this ledger. The message says which."""


class Ending:
    """The one way in which a Director comes to its end: asked once, and then done within a few seconds."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.reason = "closed by its client"
        self.failed = False
        self.taken_over = False
        self._loop = asyncio.get_running_loop()

    def ask(self, reason: str, *, failed: bool = False, taken_over: bool = False) -> None:
        """Asks for the end, because the Director cannot go on or because it need not. Safe from any thread."""
        self.taken_over = self.taken_over or taken_over
        timer = threading.Timer(END_WITHIN_S, os._exit, [1])  # the guard then ends what is left
        timer.daemon = True
        timer.start()
        self._loop.call_soon_threadsafe(self._set, reason, failed)

    def _set(self, reason: str, failed: bool) -> None:
        if not self.asked.is_set():
            self.reason, self.failed = reason, failed
            self.asked.set()


async def direct(spec: DirectorSpec) -> dict[str, Any]:
    """Runs a Director until it is asked to end.

    Returns:
        A summary in JSON values.

    Raises:
        Exception: Whatever kept it from starting, or from going on.
    """
    ending = Ending()
    watch_lifeline(lambda: ending.ask("its client is gone"))
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, ending.ask, f"signal {name.name}")
    folder = RunFolder(run_folder_of(spec, os.environ))
    around = ThisProcess()
    lease = await asyncio.to_thread(_leased, spec, folder, around)
    try:
        # The ledger refuses whoever was taken over from, so a file system that pauses need not end a Director.
        lease.keep(lambda reason: ending.ask(reason, failed=True, taken_over=True), patience_s=LEASE_PATIENCE_S)
        return await _direct(spec, folder, around, ending, lease.life)
    finally:
        await asyncio.to_thread(lease.release)


async def _direct(
    spec: DirectorSpec, folder: RunFolder, around: Surroundings, ending: Ending, life: int
) -> dict[str, Any]:
    """Runs a Director that holds its lease."""
    allocation, partition = await asyncio.to_thread(_take_place, spec, folder, around)
    logger.info("Director %d of run %s owns %s", spec.index, spec.run_id, ", ".join(partition.hostnames))
    asked = asyncio.create_task(ending.asked.wait(), name="ending")
    # Imports take most of the start-up, so they stand in the order in which they are needed: the interchange starts
    # while Parsl is imported, and the workers while Academy is.
    interchange = WarmInterchange(folder.director(spec.index))
    with lean_parsl():
        from director.node_keeping import PoolPlace
        from director.parsl_pool import ParslPool

    launcher = await asyncio.to_thread(launcher_of, allocation, spec.pool, around)
    place = PoolPlace(
        partition=partition,
        lead=allocation.lead.hostname,
        launcher=launcher,
        address=spec.pool.address or _address(allocation, partition),
        folder=folder.director(spec.index),
        run_folder=folder.path,
        work=folder.work(spec.index),
        environment=around.environment,
        mark=around.environment[MARK_VARIABLE],
    )
    logger.info("workers are started by %s and reach this Director at %s", launcher.name, place.address)
    pool = ParslPool(place, spec.pool, interchange=interchange, fail=lambda reason: ending.ask(reason, failed=True))
    try:
        await _until(asyncio.create_task(asyncio.to_thread(pool.start), name="pool-start"), beside=asked)
        if not ending.asked.is_set():
            logger.info("worker pools are starting")
            await _run(spec, partition, pool, folder, ending, asked, life)
    finally:
        await asyncio.to_thread(pool.close)
    if ending.failed:
        raise CannotRunError(ending.reason)
    return {"director": spec.index, "reason": ending.reason}


def _leased(spec: DirectorSpec, folder: RunFolder, around: Surroundings) -> Lease:
    """Becomes the only Director of its ledger.

    Raises:
        CannotRunError: If another one lives, or that cannot be found out.
    """
    job_id = next((around.environment[name] for name in JOB_VARIABLES if name in around.environment), None)
    holder = Holder(
        run_id=spec.run_id,
        director=spec.index,
        launch_id=str(spec.launch),
        host=socket.gethostname(),
        pid=os.getpid(),
        job_id=job_id,
        since=datetime.now(UTC),
    )
    try:
        return Lease.acquire(folder.lease(spec.index), holder, expires_s=LEASE_S)
    except HeldError as error:
        raise HeldByAnotherError(str(error)) from None
    except LeaseError as error:
        raise CannotRunError(str(error)) from None


def _take_place(spec: DirectorSpec, folder: RunFolder, around: Surroundings) -> tuple[Allocation, Partition]:
    """Finds this Director's Partition, and sees to the run folder.

    Raises:
        ValueError: If the Allocation cannot be had or shared so.
        OSError: If the run folder cannot be written.
    """
    chosen = settled(spec.allocation, shares_of(spec.shares).directors, around.environment)
    allocation = granted(chosen, around)
    partitions = carved(allocation, spec.shares, spec.pool)
    record = record_of(
        spec.run_id,
        spec.created_at,
        spec=chosen,
        shares=spec.shares,
        pool=spec.pool,
        partitions=partitions,
        lead=allocation.lead.hostname,
    )
    folder.join(record)
    for file in spec.files:
        store(folder, file.staged, file.content)
    return allocation, partitions[spec.index]


def _address(allocation: Allocation, partition: Partition) -> str:
    return LOOPBACK if allocation.scheduler == "local" else address_for(partition.hostnames, socket.gethostname())


async def _run(
    spec: DirectorSpec,
    partition: Partition,
    pool: ParslPool,
    folder: RunFolder,
    ending: Ending,
    asked: asyncio.Task[Any],
    life: int,
) -> None:
    """Runs Requests and answers on the exchange until asked to end."""
    from director.agent import DirectorAgent
    from director.engine import Engine
    from director.serving import Serving

    ledger = MemoryLedger() if spec.memory_ledger else SqliteLedger(folder.ledger(spec.index))
    ledger.claim(life)
    engine = Engine(
        index=spec.index,
        partition=partition,
        tools=find_tools(),
        ledger=ledger,
        pool=pool,
        max_attempts=spec.pool.max_attempts,
        max_node_losses=spec.pool.max_node_losses,
        fail=lambda reason, fenced: ending.ask(reason, failed=True, taken_over=fenced),
    )
    await engine.start()
    serving = Serving(
        spec, DirectorAgent, lambda: DirectorAgent(engine, folder, lambda: ending.ask("closed by its client"))
    )
    tasks = [asyncio.create_task(serving.forever(), name="serve")]
    try:
        await _begin_with(spec, engine)
        if spec.linger_s is not None:
            others = set(range(shares_of(spec.shares).directors)) - {spec.index}
            siblings = Siblings(folder, others)
            tasks.append(asyncio.create_task(_linger(spec.linger_s, engine, siblings, ending), name="linger"))
        await _until(tasks[0], beside=asked)
    finally:
        if ending.taken_over:
            serving.leave()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await engine.close()


async def _begin_with(spec: DirectorSpec, engine: Engine) -> None:
    """Accepts the Requests that came with the spec. Those that it has had in an earlier life are left as they are."""
    for verdict in await engine.submit(spec.requests) if spec.requests else ():
        if verdict.problems:  # its client has checked it: the Tools here must be others
            raise CannotRunError(f"request {verdict.id} was refused: {'; '.join(map(str, verdict.problems))}")


async def _linger(linger_s: float, engine: Engine, siblings: Siblings, ending: Ending) -> None:
    """Ends the Director when it has had nothing to do for long enough."""
    while True:
        await asyncio.sleep(LINGER_LOOK_S)
        reason = reason_to_end(engine.idleness(), linger_s)
        if reason and (engine.draining or not await asyncio.to_thread(siblings.busy)):
            ending.ask(reason)


async def _until(wanted: asyncio.Task[Any], *, beside: asyncio.Task[Any]) -> None:
    """Waits for a task, and no longer than until another one ends; raises what either raised."""
    done, _ = await asyncio.wait((wanted, beside), return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a log record is worth a line: Academy logs its own cancelled calls as errors when an agent ends."""
    return not (record.exc_info and record.exc_info[0] is asyncio.CancelledError)


def main() -> None:
    """Reads the spec, runs the Director, writes the summary."""
    spec = DirectorSpec.model_validate_json(sys.stdin.buffer.readline())
    # Only the summary goes to standard output, whatever the libraries print.
    answer = os.dup(1)
    os.dup2(2, 1)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("parsl", "academy", "aiohttp"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    # What becomes of an attempt is said by the engine, in one line.
    logging.getLogger("parsl.dataflow").setLevel(logging.CRITICAL)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_is_news)
    os.umask(0o077)
    guard = Guard(os.environ)
    try:
        summary = asyncio.run(direct(spec)) | {"ok": True}
    except CannotRunError as error:
        logger.error("Director %d ended: %s", spec.index, error)
        summary = {"director": spec.index, "ok": False, "error": str(error)}
        if isinstance(error, HeldByAnotherError):
            summary["held"] = True
    except Exception as error:
        logger.exception("Director %d ended with an error", spec.index)
        summary = {"director": spec.index, "ok": False, "error": f"{type(error).__name__}: {error}"}
    end_marked(guard.mark, spare=os.getpid())
    guard.release()
    with contextlib.suppress(BrokenPipeError):  # whoever launched it is gone
        os.write(answer, json.dumps(summary).encode() + b"\n")
    # Parsl's threads may still wait for what is gone.
    os._exit(0 if summary["ok"] else 1)


if __name__ == "__main__":
    main()
