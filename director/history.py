"""What a run folder tells of its run, without asking any Director."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from director.ledger import Reading, read_ledger
from director.runfolder import RunFolder, RunRecord
from simulations.records import Outcome


@dataclass(frozen=True)
class History:
    """A run, read from its folder.

    Attributes:
        record: The run's record.
        readings: What each Director's ledger holds.
        outcomes: All Outcomes, in the order in which they finished.
    """

    record: RunRecord
    readings: list[Reading]
    outcomes: list[Outcome]

    def states(self) -> list[dict[str, Any]]:
        """For each Director what `DirectorAgent.status` would say, as far as its ledger knows."""
        states = []
        for index, (partition, reading) in enumerate(zip(self.record.partitions, self.readings, strict=True)):
            mine = [outcome for outcome in self.outcomes if outcome.director == index]
            still_open = reading.accepted - len(mine)
            states.append(
                {
                    "director": index,
                    "partition": partition,
                    "state": "closed" if self.record.closed_at else "lost",
                    "workers": self.record.workers[index],
                    "workers_up": 0,
                    "queued": still_open,
                    "running": 0,
                    "finished": dict(Counter(outcome.status.value for outcome in mine)),
                }
            )
        return states


def read_history(folder: RunFolder) -> History:
    """Reads a run's record and ledgers.

    Raises:
        Refused: If there is no run in the folder.
        RuntimeError: If a ledger was written by another version.
        sqlite3.Error: If a ledger cannot be read.
    """
    record = folder.read()
    readings = []
    for index in range(len(record.partitions)):
        path = folder.ledger(index)
        readings.append(read_ledger(path) if path.exists() else Reading([], 0, 0))
    outcomes = [Outcome.model_validate_json(body) for reading in readings for body in reading.outcomes]
    outcomes.sort(key=lambda outcome: outcome.finished_at)
    return History(record, readings, outcomes)
