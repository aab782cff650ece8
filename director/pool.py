"""The workers of one Director: a Parsl HighThroughputExecutor on its Partition."""

from __future__ import annotations

import logging
import shlex
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from parsl.app.python import PythonApp
from parsl.config import Config
from parsl.dataflow.dflow import DataFlowKernel
from parsl.executors import HighThroughputExecutor
from parsl.executors.high_throughput.errors import ManagerLost, WorkerLost

from director.attempt import Attempt, AttemptResult
from director.pool_size import workers_per_node
from director.spec import PoolSpec
from director.warm import WarmInterchange
from director.worker import run_attempts
from partitions.blocks import PartitionProvider, ProcessStarter
from partitions.carve import Partition
from partitions.watch_pool import watched
from simulations.workspace import STOP_FILE

logger = logging.getLogger(__name__)

HEARTBEAT_PERIOD_S = 2
HEARTBEAT_THRESHOLD_S = 8
# Messages wake Parsl's processes at once; in between they look this often. The default, 10 ms, costs 1 % of a core.
EXECUTOR_POLL_MS = 100
SUPERVISE_PERIOD_S = 0.5
POLL_PERIOD_S = 1.0
CLEANUP_S = 2.0
MAX_STILLBORN = 3

_WORKER_POOL = (
    shlex.join(watched([sys.executable, "-m", "parsl.executors.high_throughput.process_worker_pool"]))
    + " {debug} {max_workers_per_node} -a {addresses} -p {prefetch_capacity} -c {cores_per_worker} -m {mem_per_worker}"
    " --poll {poll_period} --port={worker_port} --cert_dir '{cert_dir}' --logdir='{logdir}' --logconf={logconf}"
    " --block_id={{block_id}} --hb_period={heartbeat_period} {address_probe_timeout_string}"
    " --hb_threshold={heartbeat_threshold} --drain_period={drain_period} --cpu-affinity {cpu_affinity}"
    " {enable_mpi_mode} --mpi-launcher={mpi_launcher} --available-accelerators {accelerators}"
)


@dataclass(frozen=True)
class NodeState:
    """How a node of the Partition is.

    Attributes:
        hostname: Its name.
        state: ``starting``, ``up`` or ``lost``.
        workers: How many of its workers are connected.
        reason: Why it is lost, with the end of its worker pool's output.
    """

    hostname: str
    state: str
    workers: int = 0
    reason: str | None = None


class LostError(RuntimeError):
    """An attempt was lost with its worker or node. That is not the Request's fault."""


class NoWorkersError(RuntimeError):
    """The pool has no node left that can run workers."""


class Pool(Protocol):
    """Runs attempts on workers."""

    @property
    def workers(self) -> int:
        """How many workers there are when all nodes are up."""
        ...

    def start(self) -> None:
        """Starts the workers; they may connect after it returns. Blocks.

        Raises:
            RuntimeError: If the pool cannot be started.
        """
        ...

    def submit(self, attempts: list[Attempt]) -> Future[list[AttemptResult]]:
        """Runs attempts one after another on one worker.

        Returns:
            A future of their results, or of `LostError` or `NoWorkersError`.
        """
        ...

    def stop(self, ids: Sequence[str]) -> None:
        """Asks attempts that run to stop. They end when their Tools next look. Blocks for a moment."""
        ...

    def nodes(self) -> list[NodeState]:
        """How the nodes are. Blocks for a moment."""
        ...

    def close(self) -> None:
        """Ends all workers at once. May be called twice. Blocks."""
        ...


class ParslPool:
    """A Pool on a HighThroughputExecutor of its own, one block per node.

    Args:
        partition: The nodes.
        spec: How to run the workers.
        folder: The Director's folder, for logs and certificates.
        run_folder: The run folder.
        work: Where Requests have their folders.
        environment: Environment of the workers.
        interchange: Parsl's interchange, which the pool ends with its workers.
    """

    def __init__(
        self,
        partition: Partition,
        spec: PoolSpec,
        *,
        folder: Path,
        run_folder: Path,
        work: Path,
        environment: Mapping[str, str],
        interchange: WarmInterchange,
    ) -> None:
        self._interchange = interchange
        self._per_node = workers_per_node(partition, spec)
        self._partition = partition
        self._folders = (str(run_folder), str(work))
        self._provider = PartitionProvider(
            partition,
            starter=ProcessStarter(spec.threads_per_worker),
            environment=environment,
            log_folder=folder / "logs",
        )
        self._executor = HighThroughputExecutor(
            label="workers",
            provider=self._provider,
            launch_cmd=_WORKER_POOL,
            interchange_launch_cmd=interchange.command,
            address="127.0.0.1",
            encrypted=True,
            max_workers_per_node=self._per_node,
            cores_per_worker=1e-3,
            prefetch_capacity=0,
            heartbeat_period=HEARTBEAT_PERIOD_S,
            heartbeat_threshold=HEARTBEAT_THRESHOLD_S,
            poll_period=EXECUTOR_POLL_MS,
            block_error_handler=False,
        )
        self._config = Config(
            executors=[self._executor],
            run_dir=str(folder / "parsl"),
            strategy="none",
            strategy_period=POLL_PERIOD_S,
            initialize_logging=False,
            usage_tracking=0,
            exit_mode="skip",
            retries=0,
        )
        self._kernel: DataFlowKernel | None = None
        self._app: PythonApp | None = None
        self._stop = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="pool-supervisor", daemon=True)
        self._broken: str | None = None
        self._pending: set[Future[list[AttemptResult]]] = set()
        self._lock = threading.Lock()

    @property
    def workers(self) -> int:
        """See `Pool.workers`."""
        return self._per_node * len(self._partition.nodes)

    def start(self) -> None:
        """See `Pool.start`."""
        self._kernel = DataFlowKernel(self._config)
        # Parsl's own scaling would start the first blocks only after its first period, and knows nothing of nodes.
        self._executor.scale_out_facade(len(self._partition.nodes))
        self._app = PythonApp(run_attempts, data_flow_kernel=self._kernel, executors=["workers"])
        self._supervisor.start()

    def submit(self, attempts: list[Attempt]) -> Future[list[AttemptResult]]:
        """See `Pool.submit`."""
        if self._app is None:
            raise RuntimeError("the pool has not been started")
        ours: Future[list[AttemptResult]] = Future()
        with self._lock:
            if self._broken is not None:
                ours.set_exception(NoWorkersError(self._broken))
                return ours
            self._pending.add(ours)
        theirs = self._app(attempts, *self._folders)
        theirs.add_done_callback(lambda done: self._settle(ours, done))
        return ours

    def _settle(self, ours: Future[list[AttemptResult]], theirs: Future[list[AttemptResult]]) -> None:
        with self._lock:
            if ours not in self._pending:
                return
            self._pending.discard(ours)
        error = theirs.exception()
        if error is None:
            ours.set_result(theirs.result())
        elif isinstance(error, WorkerLost | ManagerLost):
            ours.set_exception(LostError(str(error)))
        else:
            ours.set_exception(error)

    def stop(self, ids: Sequence[str]) -> None:
        """See `Pool.stop`."""
        for name in ids:
            flag = Path(self._folders[1]) / name / STOP_FILE
            flag.parent.mkdir(exist_ok=True, mode=0o700)
            flag.touch()

    def nodes(self) -> list[NodeState]:
        """See `Pool.nodes`."""
        if self._kernel is None or self._stop.is_set():
            return [NodeState(name, "starting") for name in self._partition.hostnames]
        workers = {job_id.rpartition(".")[0]: count for job_id, count in self._connected().items()}
        failures = self._provider.failures()
        states = []
        for name in self._partition.hostnames:
            if name in failures:
                states.append(NodeState(name, "lost", reason=failures[name].reason))
            elif name in workers:
                states.append(NodeState(name, "up", workers=workers[name]))
            else:
                states.append(NodeState(name, "starting"))
        return states

    def _connected(self) -> dict[str, int]:
        """Job ids of the blocks whose worker pools are connected, each with its number of workers."""
        return {
            self._executor.blocks_to_job_id[manager["block_id"]]: manager["worker_count"]
            for manager in self._executor.connected_managers()
            if manager["active"] and manager["block_id"] in self._executor.blocks_to_job_id
        }

    def close(self) -> None:
        """See `Pool.close`."""
        if self._stop.is_set():
            return
        self._stop.set()
        if self._supervisor.is_alive():
            self._supervisor.join(CLEANUP_S)
        self._provider.cancel_all()
        if self._kernel is not None:
            # Parsl waits for answers of its interchange, which may be gone, without an end.
            cleanup = threading.Thread(target=self._kernel.cleanup, name="parsl-cleanup", daemon=True)
            cleanup.start()
            cleanup.join(CLEANUP_S)
        self._interchange.close()

    def _supervise(self) -> None:
        """Starts a block where one has ended. Gives up nodes whose blocks never connect, and with the last the pool."""
        stillborn: dict[str, int] = {}
        connected: set[str] = set()
        hopeless: dict[str, str] = {}
        while not self._stop.wait(SUPERVISE_PERIOD_S):
            if not self._interchange.alive:
                self._give_up("Parsl's interchange has ended")
                return
            connected |= self._connected().keys()
            for name, failure in self._provider.failures().items():
                if name in hopeless:
                    continue
                stillborn[name] = 0 if failure.job_id in connected else stillborn.get(name, 0) + 1
                if stillborn[name] < MAX_STILLBORN:
                    logger.warning("worker pool on %s ended (%s); starting it again", name, failure.reason)
                    self._executor.scale_out_facade(1)
                else:
                    logger.error("worker pool on %s ended again (%s); giving the node up", name, failure.reason)
                    hopeless[name] = failure.reason
            if len(hopeless) == len(self._partition.nodes):
                listed = "; ".join(f"{name}: {reason}" for name, reason in hopeless.items())
                self._give_up(f"no worker could be kept running on any node of the Partition ({listed})")
                return

    def _give_up(self, reason: str) -> None:
        with self._lock:
            self._broken = reason
            pending, self._pending = list(self._pending), set()
        for future in pending:
            future.set_exception(NoWorkersError(reason))
