"""Starting worker pools on the nodes of a Partition, as a Parsl execution provider.

A block is one launcher command and the nodes on which it starts a keeper each. Whoever owns the provider says which
nodes the next block takes; a node that has a block is never given to another, so a node never runs two worker pools and
no worker pool runs outside the Partition.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from parsl.jobs.states import JobState, JobStatus
from parsl.providers.base import ExecutionProvider

from partitions.carve import Partition
from partitions.keeper import Orders, keeper_command
from partitions.launchers import Launcher
from partitions.line import Line
from partitions.node_watch import BlockView

LOG_TAIL_CHARACTERS = 2000
# What a launcher prints although all is well: an srun that need not bind processes to cores, where Slurm cannot.
NOISE = ("srun: cluster configuration lacks support for cpu binding",)


@dataclass
class _Block:
    nodes: tuple[str, ...]
    launched: float
    log: Path
    orders: Path
    process: subprocess.Popen[bytes] | None
    error: str | None = None
    cancelled: bool = False
    reached: frozenset[str] = frozenset()
    left: frozenset[str] = frozenset()

    @property
    def exited(self) -> str | None:
        if self.process is None:
            return self.error
        code = self.process.poll()
        if code is None:
            return None
        return f"was ended by signal {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def said(self) -> str:
        with contextlib.suppress(OSError):
            lines = self.log.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:].strip().splitlines()
            return "\n".join(line for line in lines if line not in NOISE)
        return ""


def _has(block: BlockView, node: str) -> bool:
    """Whether a node of a block has, or is about to have, a worker pool."""
    return node in block.holding or (node not in block.reached and block.exited is None)


class PartitionProvider(ExecutionProvider):  # type: ignore[misc]  # parsl is not typed
    """Runs blocks on the nodes of a Partition.

    Args:
        partition: The nodes.
        launcher: How to start a program on them.
        line: The Director's end of the line to the keepers.
        orders: Makes the orders of a block from its id, its nodes and the worker pool's command.
        environment: Environment of the launchers.
        folder: Where orders and output go.
    """

    def __init__(
        self,
        partition: Partition,
        *,
        launcher: Launcher,
        line: Line,
        orders: Callable[[str, Sequence[str], Sequence[str]], Orders],
        environment: Mapping[str, str],
        folder: Path,
    ) -> None:
        self._partition = partition
        self._launcher = launcher
        self._line = line
        self._orders = orders
        self._environment = dict(environment)
        self._folder = folder
        self._lock = threading.RLock()
        self._blocks: dict[str, _Block] = {}
        self._wanted: deque[tuple[str, ...]] = deque()
        self.init_blocks = self.min_blocks = 0  # the pool starts them, and starts them again
        self.max_blocks = len(partition.nodes)
        self.nodes_per_block = 1
        self.parallelism = 1.0
        self.script_dir: str | None = str(folder)
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

    def want(self, nodes: Sequence[str]) -> None:
        """Says which nodes the next block that Parsl asks for takes.

        Raises:
            ValueError: If one of them is not in the Partition, or has a block.
        """
        with self._lock:
            taken = {name for view in self.blocks().values() for name in view.nodes if _has(view, name)}
            for name in nodes:
                if name not in self._partition.hostnames:
                    raise ValueError(f"{name} is not in {self.label}: {', '.join(self._partition.hostnames)}")
                if name in taken:
                    raise ValueError(f"{name} already runs a block of {self.label}")
            self._wanted.append(tuple(nodes))

    def submit(self, command: str, tasks_per_node: int, job_name: str = "block") -> str:
        """Starts a block on the nodes that were wanted next.

        Args:
            command: The worker pool's command line, as Parsl writes it.
            tasks_per_node: Always 1: a worker pool starts its own workers.
            job_name: Parsl's name of the block.

        Returns:
            The block's id.

        Raises:
            RuntimeError: If no nodes are wanted.
        """
        with self._lock:
            if not self._wanted:
                raise RuntimeError(f"no nodes of {self.label} are wanted for a block")
            nodes = self._wanted.popleft()
            name = str(len(self._blocks))
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            orders = self._folder / f"block-{name}.json"
            with os.fdopen(os.open(orders, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
                stream.write(self._orders(name, nodes, shlex.split(command)).dump())
            block = _Block(nodes, time.monotonic(), self._folder / f"block-{name}.log", orders, None)
            self._launch(block)
            self._blocks[name] = block
        return name

    def _launch(self, block: _Block) -> None:
        what = self._launcher.command(block.nodes, keeper_command(block.orders))
        try:
            with block.log.open("wb") as output:
                # A process group of its own, so that one block can be ended.
                block.process = subprocess.Popen(
                    what.arguments,
                    env={**self._environment, **what.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    process_group=0,
                )
        except OSError as error:
            block.error = f"could not be started: {error}"

    def blocks(self) -> dict[str, BlockView]:
        """The blocks that have not been cancelled, by id."""
        with self._lock:
            there = self._there()
            return {
                name: self._view(name, block, there[name])
                for name, block in self._blocks.items()
                if not block.cancelled
            }

    def _there(self) -> dict[str, set[str]]:
        """For each block the nodes whose keepers hold the line, wanted or not."""
        there: dict[str, set[str]] = defaultdict(set)
        for keeper in self._line.keepers():
            if keeper.node:
                there[keeper.block].add(keeper.node)
        return there

    def _view(self, name: str, block: _Block, there: set[str]) -> BlockView:
        for late in there & block.left:
            self._line.hang_up(name, late)
        holding = frozenset(there - block.left)
        block.reached |= holding
        nodes = tuple(node for node in block.nodes if node not in block.left)
        return BlockView(nodes, time.monotonic() - block.launched, block.exited, holding, block.reached, block.said)

    def leave(self, name: str, node: str) -> None:
        """Lets a node of a block go, whether its keeper has come yet or not. It can then be wanted again."""
        with self._lock:
            self._blocks[name].left |= {node}
            self._line.hang_up(name, node)

    def status(self, job_ids: Sequence[object]) -> list[JobStatus]:
        """States of these blocks. One whose launcher is gone, but whose keepers hold the line, runs."""
        return [self._status(str(job_id)) for job_id in job_ids]

    def _status(self, name: str) -> JobStatus:
        block = self._blocks[name]
        if block.cancelled:
            return JobStatus(JobState.CANCELLED)
        if block.exited is None or self._there()[name] - block.left:
            return JobStatus(JobState.RUNNING)
        return JobStatus(JobState.FAILED, message=f"launcher {block.exited}: {block.said()}")

    def cancel(self, job_ids: Sequence[object]) -> list[bool]:
        """Ends these blocks with everything they started, at once. Their nodes can then be wanted again."""
        for job_id in job_ids:
            block = self._blocks[str(job_id)]
            if block.cancelled:  # its process group may be somebody else's by now
                continue
            block.cancelled = True
            self._line.hang_up(str(job_id))
            if block.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(block.process.pid, signal.SIGKILL)
                block.process.wait()
            block.orders.unlink(missing_ok=True)
        return [True] * len(job_ids)

    def cancel_all(self) -> None:
        """Ends every block."""
        with self._lock:
            self.cancel(list(self._blocks))
