"""What a run folder tells of its run, without asking any Director."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from director.accounting import Account
from director.ledger import Event, Reading, read_events, read_ledger
from director.ledger.errors import explained
from director.ledger.queries import read_open
from director.ledger.reading import open_reading
from director.runfolder import RunFolder, RunRecord
from director.totals import Totals
from simulations.records import AttemptRecord, Outcome
from simulations.tool import AnyTool

EMPTY = Reading([], 0, 0)

Interval = tuple[datetime, datetime]


@dataclass(frozen=True)
class History:
    """A run, read from its folder.

    Attributes:
        folder: The run folder.
        record: The run's record.
        readings: What each Director's ledger holds.
        outcomes: All Outcomes, in the order in which they finished.
    """

    folder: RunFolder
    record: RunRecord
    readings: list[Reading]
    outcomes: list[Outcome]

    def states(self, passages: Sequence[Passage]) -> list[dict[str, Any]]:
        """For each Director what `DirectorAgent.status` would say, as far as its ledger knows.

        Args:
            passages: What happened to each; see `read_passages`.
        """
        states = []
        for index, (partition, reading) in enumerate(zip(self.record.partitions, self.readings, strict=True)):
            mine = [outcome for outcome in self.outcomes if outcome.director == index]
            states.append(
                {
                    "director": index,
                    "partition": partition,
                    "state": "closed" if self.record.closed_at else "lost",
                    "workers": self.record.workers[index],
                    "workers_up": 0,
                    "queued": reading.accepted - len(mine),
                    "running": 0,
                    "finished": dict(Counter(outcome.status.value for outcome in mine)),
                    "accounting": passages[index].totals.model_dump(mode="json"),
                    "ended": passages[index].ended,
                }
            )
        return states


@dataclass(frozen=True)
class Passage:
    """What happened to one Director, by its ledger's events. Times are UTC.

    Attributes:
        totals: Where the time went.
        held: From when to when it was there.
        paused: From when to when it was paused.
        ended: What it said at the end of its latest life: ``at`` and what its ``ended`` event holds; None: nothing.
        still_open: The attempts of each Request that has been started and has no Outcome.
    """

    totals: Totals
    held: tuple[Interval, ...] = ()
    paused: tuple[Interval, ...] = ()
    ended: dict[str, Any] | None = None
    still_open: tuple[list[AttemptRecord], ...] = ()


def read_history(folder: RunFolder) -> History:
    """Reads a run's record and ledgers.

    Raises:
        Refused: If there is no run in the folder.
        LedgerError: If a ledger cannot be read, or a newer version wrote it.
    """
    record = folder.read()
    readings = []
    for index in range(len(record.partitions)):
        path = folder.ledger(index)
        readings.append(read_ledger(path) if path.exists() else EMPTY)
    outcomes = [Outcome.model_validate_json(body) for reading in readings for body in reading.outcomes]
    outcomes.sort(key=lambda outcome: outcome.finished_at)
    return History(folder, record, readings, outcomes)


def read_passages(history: History, tools: Mapping[str, AnyTool]) -> list[Passage]:
    """Reads what happened to each of a run's Directors.

    Args:
        history: The run.
        tools: The installed Tools; of others it is not known in what unit open Requests count their work.

    Raises:
        LedgerError: If a ledger cannot be read, or a newer version wrote it.
    """
    record, passages = history.record, []
    for index, (partition, workers) in enumerate(zip(record.partitions, record.workers, strict=True)):
        path = history.folder.ledger(index)
        events = read_events(path) if path.exists() else []
        mine = [outcome for outcome in history.outcomes if outcome.director == index]
        units = _units(path, tools) if any(event.kind == "interrupted" for event in events) else {}
        account = Account.of(events, mine, nodes=len(partition), workers=workers, units=units)
        passages.append(passage_of(events, account, {outcome.id for outcome in mine}))
    return passages


def passage_of(events: Sequence[Event], account: Account, done: Collection[str]) -> Passage:
    """What happened to a Director. Pure.

    Args:
        events: All of its ledger's events.
        account: What they, and its Outcomes, come to.
        done: Ids of the Requests that have an Outcome.
    """
    histories: dict[str, list[AttemptRecord]] = {}
    paused: list[Interval] = []
    since: datetime | None = None
    ended: dict[str, Any] | None = None
    for event in events:
        if event.kind == "interrupted" and event.id is not None and event.id not in done:
            record = AttemptRecord.model_validate(dict(event.data))
            if record.began:
                histories.setdefault(event.id, []).append(record)
        elif event.kind == "paused":
            since = since or event.at
        elif event.kind in ("unpaused", "claimed", "ended"):
            paused += [(since, event.at)] if since is not None and event.kind != "claimed" else []
            since = None
        if event.kind in ("ended", "began", "claimed"):
            ended = {"at": event.at.isoformat(), **event.data} if event.kind == "ended" else None
    if since is not None:
        paused.append((since, events[-1].at))
    return Passage(
        totals=account.totals(),
        held=tuple((start, until) for start, until in account.lives() if until is not None),
        paused=tuple(paused),
        ended=ended,
        still_open=tuple(histories.values()),
    )


def _units(path: Path, tools: Mapping[str, AnyTool]) -> dict[str, str]:
    """The unit of work of each open Request's Tool, where that is installed."""
    with explained(path, "read"), open_reading(path) as db:
        still_open = [item.request for _, item in read_open(db)]
    return {request.id: tools[request.tool].unit for request in still_open if request.tool in tools}
