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
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from director.carving import carved, granted, launcher_of, owners_of, settled, shares_of
from director.collecting import collect_rarely
from director.ending import CannotRunError, Ending, HeldByAnotherError, watch_lifeline
from director.launch import run_folder_of
from director.lease import HeldError, Holder, Lease, LeaseError
from director.ledger import Ledger, MemoryLedger, open_claimed
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

if TYPE_CHECKING:
    from director.parsl_pool import ParslPool

logger = logging.getLogger(__name__)

# A Tool looks about once a second whether it is to stop.
SOON_S = 1.5
# Schedulers kill 10 s (PBS) to 30 s (Slurm) after SIGTERM. SIGUSR1 is what users have them send early.
SIGNALS = {signal.SIGTERM: 5.0, signal.SIGINT: 5.0, signal.SIGUSR1: 20.0}
# How long a Director tries to take leave of its exchange; of one that its client held, and that is gone with it.
LEAVE_S, LEAVE_OWN_S = 3.0, 1.0
# File systems of clusters have been seen to pause for this long.
LEASE_S = 30.0
LEASE_PATIENCE_S = 300.0
JOB_VARIABLES = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "FLUX_JOB_ID")


async def direct(spec: DirectorSpec) -> dict[str, Any]:
    """Runs a Director until it is asked to end.

    Returns:
        A summary in JSON values.

    Raises:
        Exception: Whatever kept it from starting, or from going on.
    """
    ending = Ending()
    watch_lifeline(lambda reason: ending.ask_softly(reason, SOON_S))
    for name, within_s in SIGNALS.items():
        asyncio.get_running_loop().add_signal_handler(name, ending.ask_softly, f"signal {name.name}", within_s)
    folder = RunFolder(run_folder_of(spec, os.environ))
    around = ThisProcess()
    lease = await asyncio.to_thread(_leased, spec, folder, around)
    try:
        # The ledger refuses whoever was taken over from, so a file system that pauses need not end a Director.
        lease.keep(lambda reason: ending.ask(reason, failed=True, taken_over=True), patience_s=LEASE_PATIENCE_S)
        return await _direct(spec, folder, around, ending, lease)
    finally:
        await asyncio.to_thread(lease.release)


async def _direct(
    spec: DirectorSpec, folder: RunFolder, around: Surroundings, ending: Ending, lease: Lease
) -> dict[str, Any]:
    """Runs a Director that holds its lease."""
    allocation, partition = await asyncio.to_thread(_take_place, spec, folder, around)
    logger.info("Director %d of run %s owns %s", spec.index, spec.run_id, ", ".join(partition.hostnames))
    asked = asyncio.create_task(ending.asked.wait(), name="ending")
    starting = asyncio.create_task(_end_while_starting(ending), name="starting")
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
    pool = ParslPool(
        place,
        spec.pool,
        interchange=interchange,
        fail=lambda reason: ending.ask(reason, failed=True),
        warned=lambda number, word: ending.ask_softly(word, SIGNALS[number]),
    )
    try:
        summary: dict[str, Any] = {}
        await _until(asyncio.create_task(asyncio.to_thread(pool.start), name="pool-start"), beside=asked)
        starting.cancel()
        if not ending.asked.is_set():
            logger.info("worker pools are starting")
            summary = await _run(spec, allocation, partition, pool, folder, ending, asked, lease)
    finally:
        await asyncio.to_thread(pool.close)
    if ending.failed:
        raise CannotRunError(ending.reason)
    return {"director": spec.index, "reason": ending.reason, **summary}


async def _end_while_starting(ending: Ending) -> None:
    """There is nothing to save yet."""
    await ending.softly.wait()
    ending.ask(ending.reason)


def _leased(spec: DirectorSpec, folder: RunFolder, around: Surroundings) -> Lease:
    """Becomes the only Director of its ledger.

    Raises:
        CannotRunError: If another one lives, or that cannot be found out.
    """
    holder = Holder(
        run_id=spec.run_id,
        director=spec.index,
        launch_id=str(spec.launch),
        host=socket.gethostname(),
        pid=os.getpid(),
        job_id=_job_id(around.environment),
        since=datetime.now(UTC),
    )
    try:
        return Lease.acquire(folder.lease(spec.index), holder, expires_s=LEASE_S)
    except HeldError as error:
        raise HeldByAnotherError(str(error)) from None
    except LeaseError as error:
        raise CannotRunError(str(error)) from None


def _job_id(environment: Mapping[str, str]) -> str | None:
    return next((environment[name] for name in JOB_VARIABLES if name in environment), None)


def _take_place(spec: DirectorSpec, folder: RunFolder, around: Surroundings) -> tuple[Allocation, Partition]:
    """Finds this Director's Partition, and sees to the run folder.

    Raises:
        ValueError: If the Allocation cannot be had or shared so.
        OSError: If the run folder cannot be written.
    """
    chosen = settled(spec.allocation, owners_of(spec.shares), around.environment)
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
        tools=spec.tools,
    )
    folder.join(record)
    for file in spec.files:
        store(folder, file.staged, file.content)
    return allocation, partitions[spec.index]


def _address(allocation: Allocation, partition: Partition) -> str:
    return LOOPBACK if allocation.scheduler == "local" else address_for(partition.hostnames, socket.gethostname())


async def _run(
    spec: DirectorSpec,
    allocation: Allocation,
    partition: Partition,
    pool: ParslPool,
    folder: RunFolder,
    ending: Ending,
    asked: asyncio.Task[Any],
    lease: Lease,
) -> dict[str, Any]:
    """Runs Requests and answers on the exchange until asked to end; returns what there is to say in the end."""
    from director import service
    from director.agent import DirectorAgent
    from director.serving import Serving

    ledger: Ledger = MemoryLedger()
    if spec.memory_ledger:
        ledger.claim(lease.life)
    else:
        ledger = open_claimed(folder.ledger(spec.index), lease.life)
    walltime = service.walltime_of(spec.walltime, allocation.deadline, datetime.now(UTC))
    engine = service.make_engine(spec, partition, pool, ledger, folder, walltime, ending, lease.life)
    await engine.start()
    serving = Serving(spec, DirectorAgent, lambda: DirectorAgent(engine, folder, ending.ask_softly, spec.exchange))
    tasks = [
        asyncio.create_task(serving.forever(), name="serve"),
        asyncio.create_task(service.wind_down_when_asked(engine, ending), name="wind-down"),
    ]
    try:
        await engine.note("began", service.began(partition, pool, socket.gethostname(), _job_id(os.environ)))
        await service.begin_with(spec, engine)
        if walltime is not None:
            logger.info("what runs is asked to stop at %s, %g s before the end", walltime.stop_at, walltime.reserve_s)
            tasks.append(asyncio.create_task(service.keep_walltime(engine, ending, walltime), name="walltime"))
        if spec.linger_s is not None:
            others = set(range(shares_of(spec.shares).directors)) - {spec.index}
            siblings = Siblings(folder, others)
            tasks.append(asyncio.create_task(service.linger(spec.linger_s, engine, siblings, ending), name="linger"))
        await _until(tasks[0], beside=asked)
        return await service.sum_up(engine, ending)
    finally:
        if ending.taken_over:
            serving.leave()
        for task in tasks:
            task.cancel()
        # Whoever takes leave of an exchange that is gone could wait for a long time.
        await asyncio.wait(tasks, timeout=LEAVE_OWN_S if spec.linger_s is None else LEAVE_S)
        await engine.close()


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
    collect_rarely()
    guard = Guard(os.environ)
    try:
        # Never closed: what waits in the loop for something that is gone ends with this process.
        summary = asyncio.Runner().run(direct(spec)) | {"ok": True}
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
