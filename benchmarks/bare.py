"""What we compare with: a bare Parsl HighThroughputExecutor, as well tuned as we know how."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from parsl.config import Config
from parsl.dataflow.dflow import DataFlowKernel
from parsl.executors import HighThroughputExecutor
from parsl.launchers import SingleNodeLauncher, SrunLauncher
from parsl.providers import LocalProvider

from partitions.address import address_for


@contextlib.contextmanager
def bare_htex(folder: Path, workers: int = 2, nodes: Sequence[str] = ()) -> Iterator[DataFlowKernel]:
    """One block of so many workers, without debug logs, with short heartbeats, and started at once.

    Args:
        folder: For its files.
        workers: Workers on each node.
        nodes: Nodes of a Slurm job, on which ``srun`` starts them; none: this machine.
    """
    programs, here = Path(sys.executable).parent, Path(__file__).parent.parent
    options = f"--overlap --nodelist={','.join(nodes)} --no-kill --kill-on-bad-exit=0 --cpu-bind=none --quiet"
    kernel = DataFlowKernel(
        Config(
            executors=[
                HighThroughputExecutor(
                    label="bare",
                    interchange_launch_cmd=[str(programs / "interchange.py")],
                    address=address_for(nodes, os.uname().nodename),
                    encrypted=bool(nodes),
                    max_workers_per_node=workers,
                    cores_per_worker=1e-3,
                    heartbeat_period=2,
                    heartbeat_threshold=6,
                    provider=LocalProvider(
                        nodes_per_block=len(nodes) or 1,
                        init_blocks=1,
                        max_blocks=1,
                        launcher=SrunLauncher(overrides=options) if nodes else SingleNodeLauncher(),
                        worker_init=f"export PATH={programs}:$PATH PYTHONPATH={here} OPENMM_CPU_THREADS=1",
                    ),
                )
            ],
            strategy="none",
            strategy_period=0.2,
            run_dir=str(folder),
            initialize_logging=False,
            usage_tracking=0,
        )
    )
    try:
        yield kernel
    finally:
        kernel.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
