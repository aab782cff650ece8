"""The worker pool of a node: Parsl's, with workers that take what they own before they begin.

Parsl's own way to give workers accelerators counts all GPUs of a node, and misplaces workers where only some are
theirs; its cores are shares of the whole node. So each worker of ours looks up what it owns, takes it, says so, and
only then becomes Parsl's.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

from partitions.bindings import Owned, load, worker_environment
from partitions.environment import BINDINGS_VARIABLE, HOST_VARIABLE, WORKER_VARIABLE
from partitions.lean import lean_parsl
from partitions.reports import report

with lean_parsl():
    from parsl.executors.high_throughput import process_worker_pool as parsl_pool

_parsl_worker = parsl_pool.worker


def worker(rank: int, *arguments: Any) -> None:
    """Takes what the worker owns, says so, and works until the pool ends."""
    host = os.environ[HOST_VARIABLE]
    owned = load(os.environ[BINDINGS_VARIABLE])[rank]
    if owned.cores:
        os.sched_setaffinity(0, owned.cores)
    os.environ.update(worker_environment(owned))
    os.environ[WORKER_VARIABLE] = json.dumps(
        {"host": host, "rank": rank, "threads": owned.threads, "accelerator": owned.accelerator}
    )
    _report(rank, owned)
    _parsl_worker(rank, *arguments)


def _report(rank: int, owned: Owned) -> None:
    said = {
        "rank": rank,
        "host": socket.gethostname(),
        "cores": sorted(os.sched_getaffinity(0)),
        "accelerator": owned.accelerator,
        "pid": os.getpid(),
    }
    report(said, os.environ)


def main() -> None:
    """Runs a pool with Parsl's own arguments; how many workers it has stands in its environment."""
    arguments = parsl_pool.get_arg_parser().parse_args()
    # By this name the Director knows it among the pools of its block.
    arguments.uid = f"{arguments.block_id}.{os.environ[HOST_VARIABLE]}"
    parsl_pool.args = arguments  # where Parsl's manager looks for the folder of its logs
    parsl_pool.worker = worker
    logs = Path(arguments.logdir) / f"block-{arguments.block_id}" / arguments.uid
    logs.mkdir(parents=True, exist_ok=True, mode=0o700)
    parsl_pool.set_file_logger(str(logs / "manager.log"))
    parsl_pool.Manager(
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
