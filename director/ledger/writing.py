"""How a turn is written to a ledger's tables, within a transaction. All of it raises `sqlite3.Error`."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence

from director.ledger.deciding import Ended, Line, Standing, Turning
from director.ledger.protocol import Accepted, Entry
from director.ledger.queries import read_last
from director.ledger.schema import key_number, to_us
from simulations.records import Outcome, Status

RECENT = 4096
"""How many Requests and Outcomes there may be whose ids and keys are not in the large indexes."""


def write_turn(db: sqlite3.Connection, turning: Turning) -> list[Entry]:
    """Writes a turn, and returns the Outcomes that count."""
    write_requests(db, turning.fresh, turning.first_number())
    write_standings(db, [stand for stand in turning.stands.values() if stand is not None])
    counted = write_outcomes(db, turning.ended)
    write_lines(db, turning.lines)
    return counted


def write_requests(db: sqlite3.Connection, fresh: Iterable[Accepted], first_number: int) -> None:
    """Writes Requests, numbered from ``first_number``."""
    rows = [
        (
            number,
            item.request.id,
            item.key,
            item.tool_version,
            to_us(item.submitted_at),
            item.request.model_dump_json(),
        )
        for number, item in enumerate(fresh, first_number)
    ]
    _many(db, "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?)", rows)
    _many(db, "INSERT INTO id_recent VALUES (?, ?)", [(key_number(row[1]), row[0]) for row in rows])
    last = first_number - 1
    if last // RECENT != (last + len(rows)) // RECENT:
        index_ids(db)


def write_standings(db: sqlite3.Connection, stands: Sequence[Standing]) -> None:
    """Writes how Requests stand that are open."""
    _many(db, "INSERT OR REPLACE INTO open VALUES (?, ?, ?, ?, ?, ?)", stands)


def write_outcomes(db: sqlite3.Connection, ended: Sequence[Ended]) -> list[Entry]:
    """Writes Outcomes. Their Requests are no longer open."""
    if not ended:
        return []
    last = read_last(db)
    rows = [
        (seq, item.number, item.epoch, item.outcome.status.value, item.body) for seq, item in enumerate(ended, last + 1)
    ]
    _many(db, "INSERT INTO outcomes VALUES (?, ?, ?, ?, ?)", rows)
    _many(db, "DELETE FROM open WHERE request = ?", [(item.number,) for item in ended])
    _many(
        db,
        "INSERT INTO ok_recent VALUES (?, ?)",
        [(seq, key_number(item.outcome.key)) for seq, item in enumerate(ended, last + 1) if is_run_ok(item.outcome)],
    )
    if last // RECENT != (last + len(ended)) // RECENT:
        index_keys(db)
    count_outcomes(db, Counter(item.outcome.status.value for item in ended))
    return [Entry(seq, item.outcome.id, item.body) for seq, item in enumerate(ended, last + 1)]


def index_ids(db: sqlite3.Connection) -> None:
    """Brings recent ids into the large index.

    They are random, so each would be written to a page of its own if they came one by one; all together, many of them
    share one.
    """
    db.execute("INSERT INTO id_index SELECT id_number, request FROM id_recent ORDER BY id_number, request")
    db.execute("DELETE FROM id_recent")


def index_keys(db: sqlite3.Connection) -> None:
    """Brings recent keys into the large index, as `index_ids` does with ids.

    Two keys with the same number are so unlikely that the later one is left out: it is run anew.
    """
    db.execute("INSERT OR IGNORE INTO ok_index SELECT key_number, outcome FROM ok_recent ORDER BY key_number, outcome")
    db.execute("DELETE FROM ok_recent")


def count_outcomes(db: sqlite3.Connection, more: Counter[str]) -> None:
    """Adds to how many Outcomes there are of each status."""
    _many(
        db,
        "INSERT INTO counts VALUES (?, ?) ON CONFLICT (status) DO UPDATE SET n = n + excluded.n",
        list(more.items()),
    )


def write_lines(db: sqlite3.Connection, lines: Sequence[Line]) -> None:
    """Writes events."""
    _many(db, "INSERT INTO events (at_us, life, kind, request, epoch, data) VALUES (?, ?, ?, ?, ?, ?)", lines)


def write_life(db: sqlite3.Connection, life: int) -> None:
    """Writes which life the ledger belongs to."""
    db.execute("INSERT OR REPLACE INTO meta VALUES ('life', ?)", (str(life),))


def is_run_ok(outcome: Outcome) -> bool:
    """Whether an Outcome may stand for others: it is ``ok``, and was run."""
    return outcome.status is Status.OK and outcome.reused_from is None


def _many(db: sqlite3.Connection, statement: str, rows: Sequence[Sequence[object]]) -> None:
    if rows:
        db.executemany(statement, rows)
