"""Starting worker pools on the nodes of a Partition, as a Parsl execution provider.

A block is one worker pool on one node. The provider hands each block a node of the Partition that has none, and takes
the node back when the block ends, so a node never runs two blocks and a block never runs outside the Partition.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from parsl.jobs.states import JobState, JobStatus
from parsl.providers.base import ExecutionProvider

from partitions.allocation import Node
from partitions.carve import Partition
from partitions.environment import CORES_VARIABLE, HOST_VARIABLE, THREADS_VARIABLE

LOG_TAIL_CHARACTERS = 2000


@dataclass(frozen=True)
class BlockCommand:
    """A program to run, without a shell.

    Attributes:
        arguments: Program and arguments.
        environment: Its whole environment.
    """

    arguments: list[str]
    environment: dict[str, str]


class Starter(Protocol):
    """How a worker pool is started on a node."""

    def command(self, node: Node, worker_pool: Sequence[str], environment: Mapping[str, str]) -> BlockCommand:
        """Says what to run, on the lead node, so that the worker pool runs on this node. Pure."""
        ...


@dataclass(frozen=True)
class ProcessStarter:
    """Starts the worker pool as a process of this machine: the Starter of logical nodes.

    Attributes:
        threads_per_worker: How many threads a simulation may use.
    """

    threads_per_worker: int = 1

    def command(self, node: Node, worker_pool: Sequence[str], environment: Mapping[str, str]) -> BlockCommand:
        """Adds to the environment which node this is and how many threads each worker has."""
        threads = str(self.threads_per_worker)
        ours = {
            HOST_VARIABLE: node.hostname,
            CORES_VARIABLE: ",".join(str(core) for core in node.cores),
            THREADS_VARIABLE: threads,
            "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "OPENMM_CPU_THREADS": threads,
        }
        return BlockCommand(list(worker_pool), {**environment, **ours})


@dataclass(frozen=True)
class Failure:
    """How a block ended.

    Attributes:
        job_id: The block's job id.
        reason: Exit code, and the end of its output.
    """

    job_id: str
    reason: str


@dataclass
class _Block:
    node: Node
    process: subprocess.Popen[bytes]
    log: Path
    cancelled: bool = False


class PartitionProvider(ExecutionProvider):  # type: ignore[misc]  # parsl is not typed
    """Runs one block on each node of a Partition.

    Args:
        partition: The nodes.
        starter: How to start a worker pool on one of them.
        environment: Environment of the worker pools.
        log_folder: Where their output goes.
    """

    def __init__(
        self, partition: Partition, *, starter: Starter, environment: Mapping[str, str], log_folder: Path
    ) -> None:
        self._partition = partition
        self._starter = starter
        self._environment = dict(environment)
        self._log_folder = log_folder
        self._lock = threading.Lock()
        self._blocks: dict[str, _Block] = {}
        self.init_blocks = self.min_blocks = 0  # the pool starts them, and starts them again
        self.max_blocks = len(partition.nodes)
        self.nodes_per_block = 1
        self.parallelism = 1.0
        self.script_dir: str | None = str(log_folder)
        self.resources: dict[object, object] = {}
        self.cores_per_node: int | None = None
        self.mem_per_node: float | None = None

    @property
    def label(self) -> str:
        """Parsl's name for the provider."""
        return f"partition-{self._partition.index}"

    @property
    def status_polling_interval(self) -> int:
        """How often Parsl asks for the state of the blocks, in seconds."""
        return 1

    def submit(self, command: str, tasks_per_node: int, job_name: str = "block") -> str:
        """Starts a block on a node that has none.

        Args:
            command: The worker pool's command line, as Parsl writes it.
            tasks_per_node: Always 1: a worker pool starts its own workers.
            job_name: Parsl's name of the block.

        Returns:
            The block's job id.

        Raises:
            RuntimeError: If every node has a block.
        """
        with self._lock:
            taken = {block.node.hostname for block in self._blocks.values() if block.process.poll() is None}
            free = [node for node in self._partition.nodes if node.hostname not in taken]
            if not free:
                raise RuntimeError(f"every node of {self.label} already runs a block")
            # The node that has waited longest comes first, so that a bad node does not starve the others.
            started = [block.node.hostname for block in self._blocks.values()]
            node = min(free, key=lambda node: started.count(node.hostname))
            self._clear(node)
            job_id = f"{node.hostname}.{len(self._blocks)}"
            ours = self._starter.command(node, shlex.split(command), self._environment)
            self._log_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            log = self._log_folder / f"block-{job_id}.log"
            with log.open("wb") as output:
                # A process group of its own, so that one block can be ended.
                process = subprocess.Popen(
                    ours.arguments,
                    env=ours.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    process_group=0,
                )
            self._blocks[job_id] = _Block(node, process, log)
        return job_id

    def _clear(self, node: Node) -> None:
        """Ends what a lost worker pool left running on a node, so that two blocks never share it."""
        for block in self._blocks.values():
            if block.node == node:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(block.process.pid, signal.SIGKILL)

    def status(self, job_ids: Sequence[object]) -> list[JobStatus]:
        """States of these blocks, with the end of the output of those that failed."""
        return [self._status(self._blocks[str(job_id)]) for job_id in job_ids]

    def _status(self, block: _Block) -> JobStatus:
        code = block.process.poll()
        if code is None:
            return JobStatus(JobState.RUNNING)
        if block.cancelled:
            return JobStatus(JobState.CANCELLED)
        return JobStatus(JobState.FAILED, message=f"exit code {code}: {self._tail(block.log)}", exit_code=code)

    @staticmethod
    def _tail(log: Path) -> str:
        return log.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:].strip()

    def cancel(self, job_ids: Sequence[object]) -> list[bool]:
        """Ends these blocks with everything they started, at once."""
        for job_id in job_ids:
            block = self._blocks[str(job_id)]
            block.cancelled = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(block.process.pid, signal.SIGKILL)
            block.process.wait()
        return [True] * len(job_ids)

    def cancel_all(self) -> None:
        """Ends every block."""
        with self._lock:
            self.cancel(list(self._blocks))

    def failures(self) -> dict[str, Failure]:
        """For each node whose latest block ended by itself: how."""
        with self._lock:
            latest = {block.node.hostname: (job_id, block) for job_id, block in self._blocks.items()}
            statuses = {host: (job_id, self._status(block)) for host, (job_id, block) in latest.items()}
        return {
            host: Failure(job_id, str(status.message))
            for host, (job_id, status) in statuses.items()
            if status.state == JobState.FAILED
        }
