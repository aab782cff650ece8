"""The guard: a tiny process that ends what another one started when that one is gone.

A Director that is killed cannot clean up. It is therefore launched with a mark in its environment, which everything
that it starts inherits: interchange, launchers and whatever they start. It first starts a guard, and holds
the only writing end of a pipe to it. When the pipe closes, however that came about, the guard kills every process that
carries the mark. Nothing has to be registered, so there is no moment at which a new process would be missed.
On each node the keeper of a worker pool does the same, with a mark of its own for each block.

A session of its own would mark the processes too. But Linux shares the processor out among sessions, and was seen to
starve an idle one for many seconds while another computed on all cores: long enough for heartbeats to be missed. So all
processes of a run stay in the session of whoever launched it.

This file runs as a script with nothing but the standard library, so that a guard starts in milliseconds.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

MARK_VARIABLE = "DIRECTOR_MARK"
BLOCK_MARK_VARIABLE = "DIRECTOR_BLOCK_MARK"
_MARKS = (MARK_VARIABLE, BLOCK_MARK_VARIABLE)
POLL_S = 0.05
GIVE_UP_S = 10.0
# Meant for what is guarded. A scheduler sends the last one, too.
_OUTLIVED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


def new_mark() -> str:
    """A mark for a Director and all that it starts."""
    return os.urandom(16).hex()


def mark_environment(mark: str, variable: str = MARK_VARIABLE) -> dict[str, str]:
    """What to add to the environment of a process that is to carry a mark.

    Beside the mark itself this keeps ``setproctitle``, which Parsl uses, from writing over the environment.
    """
    return {variable: mark, "SPT_NOENV": "1"}


def marked(mark: str, variable: str = MARK_VARIABLE, *, proc: Path = Path("/proc")) -> list[int]:
    """Process ids of all living processes that carry a mark, read from ``/proc``.

    A user's processes can be read by that user only, so those of others are never found.

    Args:
        mark: The mark; one that ends in ``*`` stands for all that begin so.
        variable: The environment variable that holds it.
        proc: Where the process file system is mounted.
    """
    wanted = f"{variable}={mark}".encode()
    found = []
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if any(_is(name, wanted) for name in (entry / "environ").read_bytes().split(b"\0")):
                # The command's name stands in brackets and may hold anything, brackets too.
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                if state not in "ZX":
                    found.append(int(entry.name))
        except (OSError, IndexError):
            continue  # it ended while we looked, or is another user's
    return found


def _is(entry: bytes, wanted: bytes) -> bool:
    return entry.startswith(wanted[:-1]) if wanted.endswith(b"*") else entry == wanted


def end_marked(mark: str, variable: str = MARK_VARIABLE, *, spare: int | None = None) -> None:
    """Kills every process that carries a mark, also those that are being started meanwhile.

    Args:
        mark: The mark; see `marked`.
        variable: The environment variable that holds it.
        spare: A process to leave alone, such as the caller.
    """
    give_up = time.monotonic() + GIVE_UP_S
    while time.monotonic() < give_up:
        members = [pid for pid in marked(mark, variable) if pid != spare]
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
        environment: The environment that holds the mark: that of the calling process as it was launched, or that of
            what it is about to start.
        variable: The variable that holds it.
        folder: A folder of the calling process, which the guard removes in the end.

    Raises:
        RuntimeError: If there is no mark.
    """

    def __init__(
        self, environment: Mapping[str, str], variable: str = MARK_VARIABLE, *, folder: Path | None = None
    ) -> None:
        if not environment.get(variable):
            raise RuntimeError(f"this process carries no mark: it must be launched with {variable} set")
        self.mark = environment[variable]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, variable, self.mark, *([str(folder)] if folder else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={name: value for name, value in environment.items() if name not in _MARKS},
            process_group=0,
            preexec_fn=_outlive,  # whoever makes a guard has no threads yet
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


def _outlive() -> None:
    for number in _OUTLIVED:
        signal.signal(number, signal.SIG_IGN)


def main() -> None:
    """Waits until the pipe on standard input closes, then ends what carries the mark on the command line."""
    while os.read(0, 1024):
        pass
    variable, mark, *folders = sys.argv[1:]
    end_marked(mark, variable)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
