"""The process of one Director: ``python -m director.process``, with its spec as one line of JSON on standard input.

Standard input stays open as a lifeline: when it closes, whoever launched the Director is gone, and the Director ends.
The last line of standard output is a JSON summary.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from director.carving import carved, granted, launcher_of
from director.ledger import MemoryLedger, SqliteLedger
from director.runfolder import RunFolder
from director.spec import DirectorSpec
from director.warm import WarmInterchange
from partitions.address import LOOPBACK, address_for
from partitions.allocation import Allocation
from partitions.carve import Partition
from partitions.guard import MARK_VARIABLE, Guard, end_marked
from partitions.surroundings import ThisProcess
from simulations.tool import find_tools

if TYPE_CHECKING:
    from director.engine import Engine
    from director.parsl_pool import ParslPool

logger = logging.getLogger(__name__)

END_WITHIN_S = 3.0
PARENT_POLL_S = 0.25
REGISTRATION_TIMEOUT_S = 60.0
REGISTRATION_POLL_S = 0.02


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


class Ending:
    """The one way in which a Director comes to its end: asked once, and then done within a few seconds."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.reason = "closed by its client"
        self.failed = False
        self._loop = asyncio.get_running_loop()

    def ask(self, reason: str, *, failed: bool = False) -> None:
        """Asks for the end, because the Director cannot go on or because it need not. Safe from any thread."""
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
    folder = RunFolder(Path(spec.run_folder))
    around = ThisProcess()
    allocation = await asyncio.to_thread(granted, spec.allocation, around)
    partition = carved(allocation, spec.shares, spec.pool)[spec.index]
    logger.info("Director %d of run %s owns %s", spec.index, spec.run_id, ", ".join(partition.hostnames))
    asked = asyncio.create_task(ending.asked.wait(), name="ending")
    # Imports take most of the start-up, so they stand in the order in which they are needed: the interchange starts
    # while Parsl is imported, and the workers while Academy is.
    interchange = WarmInterchange(folder.director(spec.index))
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
            await _direct(spec, partition, pool, folder, ending, asked)
    finally:
        await asyncio.to_thread(pool.close)
    if ending.failed:
        raise CannotRunError(ending.reason)
    return {"director": spec.index, "reason": ending.reason}


def _address(allocation: Allocation, partition: Partition) -> str:
    return LOOPBACK if allocation.scheduler == "local" else address_for(partition.hostnames, socket.gethostname())


async def _direct(
    spec: DirectorSpec,
    partition: Partition,
    pool: ParslPool,
    folder: RunFolder,
    ending: Ending,
    asked: asyncio.Task[Any],
) -> None:
    """Runs Requests and answers on the exchange until asked to end."""
    from director.engine import Engine

    engine = Engine(
        index=spec.index,
        partition=partition,
        tools=find_tools(),
        ledger=MemoryLedger() if spec.memory_ledger else SqliteLedger(folder.ledger(spec.index)),
        pool=pool,
        max_attempts=spec.pool.max_attempts,
        max_node_losses=spec.pool.max_node_losses,
    )
    await engine.start()
    serving = asyncio.create_task(_serve(spec, engine, folder.work(spec.index), ending), name="serve")
    try:
        await _until(serving, beside=asked)
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await engine.close()


async def _until(wanted: asyncio.Task[Any], *, beside: asyncio.Task[Any]) -> None:
    """Waits for a task, and no longer than until another one ends; raises what either raised."""
    done, _ = await asyncio.wait((wanted, beside), return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


async def _serve(spec: DirectorSpec, engine: Engine, work: Path, ending: Ending) -> None:
    """Answers on the exchange until cancelled."""
    from academy.exception import BadEntityIdError
    from academy.exchange.cloud.client import HttpAgentRegistration
    from academy.identifier import AgentId
    from academy.runtime import Runtime, RuntimeConfig
    from academy.serialize import SerializationStrategy
    from aiohttp import ClientConnectionError

    from director.agent import DirectorAgent
    from director.exchange import exchange_factory

    agent_id: AgentId[DirectorAgent] = AgentId(uid=spec.agent_id)
    give_up = time.monotonic() + REGISTRATION_TIMEOUT_S
    while True:
        runtime = Runtime(  # type: ignore[type-var]  # the bound does not know generic registrations
            DirectorAgent(engine, work, lambda: ending.ask("closed by its client")),
            exchange_factory=exchange_factory(spec.exchange),
            registration=HttpAgentRegistration(agent_id=agent_id),
            config=RuntimeConfig(
                default_serializer=SerializationStrategy.JSON,
                allowed_deserializers={SerializationStrategy.JSON},
            ),
        )
        try:
            async with runtime:
                logger.info("answering at %s", spec.exchange.url)
                await runtime.wait_shutdown()
            raise RuntimeError(f"the exchange at {spec.exchange.url} is gone")
        except (BadEntityIdError, ClientConnectionError) as error:
            # The client registers its Directors while they start, so the first look may come too early.
            if time.monotonic() > give_up:
                raise RuntimeError(f"cannot reach the exchange at {spec.exchange.url}: {error!r}") from error
            await asyncio.sleep(REGISTRATION_POLL_S)


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
    except Exception as error:
        logger.exception("Director %d ended with an error", spec.index)
        summary = {"director": spec.index, "ok": False, "error": f"{type(error).__name__}: {error}"}
    end_marked(guard.mark, spare=os.getpid())
    guard.release()
    os.write(answer, json.dumps(summary).encode() + b"\n")
    # Parsl's threads may still wait for what is gone.
    os._exit(0 if summary["ok"] else 1)


if __name__ == "__main__":
    main()
