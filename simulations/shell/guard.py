"""Ends a program with all that it started, whatever becomes of the worker that started it.

What a program starts has its process group, or carries the mark that it has in its environment; most have both. A guard
is a tiny process that waits until its worker has ended it, or is gone, and in the second case ends what is left.

This file runs as a script with nothing but the standard library, so that a guard starts in milliseconds.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

MARK_VARIABLE = "DIRECTOR_PROGRAM_MARK"
POLL_S = 0.02
GIVE_UP_S = 10.0
_STATE, _GROUP = 0, 2  # of what follows the command's name in ``/proc/PID/stat``
_OUTLIVED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def members(mark: str, group: int | None, proc: Path = Path("/proc")) -> list[int]:
    """Living processes that carry a mark or belong to a process group, read from ``/proc``.

    Args:
        mark: The mark.
        group: The process group; None: only the mark counts.
        proc: Where the process file system is mounted.
    """
    wanted = f"{MARK_VARIABLE}={mark}".encode()
    found = []
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The command's name stands in brackets and may hold anything, brackets too.
            words = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if words[_STATE] in "ZX":
                continue
            if words[_GROUP] == str(group) or wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except (OSError, IndexError):
            continue  # it ended while we looked, or is another user's
    return found


def end_all(mark: str, group: int | None, *, grace_s: float) -> int:
    """Ends all processes of a program: asks them by SIGTERM, and kills what is left after a while.

    Args:
        mark: Their mark.
        group: Their process group.
        grace_s: How long they may take to end by themselves, in s.

    Returns:
        How many there were.
    """
    there = members(mark, group)
    _send(there, signal.SIGTERM if grace_s > 0 else signal.SIGKILL)
    begin = time.monotonic()
    left = there
    while left and time.monotonic() - begin < grace_s + GIVE_UP_S:
        time.sleep(POLL_S)
        left = members(mark, group)
        if time.monotonic() - begin >= grace_s:
            _send(left, signal.SIGKILL)
    return len(there)


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def main() -> None:
    """Learns the process group from standard input, waits until that closes, and ends what is left."""
    for number in _OUTLIVED:
        signal.signal(number, signal.SIG_IGN)
    said = b""
    while piece := os.read(0, 64):
        said += piece
    end_all(sys.argv[1], int(said) if said.strip().isdigit() else None, grace_s=0.0)


if __name__ == "__main__":
    main()
