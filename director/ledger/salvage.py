"""What can be read of a ledger that is damaged, and what was lost."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from pathlib import Path

from pydantic import ValidationError

from director.ledger.deciding import Line, Phase, Standing
from director.ledger.pages import PagedFile, Row
from director.ledger.schema import to_us
from director.ledger.writing import is_run_ok
from simulations.records import AttemptRecord, Outcome, Request

EPOCHS_APART = 1000
"""By so much the epoch grows of a Request of which it is lost. Two attempts must not have the same."""


@dataclass(frozen=True)
class SavedRequest:
    """A Request that could be read; the columns of its row."""

    number: int
    id: str
    key: str
    tool_version: str
    submitted_us: int
    body: str


@dataclass(frozen=True)
class SavedOutcome:
    """An Outcome that could be read: the columns of its row, and some of what is in it."""

    seq: int
    number: int
    epoch: int
    id: str
    key: str
    status: str
    run_ok: bool
    body: str


@dataclass
class Saved:
    """All that could be read of a ledger.

    Attributes:
        life: The last life that is known to have claimed it.
        requests: By number.
        outcomes: By sequence number.
        stands: How open Requests stand, by number.
        events: By sequence number.
        old: Whether schema 1 wrote it.
        missing_pages: How many pages the file should have besides.
    """

    life: int = 0
    requests: dict[int, SavedRequest] = field(default_factory=dict)
    outcomes: dict[int, SavedOutcome] = field(default_factory=dict)
    stands: dict[int, Standing] = field(default_factory=dict)
    events: dict[int, Line] = field(default_factory=dict)
    old: bool = False
    missing_pages: int = 0


@dataclass(frozen=True)
class Losses:
    """What could not be read. Nobody can tell what was at the very end: there may have been more.

    Attributes:
        requests: Requests of which neither they nor their Outcome can be read: they are lost.
        remade: Requests that were made again from their Outcomes: their priority, deadline and files are lost.
        outcomes: Outcomes that cannot be read.
        reopened: Requests that had an Outcome, and are open again: they will be run again.
        events: Events that cannot be read, or tell of Requests that are lost.
        pages: Pages by which the file is too short.
    """

    requests: int = 0
    remade: int = 0
    outcomes: int = 0
    reopened: int = 0
    events: int = 0
    pages: int = 0

    def __bool__(self) -> bool:
        return any(astuple(self))


def read_saved(path: Path) -> Saved:
    """Reads what can be read of a ledger's file, whatever has happened to it.

    Raises:
        OSError: If the file itself cannot be read.
    """
    file = PagedFile(path)
    saved = Saved()
    try:
        for row in file.rows():
            _sort(saved, row)
    finally:
        file.close()
    saved.old = saved.old and not saved.requests
    saved.missing_pages = max(0, file.pages_expected - file.pages)
    return saved


def _sort(saved: Saved, row: Row) -> None:
    match row.values:
        case (None, str(name), str(key), str(tool_version), int(submitted_us), str(body)):
            request = SavedRequest(row.rowid, name, key, tool_version, submitted_us, body)
            if _is_request(request):
                saved.requests.setdefault(row.rowid, request)
        case (None, int(number), int(epoch), str(), str(body)):
            outcome = _outcome(body)
            if outcome is not None:
                about = (outcome.id, outcome.key, outcome.status.value, is_run_ok(outcome))
                saved.outcomes.setdefault(row.rowid, SavedOutcome(row.rowid, number, epoch, *about, body))
        case (None, int(epoch), int(phase), None | int(), None | int(), int()) if phase in set(Phase):
            stand = Standing(row.rowid, *row.values[1:])  # type: ignore[arg-type]
            if epoch >= saved.stands.get(row.rowid, stand).epoch:
                saved.stands[row.rowid] = stand
        case (None, int(), int(), str(), _, _, _):
            _sort_event(saved, row)
        case (None, str(), str(), str(), str(), str(), int()):
            saved.old = True
        case ("life", str(value)) if value.isdecimal():
            saved.life = max(saved.life, int(value))


def _sort_event(saved: Saved, row: Row) -> None:
    match row.values:
        case (
            None,
            int(at_us),
            int(life),
            str(kind),
            None | int() as number,
            None | int() as epoch,
            None | str() as data,
        ):
            line = Line(at_us, life, kind, number, epoch, data)
            if _is_line(line):
                saved.events.setdefault(row.rowid, line)
                saved.life = max(saved.life, life)


def _is_request(saved: SavedRequest) -> bool:
    try:
        return Request.model_validate_json(saved.body).id == saved.id
    except ValidationError:
        return False


def _outcome(body: str) -> Outcome | None:
    try:
        return Outcome.model_validate_json(body)
    except ValidationError:
        return None


def _is_line(line: Line) -> bool:
    try:
        data = json.loads(line.data) if line.data else {}
        if line.kind == "interrupted":
            AttemptRecord.model_validate(data)
    except (ValueError, TypeError):
        return False
    return isinstance(data, dict)


@dataclass(frozen=True)
class Mended:
    """What a ledger holds that is made of what could be read: its parts fit together.

    Attributes:
        life: The life that it belongs to.
        requests: In order.
        outcomes: In order, each of one of the Requests.
        stands: How the other Requests stand, in order.
        events: By sequence number, in order.
        losses: What is not in it.
    """

    life: int
    requests: list[SavedRequest]
    outcomes: list[SavedOutcome]
    stands: list[Standing]
    events: dict[int, Line]
    losses: Losses


def mend(saved: Saved) -> Mended:
    """Puts together what could be read. Pure.

    A Request whose Outcome is lost is open again; one that is lost itself is made again from its Outcome.
    """
    requests, remade = _requests(saved)
    outcomes: dict[int, SavedOutcome] = {}
    for seq in sorted(saved.outcomes):
        item = saved.outcomes[seq]
        if requests.get(item.number) and requests[item.number].id == item.id:
            outcomes.setdefault(item.number, item)
    events = {seq: line for seq, line in sorted(saved.events.items()) if line.number is None or line.number in requests}
    told = {line.number for line in events.values() if line.kind == "finished"}
    begun = {line.number for line in events.values() if line.kind == "accepted"}
    numbers = {*requests, *saved.stands, *(item.number for item in saved.outcomes.values())}
    numbers |= {line.number for line in saved.events.values() if line.number is not None}
    losses = Losses(
        requests=max(numbers, default=0) - len(requests),
        remade=remade,
        outcomes=max(_gaps(saved.outcomes), len(told - outcomes.keys())),
        reopened=len((told & requests.keys()) - outcomes.keys()),
        events=max(
            _gaps(saved.events) + len(saved.events) - len(events),
            len(requests.keys() - begun) + len(outcomes.keys() - told),
        ),
        pages=saved.missing_pages,
    )
    stands = _stands(saved, [number for number in sorted(requests) if number not in outcomes], events, losses)
    kept = sorted(outcomes.values(), key=lambda item: item.seq)
    return Mended(saved.life, [requests[number] for number in sorted(requests)], kept, stands, events, losses)


def _gaps(found: Iterable[int]) -> int:
    numbers = set(found)
    return max(numbers, default=0) - len(numbers)


def _requests(saved: Saved) -> tuple[dict[int, SavedRequest], int]:
    """The Requests, those that were made again from their Outcomes included, and how many the latter are."""
    requests: dict[int, SavedRequest] = {}
    names: set[str] = set()
    remade = 0
    for number in sorted(saved.requests):
        item = saved.requests[number]
        if item.id not in names:
            names.add(item.id)
            requests[number] = item
    for ended in saved.outcomes.values():
        if ended.number in requests or ended.id in names:
            continue
        outcome = Outcome.model_validate_json(ended.body)
        body = Request(id=outcome.id, tool=outcome.tool, inputs=outcome.inputs).model_dump_json()
        submitted_us = to_us(outcome.submitted_at)
        requests[ended.number] = SavedRequest(
            ended.number, outcome.id, outcome.key, outcome.tool_version, submitted_us, body
        )
        names.add(outcome.id)
        remade += 1
    return requests, remade


def _stands(saved: Saved, still_open: list[int], events: dict[int, Line], losses: Losses) -> list[Standing]:
    """How the open Requests stand. Where that is lost, the epoch is one that no attempt can have had."""
    greatest: dict[int, int] = {}
    priorities: dict[int, int] = {}
    cancelled: set[int] = set()
    lives = sum(line.kind == "taken_up" for line in events.values())
    for line in events.values():
        if line.number is None:
            continue
        greatest[line.number] = max(greatest.get(line.number, 0), line.epoch or 0)
        if line.kind == "changed" and line.data:
            data = json.loads(line.data)
            if data.get("cancel"):
                cancelled.add(line.number)
            if isinstance(data.get("priority"), int):
                priorities[line.number] = data["priority"]
    stands = []
    for number in still_open:
        epoch = greatest.get(number, 0) + lives + losses.events + EPOCHS_APART
        made = Standing(number, epoch, priority=priorities.get(number), cancelled=int(number in cancelled))
        stands.append(saved.stands.get(number, made))
    return stands
