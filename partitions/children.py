"""Which children of a process have died, and for how long it has not collected them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


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
