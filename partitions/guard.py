"""The guard: a tiny process that ends what a Director started when the Director is gone.

A Director that is killed cannot clean up. It is therefore launched with a mark in its environment, which everything
that it starts inherits: interchange, worker pools, workers and whatever they start. It first starts a guard, and holds
the only writing end of a pipe to it. When the pipe closes, however that came about, the guard kills every process that
carries the mark. Nothing has to be registered, so there is no moment at which a new process would be missed.

A session of its own would mark the processes too. But Linux shares the processor out among sessions, and was seen to
starve an idle one for many seconds while another computed on all cores: long enough for heartbeats to be missed. So all
processes of a run stay in the session of whoever launched it.

This file runs as a script with nothing but the standard library, so that a guard starts in milliseconds.
"""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

MARK_VARIABLE = "DIRECTOR_MARK"
POLL_S = 0.05
GIVE_UP_S = 10.0


def new_mark() -> str:
    """A mark for a Director and all that it starts."""
    return uuid.uuid4().hex


def mark_environment(mark: str) -> dict[str, str]:
    """What to add to the environment of a process that is to carry a mark.

    Beside the mark itself this keeps ``setproctitle``, which Parsl uses, from writing over the environment.
    """
    return {MARK_VARIABLE: mark, "SPT_NOENV": "1"}


def marked(mark: str, proc: Path = Path("/proc")) -> list[int]:
    """Process ids of all living processes that carry a mark, read from ``/proc``.

    A user's processes can be read by that user only, so those of others are never found.
    """
    wanted = f"{MARK_VARIABLE}={mark}".encode()
    found = []
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                # The command's name stands in brackets and may hold anything, brackets too.
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                if state not in "ZX":
                    found.append(int(entry.name))
        except (OSError, IndexError):
            continue  # it ended while we looked, or is another user's
    return found


def end_marked(mark: str, *, spare: int | None = None) -> None:
    """Kills every process that carries a mark, also those that are being started meanwhile.

    Args:
        mark: The mark.
        spare: A process to leave alone, such as the caller.
    """
    give_up = time.monotonic() + GIVE_UP_S
    while time.monotonic() < give_up:
        members = [pid for pid in marked(mark) if pid != spare]
        if not members:
            return
        for pid in members:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(POLL_S)


class Guard:
    """Watches over the calling process and all that it starts.

    Args:
        environment: The calling process's environment as it was launched.

    Raises:
        RuntimeError: If the process was launched without a mark.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        if not environment.get(MARK_VARIABLE):
            raise RuntimeError(f"this process carries no mark: it must be launched with {MARK_VARIABLE} set")
        self.mark = environment[MARK_VARIABLE]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, self.mark],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={name: value for name, value in environment.items() if name not in mark_environment("")},
            process_group=0,
        )

    @property
    def pid(self) -> int:
        """The guard's process id."""
        return self._process.pid

    def release(self) -> None:
        """Ends the guard and leaves the processes alone."""
        if self._process.stdin:
            self._process.kill()
            self._process.stdin.close()
            self._process.wait()


def main() -> None:
    """Waits until the pipe on standard input closes, then ends what carries the mark named on the command line."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    while os.read(0, 1024):
        pass
    end_marked(sys.argv[1])


if __name__ == "__main__":
    main()
