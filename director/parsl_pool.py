"""The workers of one Director: a Parsl HighThroughputExecutor on its Partition."""

from __future__ import annotations

import logging
import shlex
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from parsl.app.python import PythonApp
from parsl.config import Config
from parsl.dataflow.dflow import DataFlowKernel
from parsl.executors import HighThroughputExecutor
from parsl.executors.high_throughput.errors import ManagerLost, WorkerLost

from director.attempt import Attempt, AttemptResult
from director.pool import LostError, NodeState, NoWorkersError
from director.pool_size import bindings_of
from director.spec import PoolSpec
from director.warm import WarmInterchange
from director.worker import pack_name, run_attempts
from partitions.blocks import PartitionProvider
from partitions.carve import Partition
from partitions.environment import FORWARDED_VARIABLES
from partitions.keeper import Orders, Post
from partitions.launchers import Launcher
from partitions.line import KeeperView, Line
from partitions.node_watch import NodeWatch, Steps
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


@dataclass(frozen=True)
class PoolPlace:
    """Where a pool lives.

    Attributes:
        partition: The nodes.
        lead: Name of the lead node.
        launcher: How to start programs on them.
        address: An address of this machine that they can reach.
        folder: The Director's folder, for logs, orders and certificates.
        run_folder: The run folder.
        work: Where Requests have their folders.
        environment: Environment of the launchers.
        mark: The Director's mark.
    """

    partition: Partition
    lead: str
    launcher: Launcher
    address: str
    folder: Path
    run_folder: Path
    work: Path
    environment: Mapping[str, str]
    mark: str


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
        self._spec = spec
        self._interchange = interchange
        self._fail = fail
        self._posts = {
            node.hostname: Post(node, tuple(bindings))
            for node, bindings in bindings_of(place.partition, spec, lead=place.lead)
        }
        self._line = Line(place.address, changed=lambda: self._news.set(), gone=self._lose_with)
        self._provider = PartitionProvider(
            place.partition,
            launcher=place.launcher,
            line=self._line,
            orders=self._orders,
            environment=place.environment,
            folder=place.folder / "blocks",
        )
        self._executor = HighThroughputExecutor(
            label="workers",
            provider=self._provider,
            launch_cmd=_WORKER_POOL,
            interchange_launch_cmd=interchange.command,
            address=place.address,
            encrypted=True,
            max_workers_per_node=max(len(post.bindings) for post in self._posts.values()),
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
        self._watch = NodeWatch(
            place.partition.hostnames,
            launcher=place.launcher.name,
            nodes_per_block=spec.nodes_per_block if place.launcher.nodes_at_once else 1,
            startup_timeout_s=spec.startup_timeout_s,
            wait_s=spec.node_wait_s,
            now=time.monotonic(),
        )
        self._kernel: DataFlowKernel | None = None
        self._app: PythonApp | None = None
        self._stop = threading.Event()
        self._news = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="pool-supervisor", daemon=True)
        self._broken: str | None = None
        self._states = [NodeState(name, "starting") for name in place.partition.hostnames]
        self._pending: dict[str, Future[list[AttemptResult]]] = {}
        self._written: set[tuple[str, str | None]] = set()
        self._lock = threading.Lock()

    def _orders(self, block: str, nodes: Sequence[str], command: Sequence[str]) -> Orders:
        return Orders(
            line=self._line.address,
            token=self._line.token,
            block=block,
            mark=self._place.mark,
            posts=tuple(self._posts[name] for name in nodes),
            logical=not self._place.launcher.nodes_at_once,
            mps=self._spec.mps,
            pool=tuple(command),
            environment={
                name: self._place.environment[name] for name in FORWARDED_VARIABLES if name in self._place.environment
            },
        )

    @property
    def workers(self) -> int:
        """See `Pool.workers`."""
        return sum(len(post.bindings) for post in self._posts.values())

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
        return list(self._states)

    def close(self) -> None:
        """See `Pool.close`."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._news.set()
        if self._supervisor.is_alive():
            self._supervisor.join(CLEANUP_S)
        self._provider.cancel_all()
        self._line.close()
        if self._kernel is not None:
            # Parsl waits for answers of its interchange, which may be gone, without an end.
            cleanup = threading.Thread(target=self._kernel.cleanup, name="parsl-cleanup", daemon=True)
            cleanup.start()
            cleanup.join(CLEANUP_S)
        self._interchange.close()

    # ---- supervision: what the watch decides, done

    def _supervise(self) -> None:
        while not self._stop.is_set():
            self._news.wait(SUPERVISE_PERIOD_S)
            self._news.clear()
            if self._stop.is_set():
                return
            if not self._interchange.alive:
                self._give_up("Parsl's interchange has ended")
                return
            if not self._step():
                return

    def _step(self) -> bool:
        """Looks at the nodes and does what is due; returns whether to go on."""
        strangers = self._line.strangers()
        if strangers:
            hosts = ", ".join(sorted({stranger.host for stranger in strangers}))
            mine = ", ".join(self._place.partition.hostnames)
            self._fail(
                f"{self._place.launcher.name} started workers on {hosts}, which is not in the Partition ({mine}). "
                "Choose another launcher, or look at how it chooses hosts"
            )
            return False
        self._write_down_workers()
        connected = self._connected()
        steps = self._watch.look(time.monotonic(), self._provider.blocks(), connected)
        for line in steps.news:
            logger.info(line)
        self._do(steps)
        self._states = self._seen(connected)
        if steps.fatal:
            self._fail(steps.fatal)
        elif steps.hopeless:
            self._give_up(steps.hopeless)
        else:
            self._broken = None
        return not steps.fatal

    def _write_down_workers(self) -> None:
        """Logs what each worker said of itself when it began, once all of its node have."""
        for keeper in self._line.keepers():
            known = (keeper.block, keeper.node)
            if (
                known not in self._written
                and keeper.node
                and len(keeper.workers) >= len(self._posts[keeper.node].bindings)
            ):
                self._written.add(known)
                owned = [
                    f"{keeper.node}/{rank} on {said['host']} with cores {_listed(said['cores'])} and "
                    f"{'no accelerator' if said['accelerator'] is None else 'accelerator ' + said['accelerator']}"
                    for rank, said in sorted(keeper.workers.items())
                ]
                logger.info("workers have begun: %s", "; ".join(owned))

    def _do(self, steps: Steps) -> None:
        for block, node in steps.leave:
            self._provider.leave(block, node)
        self._provider.cancel(steps.end)
        for nodes in steps.start:
            self._provider.want(nodes)
            # Parsl's own scaling would start the first blocks only after its first period, and knows nothing of nodes.
            (block,) = self._executor.scale_out_facade(1)
            self._watch.started(self._executor.blocks_to_job_id[block], nodes)

    def _connected(self) -> dict[str, int]:
        """For each node whose worker pool is connected to the interchange, how many workers it has."""
        blocks = self._provider.blocks()
        found = {}
        for manager in self._executor.connected_managers() if self._app else []:
            block = blocks.get(self._executor.blocks_to_job_id.get(manager["block_id"], ""))
            if block is not None and manager["active"]:
                hosts = {keeper.host: keeper.node for keeper in self._line.keepers() if keeper.block == block.block}
                node = block.nodes[0] if len(block.nodes) == 1 else hosts.get(manager["hostname"])
                if node is not None:
                    found[node] = int(manager["worker_count"])
        return found

    def _seen(self, connected: Mapping[str, int]) -> list[NodeState]:
        now, clock = datetime.now(UTC), time.monotonic()
        owned = {
            keeper.node: tuple(
                sorted({str(said["accelerator"]) for said in keeper.workers.values() if said["accelerator"]})
            )
            for keeper in self._line.keepers()
        }
        return [
            NodeState(
                record.hostname,
                record.state,
                workers=connected.get(record.hostname, 0) if record.state == "up" else 0,
                since=(now - timedelta(seconds=clock - record.since)).isoformat(timespec="seconds"),
                reason=record.reason if record.state == "lost" else None,
                accelerators=owned.get(record.hostname, ()),
            )
            for record in self._watch.nodes.values()
        ]

    def _give_up(self, reason: str) -> None:
        with self._lock:
            self._broken = reason
            pending, self._pending = list(self._pending.values()), {}
        for future in pending:
            future.set_exception(NoWorkersError(reason))


def _listed(cores: Sequence[int]) -> str:
    return ",".join(str(core) for core in cores)
