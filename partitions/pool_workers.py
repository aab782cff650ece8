"""What a keeper knows of the workers of its pool, and what it may do to them for the Director."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from partitions.worker_signals import SIGNALS, WorkerProcess, runs, send, worker_process


class PoolWorkers:
    """The workers of one pool, by rank.

    Args:
        pool: The pool's process id.
    """

    def __init__(self, pool: int) -> None:
        self._pool = pool
        self._processes: dict[int, WorkerProcess] = {}
        self._runs: dict[int, str] = {}
        self._dying: dict[str, WorkerProcess] = {}

    def note(self, report: bytes) -> bool:
        """Notes what a worker has said; returns whether the Director is to hear it.

        A worker says its process id once, and then the name of what it begins and of what it has ended. The Director
        learns of an end from the result.
        """
        try:
            said = json.loads(report)
            rank = int(said["rank"])
        except (ValueError, KeyError, TypeError):
            return False
        if "ended" in said:
            self._runs.pop(rank, None)
            return False
        if "began" in said:
            self._runs[rank] = str(said["began"])
        else:
            self._take(rank, said.get("pid"))
        return True

    def _take(self, rank: int, pid: object) -> None:
        self._runs.pop(rank, None)
        self._processes.pop(rank, None)
        process = worker_process(pid, self._pool) if isinstance(pid, int) else None
        if process is not None:
            self._processes[rank] = process

    def obey(self, said: Mapping[str, Any]) -> bool:
        """Signals a worker as the Director asks, if it still runs what it is said to have begun.

        Args:
            said: ``signal`` (see `SIGNALS`), ``rank`` and ``began``.

        Returns:
            Whether it was signalled.

        Raises:
            KeyError: If something of that is missing, or there is no such signal.
        """
        number, rank, name = SIGNALS[said["signal"]], int(said["rank"]), str(said["began"])
        process = self._processes.get(rank)
        if process is None or self._runs.get(rank) != name or not send(number, process):
            return False
        if said["signal"] == "kill":
            self._dying[name] = process
        return True

    @property
    def dying(self) -> bool:
        """Whether a worker was killed and its end has not been seen."""
        return bool(self._dying)

    def dead(self) -> list[str]:
        """Names of what was run by workers that were killed and have ended since this was asked last."""
        ended = [name for name, process in self._dying.items() if not runs(process)]
        for name in ended:
            del self._dying[name]
        return ended
