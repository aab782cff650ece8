"""The guard: a tiny process that ends a session's processes when the one that owns them is gone.

A Director that is killed cannot clean up. It therefore starts a guard first, in a session of its own, and holds the
only writing end of a pipe to it. When the pipe closes, however that came about, the guard kills every process of the
Director's session: interchange, worker pools, workers and whatever they started. Nothing has to be registered, so
there is no moment at which a new process would be missed.

This file runs as a script with nothing but the standard library, so that a guard starts in milliseconds.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

POLL_S = 0.05
GIVE_UP_S = 10.0


def session_members(session: int, proc: Path = Path("/proc")) -> list[int]:
    """Process ids of all living members of a session, read from ``/proc``."""
    members = []
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The command's name stands in brackets and may hold anything, brackets too.
            state, _parent, _group, its_session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue  # it ended while we looked
        if int(its_session) == session and state not in "ZX":
            members.append(int(entry.name))
    return members


def end_session(session: int, *, spare: int | None = None) -> None:
    """Kills every process of a session, also those that are being started meanwhile.

    Args:
        session: The session's id.
        spare: A process to leave alone, such as the caller.
    """
    give_up = time.monotonic() + GIVE_UP_S
    while time.monotonic() < give_up:
        members = [pid for pid in session_members(session) if pid != spare]
        if not members:
            return
        for pid in members:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(POLL_S)


class Guard:
    """Watches over the calling process's session, whose leader the caller must be.

    Raises:
        RuntimeError: If the caller does not lead its session: the guard would then kill the caller's own parents.
    """

    def __init__(self) -> None:
        self.session = os.getsid(0)
        if self.session != os.getpid():
            raise RuntimeError("only the leader of a session may have it guarded: start this process in a new session")
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(self.session)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The guard's process id."""
        return self._process.pid

    def release(self) -> None:
        """Ends the guard and leaves the session's remaining processes alone."""
        if self._process.stdin:
            self._process.kill()
            self._process.stdin.close()
            self._process.wait()


def main() -> None:
    """Waits until the pipe on standard input closes, then ends the session named on the command line."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    while os.read(0, 1024):
        pass
    end_session(int(sys.argv[1]))


if __name__ == "__main__":
    main()
