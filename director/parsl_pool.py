"""The workers of one Director: a Parsl HighThroughputExecutor on its Partition."""

from __future__ import annotations

import logging
import shlex
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from parsl.app.python import PythonApp
from parsl.config import Config
from parsl.dataflow.dflow import DataFlowKernel
from parsl.executors import HighThroughputExecutor
from parsl.executors.high_throughput.errors import ManagerLost, WorkerLost

from director.attempt import Attempt, AttemptResult
from director.node_keeping import NodeKeeping, PoolPlace
from director.pool import LostError, NodeState, NoWorkersError
from director.spec import PoolSpec
from director.warm import WarmInterchange
from director.worker import pack_name, run_attempts
from partitions.line import KeeperView
from simulations.workspace import STOP_FILE

logger = logging.getLogger(__name__)

HEARTBEAT_PERIOD_S = 2
HEARTBEAT_THRESHOLD_S = 8
# Messages wake Parsl's processes at once; in between they look this often. The default, 10 ms, costs 1 % of a core.
EXECUTOR_POLL_MS = 100
SUPERVISE_PERIOD_S = 0.5
POLL_PERIOD_S = 1.0
CLEANUP_S = 2.0

_WORKER_POOL = (
    shlex.join([sys.executable, "-m", "partitions.worker_pool"])
    + " -a {addresses} -p {prefetch_capacity} --poll {poll_period} --port={worker_port} --cert_dir '{cert_dir}'"
    " --logdir='{logdir}' --block_id={{block_id}} --hb_period={heartbeat_period} --hb_threshold={heartbeat_threshold}"
    " {address_probe_timeout_string} --cpu-affinity {cpu_affinity}"
)


class ParslPool:
    """A Pool on a HighThroughputExecutor of its own.

    Args:
        place: Where it lives.
        spec: How to run the workers.
        interchange: Parsl's interchange, which the pool ends with its workers.
        fail: Called once, from another thread, with the reason, if the Partition cannot be used at all.
    """

    def __init__(
        self, place: PoolPlace, spec: PoolSpec, *, interchange: WarmInterchange, fail: Callable[[str], None]
    ) -> None:
        self._place = place
        self._interchange = interchange
        self._fail = fail
        self._news = threading.Event()
        self._nodes = NodeKeeping(place, spec, changed=self._news.set, gone=self._lose_with)
        self._executor = HighThroughputExecutor(
            label="workers",
            provider=self._nodes.provider,
            launch_cmd=_WORKER_POOL,
            interchange_launch_cmd=interchange.command,
            address=place.address,
            encrypted=True,
            max_workers_per_node=self._nodes.most_workers,
            cores_per_worker=1e-3,
            prefetch_capacity=0,
            heartbeat_period=HEARTBEAT_PERIOD_S,
            heartbeat_threshold=HEARTBEAT_THRESHOLD_S,
            poll_period=EXECUTOR_POLL_MS,
            block_error_handler=False,
        )
        self._config = Config(
            executors=[self._executor],
            run_dir=str(place.folder / "parsl"),
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
        self._pending: dict[str, Future[list[AttemptResult]]] = {}
        self._lock = threading.Lock()

    @property
    def workers(self) -> int:
        """See `Pool.workers`."""
        return self._nodes.workers

    @property
    def hopeless(self) -> str | None:
        """See `Pool.hopeless`."""
        return self._broken

    def start(self) -> None:
        """See `Pool.start`."""
        self._kernel = DataFlowKernel(self._config)
        self._step()
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
            self._pending[pack_name(attempts)] = ours
        theirs = self._app(attempts, str(self._place.run_folder), str(self._place.work))
        theirs.add_done_callback(lambda done: self._settle(pack_name(attempts), done))
        return ours

    def _lose_with(self, keeper: KeeperView) -> None:
        """Gives up what ran on a node when its keeper is gone: Parsl would notice only when heartbeats are missed."""
        with self._lock:
            lost = [self._pending.pop(name) for name in keeper.running.values() if name in self._pending]
        for future in lost:
            future.set_exception(LostError(f"lost with its worker pool on {keeper.node}", with_node=True))

    def _settle(self, name: str, theirs: Future[list[AttemptResult]]) -> None:
        with self._lock:
            ours = self._pending.pop(name, None)
        if ours is None:
            return
        error = theirs.exception()
        if error is None:
            ours.set_result(theirs.result())
        elif isinstance(error, WorkerLost | ManagerLost):
            ours.set_exception(LostError(str(error), with_node=isinstance(error, ManagerLost)))
        else:
            ours.set_exception(error)

    def stop(self, ids: Sequence[str]) -> None:
        """See `Pool.stop`."""
        for name in ids:
            flag = self._place.work / name / STOP_FILE
            flag.parent.mkdir(exist_ok=True, mode=0o700)
            flag.touch()

    def nodes(self) -> list[NodeState]:
        """See `Pool.nodes`; at most half a second old."""
        return list(self._nodes.states)

    def close(self) -> None:
        """See `Pool.close`."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._news.set()
        if self._supervisor.is_alive():
            self._supervisor.join(CLEANUP_S)
        self._nodes.close()
        if self._kernel is not None:
            # Parsl waits for answers of its interchange, which may be gone, without an end.
            cleanup = threading.Thread(target=self._kernel.cleanup, name="parsl-cleanup", daemon=True)
            cleanup.start()
            cleanup.join(CLEANUP_S)
        self._interchange.close()

    def _supervise(self) -> None:
        while not self._stop.is_set():
            self._news.wait(SUPERVISE_PERIOD_S)
            self._news.clear()
            if self._stop.is_set():
                return
            if not self._interchange.alive:
                self._give_up("Parsl's interchange has ended")
                return
            try:
                if not self._step():
                    return
            except Exception as error:
                # Nobody would look after the nodes any more, and nobody would know.
                logger.exception("the nodes cannot be kept")
                self._fail(f"the nodes cannot be kept: {type(error).__name__}: {error}")
                return

    def _step(self) -> bool:
        """Looks at the nodes and does what is due; returns whether to go on."""
        outlook = self._nodes.step(self._executor, self._executor.connected_managers() if self._app else [])
        if outlook.fatal:
            self._fail(outlook.fatal)
        elif outlook.hopeless:
            self._give_up(outlook.hopeless)
        else:
            self._broken = None
        return not outlook.fatal

    def _give_up(self, reason: str) -> None:
        with self._lock:
            self._broken = reason
            pending, self._pending = list(self._pending.values()), {}
        for future in pending:
            future.set_exception(NoWorkersError(reason))
