"""Runs a worker pool on its node, and ends it when it can no longer work.

A worker pool of Parsl replaces a worker that dies. But it also has a helper process, and if that one dies (the kernel's
out-of-memory killer may choose it), the pool lives on and sends heartbeats while its tasks are lost: nobody would ever
notice. A worker that died is collected by the pool within its heartbeat; a child that stays dead for longer is one that
the pool does not know how to replace. The pool is then ended as a whole, which the Director does notice, and mends.

This file runs as a script with nothing but the standard library: it costs its node a few megabytes and no time.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

POLL_S = 0.5
DEAD_FOR_S = 4.0
BROKEN = 70  # EX_SOFTWARE of sysexits.h


def watched(command: Sequence[str]) -> list[str]:
    """The command that runs a worker pool under watch."""
    return [sys.executable, "-I", "-S", __file__, *command]


def dead_children(pid: int, proc: Path = Path("/proc")) -> set[int]:
    """Children of a process that have died and that it has not collected, read from ``/proc``."""
    dead = set()
    for task in _listed(proc / str(pid) / "task"):
        for child in _words(proc / str(pid) / "task" / task / "children"):
            # The command's name stands in brackets and may hold anything, brackets too.
            if " ".join(_words(proc / child / "stat")).rpartition(")")[2].split()[:1] == ["Z"]:
                dead.add(int(child))
    return dead


def longest_dead(since: Mapping[int, float], dead: set[int], now: float) -> dict[int, float]:
    """Carries forward since when each child is dead. Pure.

    Args:
        since: What this returned the last time.
        dead: The children that are dead now.
        now: The time in s, of any monotonic clock.
    """
    return {pid: since.get(pid, now) for pid in dead}


def _listed(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError:
        return []


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def main() -> int:
    """Runs the command given as arguments until it ends or must be ended; returns its exit code."""
    pool = subprocess.Popen(sys.argv[1:])
    since: dict[int, float] = {}
    while True:
        try:
            return pool.wait(POLL_S)
        except subprocess.TimeoutExpired:
            now = time.monotonic()
            since = longest_dead(since, dead_children(pool.pid), now)
            if since and now - min(since.values()) >= DEAD_FOR_S:
                sys.stderr.write(
                    f"process {min(since)} of the worker pool died and was not replaced: ending the pool\n"
                )
                sys.stderr.flush()
                # Its workers go too: they are in the pool's process group, and so is this process.
                pool.kill()
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                os.killpg(0, signal.SIGTERM)
                return BROKEN


if __name__ == "__main__":
    code = main()
    sys.exit(code if code >= 0 else 128 - code)
