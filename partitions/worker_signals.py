"""Signalling a worker, and never another process that has come to have its process id.

A worker may end at any moment, and the kernel may give its id to a process of anybody. So a worker is known by its id
and by when it began, and where the kernel has handles to processes, the signal goes by one.
"""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from partitions.environment import INTERRUPT_SIGNAL

SIGNALS = {"interrupt": INTERRUPT_SIGNAL, "kill": signal.SIGKILL}
"""What a Director may ask a keeper to send, by name."""

_PPID, _STARTED = 1, 19  # of what follows the command's name in ``/proc/PID/stat``
_MOST_ANCESTORS = 16


@dataclass(frozen=True)
class WorkerProcess:
    """A process, told from any other that has or had its id.

    Attributes:
        pid: Its id.
        started: When it began, in the kernel's ticks since the machine's start.
    """

    pid: int
    started: str


def _stat(pid: int, proc: Path) -> list[str]:
    """What ``/proc`` says of a process after its command's name; nothing if it is gone, or has died."""
    try:
        # The command's name stands in brackets and may hold anything, brackets too.
        words = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
    return [] if not words or words[0] in "ZX" else words


def worker_process(pid: int, pool: int, proc: Path = Path("/proc")) -> WorkerProcess | None:
    """The process that has an id now, if it belongs to a worker pool.

    Args:
        pid: The id.
        pool: The process id of the worker pool.
        proc: Where the process file system is mounted.

    Returns:
        None if there is no such process, or if the pool is not among its ancestors.
    """
    words = _stat(pid, proc)
    found = WorkerProcess(pid, words[_STARTED]) if words else None
    for _ in range(_MOST_ANCESTORS):
        if not words or words[_PPID] == "0":
            return None
        if int(words[_PPID]) == pool:
            return found
        words = _stat(int(words[_PPID]), proc)
    return None


def runs(process: WorkerProcess, proc: Path = Path("/proc")) -> bool:
    """Whether a process still runs. One that has died and was not collected does not."""
    words = _stat(process.pid, proc)
    return bool(words) and words[_STARTED] == process.started


def send(number: signal.Signals, process: WorkerProcess) -> bool:
    """Sends a signal; returns whether the process was there to get it."""
    handle = _handle(process.pid)
    try:
        # Looked at after the handle was taken: what the handle then stands for is this process.
        if not runs(process):
            return False
        with contextlib.suppress(ProcessLookupError):
            if handle is None:
                os.kill(process.pid, number)
            else:
                signal.pidfd_send_signal(handle, number)
            return True
        return False
    finally:
        if handle is not None:
            os.close(handle)


def _handle(pid: int) -> int | None:
    """A handle to a process; None if it is gone, or the kernel (before Linux 5.3) has none."""
    try:
        return os.pidfd_open(pid)
    except (OSError, AttributeError):
        return None
