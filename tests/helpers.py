"""What tests share: fakes that behave, and ways to look at processes."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from director.attempt import Attempt, AttemptResult
from director.pool import How, LostError, NodeState
from partitions.carve import Partition, carve, even
from partitions.local import local_allocation
from simulations.records import Ending, Request
from simulations.tool import AnyTool
from simulations.workspace import Resources, Stop, Workspace

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

PF_EXITING = 0x4


def partition(nodes: int = 2) -> Partition:
    """A Partition of logical nodes."""
    return carve(local_allocation(nodes, [0, 1]), even(1))[0]


def mock_request(name: str, duration_s: float = 0.0) -> Request:
    """A Request of the Tool that sleeps."""
    return Request(id=name, tool="mock_md", inputs={"duration_s": duration_s})


def workspace(tmp_path: Path, **inputs: Path) -> Workspace:
    """A Workspace in a temporary run folder."""
    return Workspace(
        folder=tmp_path / "director-0" / "work" / "r1",
        run_folder=tmp_path,
        resources=Resources(host="local-0", worker="local-0/0"),
        inputs=inputs,
    )


def attempt_result(attempt: Attempt, ending: Ending = Ending.OK) -> AttemptResult:
    """How a worker reports an attempt that took no time."""
    return AttemptResult(
        id=attempt.id,
        epoch=attempt.epoch,
        ending=ending,
        result={"slept_s": 0.0} if ending is Ending.OK else None,
        error=None,
        host="local-0",
        worker="local-0/0",
        accelerator=None,
        started_at=NOON,
        finished_at=NOON,
        artifacts={},
        versions={},
    )


@dataclass
class HandPool:
    """A Pool whose attempts end when the test says so."""

    workers: int = 2
    submitted: list[tuple[list[Attempt], Future[list[AttemptResult]]]] = field(default_factory=list)
    stopped: list[tuple[str, int, Stop, How]] = field(default_factory=list)
    hopeless: str | None = None

    def start(self) -> None:
        """Has nothing to start."""

    def submit(self, attempts: list[Attempt]) -> Future[list[AttemptResult]]:
        """Keeps the attempts for the test."""
        future: Future[list[AttemptResult]] = Future()
        self.submitted.append((attempts, future))
        return future

    def stop(self, attempts: Mapping[str, int], why: Stop, how: How) -> None:
        """Notes what was asked to stop."""
        self.stopped += [(name, epoch, why, how) for name, epoch in attempts.items()]

    def begun(self) -> dict[str, str]:
        """All that was submitted and has not ended."""
        left = [attempts[0] for attempts, future in self.submitted if not future.done()]
        return {f"{attempt.id}.{attempt.epoch}": "local-0" for attempt in left}

    def nodes(self) -> list[NodeState]:
        """One node that is up."""
        return [NodeState("local-0", "up", workers=self.workers)]

    def close(self) -> None:
        """Has nothing to end."""

    def finish(self, index: int = -1) -> None:
        """Ends a task well."""
        attempts, future = self.submitted[index]
        future.set_result([attempt_result(attempt) for attempt in attempts])

    def lose(self, index: int = -1, *, with_node: bool = False) -> None:
        """Loses the worker under a task, or the whole node."""
        self.submitted[index][1].set_exception(LostError("worker lost", with_node=with_node))


def tools_of(*tools: AnyTool) -> dict[str, AnyTool]:
    """Tools by name."""
    return {tool.name: tool for tool in tools}


def wait_until(condition: Callable[[], bool], timeout_s: float = 20.0, what: str = "the condition") -> None:
    """Waits until something is true, and fails if it does not become so."""
    give_up = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > give_up:
            raise AssertionError(f"{what} did not come true within {timeout_s:g} s")
        time.sleep(0.02)


def processes_naming(text: str) -> list[int]:
    """Ids of the processes whose command line or environment holds a text, such as a run folder's path."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            named = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            zombie = (entry / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
        except (OSError, IndexError):
            continue
        if text.encode() in named and not zombie:
            found.append(int(entry.name))
    return found


def alive(pid: int) -> bool:
    """Whether a process runs; one that is being taken down, or has ended and was not waited for, does not.

    The kernel takes milliseconds to give back the memory of a large one. It has no command line then, and its state is
    still "R", but it runs nothing any more: PF_EXITING (include/linux/sched.h), in the flags of proc_pid_stat(5).
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[0] not in "ZX" and not int(fields[6]) & PF_EXITING
    except (OSError, IndexError):
        return False


def end_all(pids: Iterable[int], sig: signal.Signals = signal.SIGKILL) -> None:
    """Signals processes. One that has ended meanwhile, with another of them perhaps, is no reason to stop."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sig)
