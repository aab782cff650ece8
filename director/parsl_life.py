"""One life of Parsl under a Director: what is started together, ends together, and is replaced as a whole.

Parsl's interchange cannot be started again under its executor. So when it ends, everything of it ends, and another life
begins on the same nodes; see `director.parsl_pool`.
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path
from typing import Any

import zmq
from parsl.app.python import PythonApp
from parsl.config import Config
from parsl.dataflow.dflow import DataFlowKernel
from parsl.executors import HighThroughputExecutor
from parsl.executors.high_throughput.errors import CommandClientBadError, CommandClientTimeoutError

from director.warm import WarmInterchange
from partitions.blocks import PartitionProvider

logger = logging.getLogger(__name__)

HEARTBEAT_PERIOD_S = 2
HEARTBEAT_THRESHOLD_S = 8
# Messages wake Parsl's processes at once; in between they look this often. The default, 10 ms, costs 1 % of a core.
EXECUTOR_POLL_MS = 100
POLL_PERIOD_S = 1.0
# An interchange answers within milliseconds. One that is busy, on a machine that is busy, may take seconds.
ANSWER_S = 30.0
ANSWER_POLL_S = 0.1
SEND_S = 10.0

_WORKER_POOL = (
    shlex.join([sys.executable, "-m", "partitions.worker_pool"])
    + " -a {addresses} -p {prefetch_capacity} --poll {poll_period} --port={worker_port} --cert_dir '{cert_dir}'"
    " --logdir='{logdir}' --block_id={{block_id}} --hb_period={heartbeat_period} --hb_threshold={heartbeat_threshold}"
    " {address_probe_timeout_string} --cpu-affinity {cpu_affinity}"
)


class BrokenError(RuntimeError):
    """Parsl cannot be used any more. The message says why."""


class _Executor(HighThroughputExecutor):  # type: ignore[misc]  # parsl is not typed
    """Parsl's executor, but it never waits for its interchange without an end."""

    def start(self) -> None:
        super().start()
        # If the interchange is gone, what is sent to it waits for another one, and so does closing the connection.
        self.outgoing_q.zmq_socket.setsockopt(zmq.SNDTIMEO, round(SEND_S * 1000))
        self.outgoing_q.zmq_socket.setsockopt(zmq.LINGER, 0)

    def connected_managers(self) -> list[dict[str, Any]]:
        return list(self.command_client.run("MANAGERS", timeout_s=ANSWER_S))

    def connected_blocks(self) -> list[str]:
        # Asked for by Parsl's own watch over blocks, whose findings nobody uses.
        try:
            return list(self.command_client.run("CONNECTED_BLOCKS", timeout_s=ANSWER_S))
        except (CommandClientTimeoutError, CommandClientBadError):
            return []

    def give_up(self, error: Exception) -> None:
        """Ends what waits, without a word to the interchange."""
        self._executor_exception = error
        self._executor_bad_state.set()
        for future in list(self.tasks.values()):
            with contextlib.suppress(InvalidStateError):
                future.set_exception(error)

    @property
    def hears(self) -> bool:
        """Whether somebody takes the results that come."""
        return bool(self._result_queue_thread is not None and self._result_queue_thread.is_alive())


class ParslLife:
    """An interchange, an executor and a kernel. It breaks at most once, and stays broken.

    Args:
        interchange: The interchange, which has been started. It ends with this.
        provider: Starts worker pools.
        most_workers: How many workers the node with the most has.
        address: An address of this machine that the nodes can reach.
        folder: Where Parsl keeps its files.
        function: What is run on workers.
    """

    def __init__(
        self,
        *,
        interchange: WarmInterchange,
        provider: PartitionProvider,
        most_workers: int,
        address: str,
        folder: Path,
        function: Callable[..., Any],
    ) -> None:
        self._interchange = interchange
        self._function = function
        self.executor = _Executor(
            label="workers",
            provider=provider,
            launch_cmd=_WORKER_POOL,
            interchange_launch_cmd=interchange.command,
            address=address,
            encrypted=True,
            max_workers_per_node=most_workers,
            cores_per_worker=1e-3,
            prefetch_capacity=0,
            heartbeat_period=HEARTBEAT_PERIOD_S,
            heartbeat_threshold=HEARTBEAT_THRESHOLD_S,
            poll_period=EXECUTOR_POLL_MS,
            block_error_handler=False,
        )
        self._config = Config(
            executors=[self.executor],
            run_dir=str(folder),
            strategy="none",
            strategy_period=POLL_PERIOD_S,
            initialize_logging=False,
            usage_tracking=0,
            exit_mode="skip",
            retries=0,
        )
        self._kernel: DataFlowKernel | None = None
        self._app: PythonApp | None = None
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="interchange-asked")

    def start(self) -> None:
        """Starts it. Blocks for as long as the interchange takes to answer.

        Raises:
            Exception: Whatever kept Parsl from starting.
        """
        # Parsl waits two minutes for its interchange, also if that has ended.
        begun: Future[DataFlowKernel] = Future()
        threading.Thread(target=self._begin, args=(begun,), name="parsl-start", daemon=True).start()
        while True:
            try:
                self._kernel = begun.result(timeout=ANSWER_POLL_S)
                break
            except NotYet:
                if begun.done():
                    raise
                if not self._interchange.alive:
                    raise BrokenError("Parsl's interchange has ended while it was started") from None
        self._app = PythonApp(self._function, data_flow_kernel=self._kernel, executors=["workers"])

    def _begin(self, begun: Future[DataFlowKernel]) -> None:
        try:
            begun.set_result(DataFlowKernel(self._config))
        except Exception as error:  # noqa: BLE001, RUF100  (raised where it is waited for)
            begun.set_exception(error)

    @property
    def broken(self) -> str | None:
        """Why it cannot be used any more; else None."""
        if not self._interchange.alive:
            return "Parsl's interchange has ended"
        if self._app is not None and (self.executor.bad_state_is_set or not self.executor.hears):
            return f"Parsl's executor cannot go on: {self.executor.executor_exception or 'it hears of no results'}"
        return None

    def submit(self, *arguments: Any) -> Future[Any]:
        """Runs the function on a worker.

        Raises:
            Exception: Whatever Parsl raises once it is broken or closed.
        """
        if self._app is None:
            raise BrokenError("Parsl has not been started")
        return self._app(*arguments)  # type: ignore[no-any-return]

    def managers(self) -> Sequence[Mapping[str, object]]:
        """The worker pools that are connected. Blocks while the interchange takes its time, but not if it ends.

        Raises:
            BrokenError: If it gives no answer.
        """
        asked = self._asking.submit(self.executor.connected_managers)
        since = time.monotonic()
        while True:
            try:
                return asked.result(timeout=ANSWER_POLL_S)
            except NotYet:
                reason = self.broken
                if reason is None and time.monotonic() - since > ANSWER_S:
                    reason = f"Parsl's interchange has given no answer for {ANSWER_S:g} s"
                if reason is not None:
                    raise BrokenError(reason) from None
            except Exception as error:
                raise BrokenError(self.broken or f"Parsl's interchange gives no answer: {error}") from error

    def close(self, within_s: float) -> None:
        """Ends it; its worker pools have been ended. Blocks no longer than that many seconds.

        Where the interchange gives no answers, Parsl's own cleaning up takes longer, and goes on by itself.
        """
        broken = self.broken
        cleanup = threading.Thread(target=self._clean_up, args=(broken,), name="parsl-cleanup", daemon=True)
        if broken is not None:
            self._interchange.close()
        cleanup.start()
        cleanup.join(within_s)
        self._interchange.close()

    def _clean_up(self, broken: str | None) -> None:
        self._asking.shutdown(wait=False)
        if broken is not None or self._kernel is None:
            self.executor.give_up(BrokenError(broken or "Parsl was not started"))
        if self._kernel is None:
            return
        if broken is not None:
            # Parsl would close the connection under a thread that is about to send, which it must not.
            self._kernel._task_launch_pool.shutdown(cancel_futures=True)
        try:
            self._kernel.cleanup()
        except Exception:
            logger.debug("Parsl did not clean up", exc_info=True)
