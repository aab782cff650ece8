"""A program as a child process: started without a shell, watched, and ended with all that it started."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from simulations.errors import Cancelled
from simulations.shell import guard
from simulations.shell.capture import Capture
from simulations.shell.guard import MARK_VARIABLE, end_all

LOOK_S = 0.5
POLL_S = 0.05
READ_BYTES = 65_536
DRAIN_S = 1.0
GRACE_S = 2.0


@dataclass(frozen=True)
class Command:
    """What is run.

    Attributes:
        arguments: Path of the program, and its arguments; each arrives as it is.
        environment: All of its environment.
        folder: The folder that it runs in.
        timeout_s: Longest time that it may run, in s.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    timeout_s: float | None = None


@dataclass(frozen=True)
class Ended:
    """How a program ended.

    Attributes:
        exit_code: Its exit code; the negative number of the signal that ended it, if one did.
        wall_s: How long it ran, in s.
        cpu_s: Processor time of it, and of what it started and waited for, in s.
        left: How many processes it left behind; they have been ended.
    """

    exit_code: int
    wall_s: float
    cpu_s: float
    left: int


def run_child(
    command: Command,
    *,
    stdout: Capture,
    stderr: Capture,
    look: Callable[[float], None],
    clock: Callable[[], float] = time.monotonic,
) -> Ended:
    """Runs a program to its end. However this returns, nothing of the program is left running.

    Args:
        command: What is run.
        stdout: Takes what it prints.
        stderr: Takes what it prints as errors.
        look: Called about twice a second with the seconds since its start; what it raises ends the program.
        clock: The time in s, monotonic.

    Raises:
        OSError: If it cannot be started, or what it prints cannot be written.
        Cancelled: If it ran for longer than it may.
    """
    mark = os.urandom(16).hex()
    with _started(command, mark) as child:
        begin = clock()
        with _Watch(child, stdout, stderr) as watch:
            next_look = begin
            while not watch.ended():
                now = clock()
                if command.timeout_s is not None and now - begin >= command.timeout_s:
                    message = f"the program ran for longer than the {command.timeout_s:g} s that its tool file gives it"
                    raise Cancelled(message, timed_out=True)
                if now >= next_look:
                    look(now - begin)
                    next_look = now + LOOK_S
                watch.read(LOOK_S)
            wall_s = clock() - begin
            left = end_all(mark, child.pid, grace_s=0.0)
            watch.drain(DRAIN_S)
        return Ended(child.returncode, wall_s, watch.cpu_s, left)


@contextlib.contextmanager
def _started(command: Command, mark: str) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a program with its guard, and ends whatever is left of it in the end."""
    keeper: list[subprocess.Popen[bytes]] = []
    child: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        keeper.append(_guard(mark))
        child.append(
            subprocess.Popen(
                command.arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=command.folder,
                env={**command.environment, MARK_VARIABLE: mark},
                process_group=0,
                bufsize=0,
            )
        )
        _pipe_of(keeper[0]).write(f"{child[0].pid}\n".encode())

    clean = False
    try:
        # A worker is interrupted in its main thread only: so nothing is started and then not known.
        with ThreadPoolExecutor(1, thread_name_prefix="start") as starter:
            starter.submit(start).result()
        yield child[0]
        clean = True
    finally:
        try:
            if not clean:
                end_all(mark, child[0].pid if child else None, grace_s=GRACE_S)
            for process in child:
                _collect(process)
        finally:
            for process in keeper:  # which ends what is left, if this was interrupted
                _dismiss(process, now=clean)


def _guard(mark: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(Path(guard.__file__).resolve()), mark],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
        bufsize=0,
    )


def _pipe_of(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin is not None  # noqa: S101  (it was asked for)
    return process.stdin


def _dismiss(process: subprocess.Popen[bytes], *, now: bool) -> None:
    if now:
        process.kill()
    _pipe_of(process).close()
    process.wait()


def _collect(process: subprocess.Popen[bytes]) -> None:
    """Takes leave of a program that has ended."""
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    if process.returncode is None:
        process.kill()
        process.wait()


class _Watch:
    """Reads what a program prints, and sees when it ends."""

    def __init__(self, child: subprocess.Popen[bytes], stdout: Capture, stderr: Capture) -> None:
        self._child = child
        self._captures = (stdout, stderr)
        self._selector = selectors.DefaultSelector()
        self._open = 0
        for stream, capture in ((child.stdout, stdout), (child.stderr, stderr)):
            assert stream is not None  # noqa: S101  (it was asked for)
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_READ, capture)
            self._open += 1
        self._handle = _handle(child.pid)
        if self._handle is not None:
            self._selector.register(self._handle, selectors.EVENT_READ, None)
        self.cpu_s = 0.0

    def __enter__(self) -> _Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        if self._handle is not None:
            os.close(self._handle)
        for capture in self._captures:
            capture.close()

    def ended(self) -> bool:
        """Whether the program has ended; its exit code and its processor time are known then."""
        pid, status, used = os.wait4(self._child.pid, os.WNOHANG)
        if pid == 0:
            return False
        self._child.returncode = os.waitstatus_to_exitcode(status)
        self.cpu_s = used.ru_utime + used.ru_stime
        return True

    def read(self, wait_s: float) -> None:
        """Takes what was printed; waits a while for something to happen."""
        for key, _ in self._selector.select(wait_s if self._handle is not None else min(wait_s, POLL_S)):
            if key.data is None:
                continue
            data = os.read(key.fd, READ_BYTES)
            if data:
                key.data.feed(data)
            else:
                self._selector.unregister(key.fileobj)
                self._open -= 1

    def drain(self, wait_s: float) -> None:
        """Takes what was printed before the end."""
        if self._handle is not None:
            self._selector.unregister(self._handle)
            os.close(self._handle)
            self._handle = None
        give_up = time.monotonic() + wait_s
        while self._open and time.monotonic() < give_up:
            self.read(POLL_S)


def _handle(pid: int) -> int | None:
    """A handle that becomes readable when a process ends; None if the kernel (before Linux 5.3) has none."""
    try:
        return os.pidfd_open(pid)
    except (OSError, AttributeError):
        return None
