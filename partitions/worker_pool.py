"""The worker pool of a node: Parsl's, with workers that take what they own before they begin.

Parsl's own way to give workers accelerators counts all GPUs of a node, and misplaces workers where only some are
theirs; its cores are shares of the whole node. So each worker of ours looks up what it owns, takes it, says so, and
only then becomes Parsl's. Tasks and results travel between pool and workers in a way of our own, too: see
`partitions.task_desk`.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import multiprocessing
import os
import signal
import socket
from pathlib import Path
from typing import Any

from partitions.bindings import Owned, load, worker_environment
from partitions.early_signals import outlive
from partitions.environment import (
    BINDINGS_VARIABLE,
    HOST_VARIABLE,
    INTERRUPT_SIGNAL,
    REPORTS_VARIABLE,
    WARM_VARIABLE,
    WORKER_VARIABLE,
)
from partitions.lean import lean_parsl
from partitions.reports import report
from partitions.task_desk import TaskDesk

with lean_parsl():
    from parsl.executors.high_throughput import process_worker_pool as parsl_pool

_parsl_worker = parsl_pool.worker


def worker(rank: int, *arguments: Any) -> None:
    """Takes what the worker owns, says so, and works until the pool ends."""
    # Until it runs something there is nothing to interrupt, and the signal would end it.
    signal.signal(INTERRUPT_SIGNAL, signal.SIG_IGN)
    outlive()
    host = os.environ[HOST_VARIABLE]
    owned = load(os.environ[BINDINGS_VARIABLE])[rank]
    if owned.cores:
        os.sched_setaffinity(0, owned.cores)
    os.environ.update(worker_environment(owned))
    os.environ[WORKER_VARIABLE] = json.dumps(
        {"host": host, "rank": rank, "threads": owned.threads, "accelerator": owned.accelerator}
    )
    _report(rank, owned)
    _warm(os.environ.get(WARM_VARIABLE, ""))
    _parsl_worker(rank, *arguments)


def _warm(what: str) -> None:
    """Loads what every task needs, while the Director is still loading what it needs itself."""
    module, _, function = what.partition(":")
    if module:
        # What is wrong with it, the first task meets again, and says.
        with contextlib.suppress(Exception):
            getattr(importlib.import_module(module), function)()


def _report(rank: int, owned: Owned) -> None:
    said = {
        "rank": rank,
        "host": socket.gethostname(),
        "cores": sorted(os.sched_getaffinity(0)),
        "accelerator": owned.accelerator,
        "pid": os.getpid(),
    }
    report(said, os.environ)


class WorkerPool(parsl_pool.Manager):  # type: ignore[misc]  # parsl is not typed
    """Parsl's, but for the way in which tasks and results travel between it and its workers."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._desk = desk = TaskDesk()
        self.pending_task_queue = self.pending_result_queue = desk
        self._tasks_in_progress = self.ready_worker_count = self.task_scheduler = desk

    def _start_worker(self, worker_id: int) -> Any:
        with self._desk.opening(worker_id):
            return super()._start_worker(worker_id)


def main() -> None:
    """Runs a pool with Parsl's own arguments; how many workers it has stands in its environment."""
    arguments = parsl_pool.get_arg_parser().parse_args()
    # By this name the Director knows it among the pools of its block.
    arguments.uid = f"{arguments.block_id}.{os.environ[HOST_VARIABLE]}"
    parsl_pool.args = arguments  # where Parsl's manager looks for the folder of its logs
    parsl_pool.worker = worker
    # A pool is killed in the end: what multiprocessing leaves goes with its keeper's folder.
    kept: Any = multiprocessing.current_process()
    kept._config["tempdir"] = str(Path(os.environ[REPORTS_VARIABLE]).parent)
    logs = Path(arguments.logdir) / f"block-{arguments.block_id}" / arguments.uid
    logs.mkdir(parents=True, exist_ok=True, mode=0o700)
    parsl_pool.set_file_logger(str(logs / "manager.log"))
    WorkerPool(
        port=arguments.port,
        addresses=arguments.addresses,
        address_probe_timeout=int(arguments.address_probe_timeout),
        uid=arguments.uid,
        block_id=arguments.block_id,
        cores_per_worker=1e-3,
        mem_per_worker=None,
        max_workers_per_node=len(load(os.environ[BINDINGS_VARIABLE])),
        prefetch_capacity=int(arguments.prefetch_capacity),
        heartbeat_threshold=int(arguments.hb_threshold),
        heartbeat_period=int(arguments.hb_period),
        drain_period=None,
        poll_period=int(arguments.poll),
        cpu_affinity="none",
        enable_mpi_mode=False,
        mpi_launcher="mpiexec",
        available_accelerators=[],
        cert_dir=None if arguments.cert_dir == "None" else arguments.cert_dir,
        log_config=None,
    ).start()


if __name__ == "__main__":
    main()
