"""Pools for tests: Parsl, keepers and workers as they are, on logical nodes of this machine, without a Director."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from director.attempt import Attempt
from director.carving import launcher_of
from director.node_keeping import PoolPlace
from director.parsl_pool import ParslPool
from director.pool import NodeState
from director.spec import PoolSpec
from director.warm import WarmInterchange
from partitions.carve import carve, even
from partitions.guard import BLOCK_MARK_VARIABLE, MARK_VARIABLE, end_marked, mark_environment, marked, new_mark
from partitions.local import local_allocation
from partitions.surroundings import ThisProcess
from tests.helpers import wait_until


@dataclass
class RunningPool:
    """A pool that is up.

    Attributes:
        pool: The pool.
        place: Where it lives.
        failures: What it said when it could not go on.
        warnings: The scheduler's signals that it passed on, and what it said of them.
    """

    pool: ParslPool
    place: PoolPlace
    failures: list[str] = field(default_factory=list)
    warnings: list[tuple[signal.Signals, str]] = field(default_factory=list)

    def attempt(self, name: str, *, epoch: int = 1, **inputs: object) -> Attempt:
        """An attempt at a Request of ``mock_md``."""
        return Attempt(name, epoch, "mock_md", {"duration_s": 0.0, **inputs})

    @property
    def interchange(self) -> int:
        """The process id of Parsl's interchange."""
        (pid,) = (pid for pid in marked(self.place.mark) if "HTEX interchange" in command(pid))
        return pid

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers. A worker pool starts its helper first, then its workers."""
        pools: dict[int, list[int]] = {}
        for pid in sorted(marked(f"{self.place.mark}.*", BLOCK_MARK_VARIABLE)):
            if "spawn_main" in command(pid):
                pools.setdefault(parent(pid), []).append(pid)
        return [pid for pids in pools.values() for pid in pids[1:]]

    def states(self) -> list[NodeState]:
        """How the nodes are."""
        return self.pool.nodes()

    def up(self) -> bool:
        """Whether all workers are connected."""
        return sum(state.workers for state in self.states()) == self.pool.workers

    def begun(self, *names: str) -> bool:
        """Whether workers have begun these packs."""
        return set(names) <= self.pool.begun().keys()


def command(pid: int) -> str:
    """A process's command line; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def parent(pid: int) -> int:
    """The process id of a process's parent."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@contextlib.contextmanager
def running_pool(folder: Path, *, nodes: int = 1, workers_per_node: int = 1) -> Iterator[RunningPool]:
    """Starts a pool and waits until its workers are connected; ends it, and sees to it that nothing of it is left."""
    mark = new_mark()
    spec = PoolSpec(workers_per_node=workers_per_node)
    allocation = local_allocation(nodes, sorted(os.sched_getaffinity(0)))
    (folder / "work").mkdir(parents=True)
    with marked_environment(mark_environment(mark, MARK_VARIABLE)) as environment:
        place = PoolPlace(
            partition=carve(allocation, even(1))[0],
            lead=allocation.lead.hostname,
            launcher=launcher_of(allocation, spec, ThisProcess()),
            address="127.0.0.1",
            folder=folder,
            run_folder=folder,
            work=folder / "work",
            environment=environment,
            mark=mark,
        )
        failures: list[str] = []
        warnings: list[tuple[signal.Signals, str]] = []
        pool = ParslPool(
            place,
            spec,
            interchange=WarmInterchange(folder),
            fail=failures.append,
            warned=lambda number, word: warnings.append((number, word)),
        )
        made = RunningPool(pool, place, failures, warnings)
        try:
            pool.start()
            wait_until(made.up, 60, "the workers' connection")
            yield made
        finally:
            pool.close()
            try:
                wait_until(lambda: not left(mark), 10, "the end of all processes")
            finally:
                end_marked(mark)
                end_marked(f"{mark}.*", BLOCK_MARK_VARIABLE)
        assert not (folder / "interchange.fifo").exists()


def left(mark: str) -> list[int]:
    """The processes of a pool that still run."""
    return [*marked(mark), *marked(f"{mark}.*", BLOCK_MARK_VARIABLE)]


@contextlib.contextmanager
def marked_environment(mark: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """A mark in the environment of this process, as a Director has it from its launch."""
    before = {name: os.environ.get(name) for name in mark}
    os.environ.update(mark)
    try:
        yield dict(os.environ)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def kill(pid: int) -> None:
    """``kill -9``."""
    os.kill(pid, signal.SIGKILL)
