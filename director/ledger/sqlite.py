"""The Ledger on disk."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from director.ledger.protocol import Accepted, Entry, Finished, Started, Turned
from simulations.records import Request

SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE requests (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL,
    tool_version TEXT NOT NULL,
    body TEXT NOT NULL,
    submitted_at TEXT NOT NULL,
    epoch INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE attempts (
    id TEXT NOT NULL, epoch INTEGER NOT NULL, started_at TEXT NOT NULL, PRIMARY KEY (id, epoch)
) WITHOUT ROWID;
CREATE TABLE outcomes (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body TEXT NOT NULL);
"""


class SqliteLedger:
    """A Ledger in one SQLite file.

    It uses a rollback journal, not a write-ahead log, since the latter needs memory shared between processes and
    network file systems have none.

    Args:
        path: The file; made if it is not there. None keeps it in memory.

    Raises:
        RuntimeError: If the file was written by another version.
    """

    def __init__(self, path: Path | None) -> None:
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False, timeout=30)
        self._db.execute("PRAGMA journal_mode=TRUNCATE")
        self._db.execute("PRAGMA synchronous=FULL")
        self._closed = False
        if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
            with self._db:
                self._db.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
                self._db.execute("INSERT INTO meta VALUES ('schema', ?)", (str(SCHEMA_VERSION),))
        _refuse_other_schema(self._db, path)

    def turn(
        self,
        accepted: Sequence[Accepted] = (),
        started: Sequence[Started] = (),
        finished: Sequence[Finished] = (),
    ) -> Turned:
        """See `Ledger.turn`."""
        ids = [item.request.id for item in accepted]
        fresh = set(ids) - self.known(ids) if ids else set()
        last = self.last()
        self._write(
            [
                (
                    "INSERT INTO requests (id, key, tool_version, body, submitted_at) VALUES (?, ?, ?, ?, ?)"
                    " ON CONFLICT (id) DO NOTHING",
                    [_row(item) for item in accepted if item.request.id in fresh],
                ),
                (
                    "INSERT INTO attempts (id, epoch, started_at) VALUES (?, ?, ?)",
                    [(item.id, item.epoch, item.at.isoformat()) for item in started],
                ),
                (
                    "UPDATE requests SET epoch = ? WHERE id = ? AND epoch < ?",
                    [(item.epoch, item.id, item.epoch) for item in started],
                ),
                (
                    "INSERT INTO outcomes (id, body) SELECT id, ? FROM requests WHERE id = ? AND epoch = ?"
                    " ON CONFLICT (id) DO NOTHING",
                    [(item.outcome.model_dump_json(), item.outcome.id, item.epoch) for item in finished],
                ),
            ]
        )
        return Turned(fresh, self.page(last, len(finished)) if finished else [])

    def known(self, ids: Sequence[str]) -> set[str]:
        """See `Ledger.known`."""
        # One JSON array is one parameter, however many ids there are.
        rows = self._db.execute(
            "SELECT id FROM requests WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),)
        )
        return {row[0] for row in rows}

    def page(self, after: int, limit: int) -> list[Entry]:
        """See `Ledger.page`."""
        return _page(self._db, after, limit)

    def take_up(self) -> list[Accepted]:
        """See `Ledger.take_up`."""
        self._write([("UPDATE requests SET epoch = epoch + 1 WHERE id NOT IN (SELECT id FROM outcomes)", [()])])
        rows = self._db.execute(
            "SELECT body, key, tool_version, submitted_at, epoch,"
            " (SELECT count(*) FROM attempts WHERE attempts.id = requests.id) FROM requests"
            " WHERE id NOT IN (SELECT id FROM outcomes) ORDER BY seq"
        )
        return [
            Accepted(Request.model_validate_json(body), key, version, datetime.fromisoformat(at), epoch, attempts)
            for body, key, version, at, epoch, attempts in rows
        ]

    def close(self) -> None:
        """See `Ledger.close`."""
        if not self._closed:
            self._closed = True
            self._db.close()

    def last(self) -> int:
        """See `Ledger.last`."""
        return int(self._db.execute("SELECT coalesce(max(seq), 0) FROM outcomes").fetchone()[0])

    def _write(self, statements: list[tuple[str, list[tuple[object, ...]]]]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for statement, rows in statements:
                if rows:
                    self._db.executemany(statement, rows)
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise


@dataclass(frozen=True)
class Reading:
    """What a reader finds in a ledger.

    Attributes:
        outcomes: Outcomes, as JSON, in the order in which they were journaled.
        accepted: How many Requests were accepted.
        started: How many of the open ones have been started.
    """

    outcomes: list[str]
    accepted: int
    started: int


def read_ledger(path: Path) -> Reading:
    """Reads a ledger, also while its Director writes to it.

    Raises:
        RuntimeError: If the file was written by another version.
        sqlite3.Error: If it cannot be read.
    """
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
    try:
        _refuse_other_schema(db, path)
        with db:
            outcomes = [entry.body for entry in _page(db, 0, -1)]
            accepted = db.execute("SELECT count(*) FROM requests").fetchone()[0]
            started = db.execute(
                "SELECT count(DISTINCT id) FROM attempts WHERE id NOT IN (SELECT id FROM outcomes)"
            ).fetchone()[0]
    finally:
        db.close()
    return Reading(outcomes, int(accepted), int(started))


def _row(item: Accepted) -> tuple[object, ...]:
    request = item.request
    return (request.id, item.key, item.tool_version, request.model_dump_json(), item.submitted_at.isoformat())


def _page(db: sqlite3.Connection, after: int, limit: int) -> list[Entry]:
    rows = db.execute("SELECT seq, id, body FROM outcomes WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit))
    return [Entry(*row) for row in rows]


def _refuse_other_schema(db: sqlite3.Connection, path: Path | None) -> None:
    found = db.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
    if found is None or found[0] != str(SCHEMA_VERSION):
        raise RuntimeError(
            f"{path} has ledger schema {found and found[0]}; this md-director reads schema {SCHEMA_VERSION}"
        )
