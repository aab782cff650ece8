"""The other Directors of a run: while one of them works, all stay.

The job is not given back before that anyway, and a client that comes later should find every Outcome.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from director.lease import newest_record
from director.ledger import count_open
from director.runfolder import RunFolder

SILENT_S = 30.0


@dataclass
class _Seen:
    beat: object
    at: float


class Siblings:
    """Looks at the ledgers and leases of the other Directors in the run folder.

    Args:
        folder: The run folder.
        others: Their indices.
        clock: A monotonic clock, in s.
    """

    def __init__(self, folder: RunFolder, others: Iterable[int], clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._others = list(others)
        self._clock = clock
        self._seen: dict[int, _Seen] = {}

    def busy(self) -> bool:
        """Whether one of them lives and has Requests without an Outcome. Reads files."""
        # All are looked at each time, since whether one lives is told by what changes between two looks.
        alive = [index for index in self._others if self._alive(index)]
        return any(self._open(self._folder.ledger(index)) for index in alive)

    def _alive(self, index: int) -> bool:
        record = newest_record(self._folder.lease(index))
        if record is None or record.released:
            return False
        now = self._clock()
        beat = (record.nonce, record.beat)
        seen = self._seen.get(index)
        if seen is None or seen.beat != beat:
            self._seen[index] = _Seen(beat, now)
            return True
        return now - seen.at < SILENT_S

    def _open(self, ledger: Path) -> bool:
        try:
            return count_open(ledger) > 0
        except (sqlite3.Error, RuntimeError):  # it is just being made, or written to: look again
            return True
