"""Whether a ledger is sound."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from director.ledger.copying import copied, salvage
from director.ledger.errors import NotLedgerError, explained
from director.ledger.protocol import Event, LedgerError
from director.ledger.queries import page_events, read_counts
from director.ledger.reading import open_reading
from director.ledger.replay import MOST_PROBLEMS, differences, read_tables, replay
from director.ledger.salvage import Losses
from director.ledger.schema import create_tables, key_number
from simulations.records import Outcome, Request

_DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR_SHORT_READ")
_COUNTS = "SELECT (SELECT count(*) FROM requests), (SELECT count(*) FROM outcomes), (SELECT count(*) FROM events)"
EVENTS_AT_ONCE = 10_000


@dataclass(frozen=True)
class Examined:
    """What was found in a ledger.

    Attributes:
        path: The ledger.
        problems: What is wrong with it; empty: nothing.
        accepted: How many Requests can be read.
        finished: How many Outcomes can be read.
        events: How many events can be read.
        losses: What cannot be read; None where nothing at all can.
    """

    path: Path
    problems: list[str]
    accepted: int
    finished: int
    events: int
    losses: Losses | None

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def examine(path: Path) -> Examined:
    """Looks whether a ledger is sound: its file, its tables, and whether its events tell the same as its tables.

    A Director that writes to it waits while it is copied, and no longer.

    Raises:
        LedgerError: If it cannot be looked at: it is locked, may not be read, or a newer version wrote it.
        OSError: If there is no such file.
    """
    path.stat()
    with copied(path) as copy:
        try:
            with explained(path, "read"), open_reading(copy, path) as db:
                problems = [*_of_file(db), *_of_schema(db)] or [*_of_tables(db), *_of_events(db)]
                if not problems:
                    accepted, finished, events = db.execute(_COUNTS).fetchone()
                    return Examined(path, [], accepted, finished, events, Losses())
        except LedgerError as error:
            if not _is_damage(error):
                raise
            problems = [str(error)]
        return _damaged(path, copy, problems)


def _is_damage(error: LedgerError) -> bool:
    cause = error.__cause__
    if isinstance(error, NotLedgerError):
        return True
    # Text that is none is an error of Python's module, not of SQLite: it has no code.
    name = getattr(cause, "sqlite_errorname", "")
    return isinstance(cause, sqlite3.Error) and (not name or name.startswith(_DAMAGE))


def _damaged(path: Path, copy: Path, problems: list[str]) -> Examined:
    try:
        mended = salvage(copy, path)
    except LedgerError as error:
        return Examined(path, [*problems, str(error)], 0, 0, 0, None)
    sums = len(mended.requests), len(mended.outcomes), len(mended.events)
    return Examined(path, problems, *sums, mended.losses)


def _of_file(db: sqlite3.Connection) -> Iterator[str]:
    for (text,) in db.execute(f"PRAGMA integrity_check({MOST_PROBLEMS})").fetchall():
        if text != "ok":
            yield f"the file: {text}".replace("\n", "; ")


def _of_schema(db: sqlite3.Connection) -> Iterator[str]:
    listing = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"
    with contextlib.closing(sqlite3.connect(":memory:")) as sound:
        create_tables(sound)
        expected = dict(sound.execute(listing).fetchall())
    found = dict(db.execute(listing).fetchall())
    for name in expected.keys() - found.keys():
        yield f"the tables: {name} is missing"
    for name in expected.keys() & found.keys():
        if expected[name] != found[name]:
            yield f"the tables: {name} is not as it was made"


def _of_tables(db: sqlite3.Connection) -> Iterator[str]:
    for table, rowid, parent, _ in db.execute("PRAGMA foreign_key_check"):
        yield f"the tables: row {rowid} of {table} tells of {parent} that are not there"
    indexed = _indexed_ids(db)
    for number, name, body in db.execute("SELECT seq, id, body FROM requests"):
        if _id_of(Request, body) != name:
            yield f"the tables: Request {number} ({name!r}) cannot be read"
        if indexed[number] != [key_number(name)]:
            yield f"the tables: Request {number} ({name!r}) is not in their index of ids, or is there twice"
    for seq, name, status, body in db.execute(
        "SELECT o.seq, r.id, o.status, o.body FROM outcomes AS o JOIN requests AS r ON r.seq = o.request"
    ):
        if _id_of(Outcome, body) != name or json.loads(body)["status"] != status:
            yield f"the tables: Outcome {seq}, of {name!r}, cannot be read"
    counted = dict(db.execute("SELECT status, count(*) FROM outcomes GROUP BY status").fetchall())
    if counted != read_counts(db):
        yield f"the tables: there are {counted} Outcomes, but {read_counts(db)} were counted"


def _indexed_ids(db: sqlite3.Connection) -> dict[int, list[int]]:
    """By which numbers each Request is found."""
    found: dict[int, list[int]] = defaultdict(list)
    for number, request in db.execute("SELECT * FROM id_index UNION ALL SELECT * FROM id_recent"):
        found[request].append(number)
    return found


def _id_of(model: type[Request | Outcome], body: str) -> str | None:
    try:
        return model.model_validate_json(body).id
    except ValidationError:
        return None


def _of_events(db: sqlite3.Connection) -> Iterator[str]:
    told, tables = replay(_all_events(db)), read_tables(db)
    for found, where in ((told, "the events"), (tables, "the tables")):
        yield from (f"{where}: {text}" for text in found.problems)
        if found.more:
            yield f"{where}: {found.more} more problems"
    for name, what in sorted(differences(told, tables).items())[:MOST_PROBLEMS]:
        yield f"events and tables: {name!r} {what}"
    if told.life != tables.life:
        yield f"events and tables: by the events life {told.life} has claimed it, by the tables {tables.life}"


def _all_events(db: sqlite3.Connection) -> Iterator[Event]:
    after = 0
    while events := page_events(db, after, EVENTS_AT_ONCE):
        yield from events
        after = events[-1].seq
