"""The Ledger on disk."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from director.ledger.protocol import Accepted, Entry, FencedError, Finished, Started, Turned
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
        self._life = 0
        if not _has_schema(self._db):
            with self._transaction():
                if not _has_schema(self._db):  # another process may have made it meanwhile
                    for statement in _SCHEMA.split(";"):
                        self._db.execute(statement)
                    self._db.execute("INSERT INTO meta VALUES ('schema', ?)", (str(SCHEMA_VERSION),))
        _refuse_other_schema(self._db, path)

    def claim(self, life: int) -> None:
        """See `Ledger.claim`."""
        if life < 1:
            raise ValueError(f"a life's number is at least 1, not {life}")
        with self._transaction():
            claimed = self._claimed()
            if life <= claimed:
                raise FencedError(life, claimed)
            self._db.execute(
                "INSERT INTO meta VALUES ('life', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (str(life),),
            )
        self._life = life

    def turn(
        self,
        accepted: Sequence[Accepted] = (),
        started: Sequence[Started] = (),
        finished: Sequence[Finished] = (),
    ) -> Turned:
        """See `Ledger.turn`."""
        ids = [item.request.id for item in accepted]
        with self._own_transaction():
            fresh = set(ids) - self.known(ids) if ids else set()
            last = self.last() if finished else 0
            self._many(
                "INSERT INTO requests (id, key, tool_version, body, submitted_at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO NOTHING",
                [_row(item) for item in accepted if item.request.id in fresh],
            )
            self._many(
                "INSERT INTO attempts (id, epoch, started_at) VALUES (?, ?, ?)",
                [(item.id, item.epoch, item.at.isoformat()) for item in started],
            )
            self._many(
                "UPDATE requests SET epoch = ? WHERE id = ? AND epoch < ?",
                [(item.epoch, item.id, item.epoch) for item in started],
            )
            self._many(
                "INSERT INTO outcomes (id, body) SELECT id, ? FROM requests WHERE id = ? AND epoch = ?"
                " ON CONFLICT (id) DO NOTHING",
                [(item.outcome.model_dump_json(), item.outcome.id, item.epoch) for item in finished],
            )
            counted = self.page(last, len(finished)) if finished else []
        return Turned(fresh, counted)

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
        with self._own_transaction():
            self._db.execute("UPDATE requests SET epoch = epoch + 1 WHERE id NOT IN (SELECT id FROM outcomes)")
            rows = self._db.execute(
                "SELECT body, key, tool_version, submitted_at, epoch,"
                " (SELECT count(*) FROM attempts WHERE attempts.id = requests.id) FROM requests"
                " WHERE id NOT IN (SELECT id FROM outcomes) ORDER BY seq"
            ).fetchall()
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

    @contextlib.contextmanager
    def _own_transaction(self) -> Iterator[None]:
        """A transaction that is begun only while the ledger is ours; no other life can claim it before the end."""
        with self._transaction():
            claimed = self._claimed()
            if claimed != self._life:
                raise FencedError(self._life, claimed)
            yield

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite has ended it already when the disk is full
                self._db.execute("ROLLBACK")
            raise

    def _claimed(self) -> int:
        found = self._db.execute("SELECT value FROM meta WHERE name = 'life'").fetchone()
        return int(found[0]) if found else 0

    def _many(self, statement: str, rows: list[tuple[object, ...]]) -> None:
        if rows:
            self._db.executemany(statement, rows)


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


def count_open(path: Path) -> int:
    """How many Requests of a ledger have no Outcome, also while its Director writes to it.

    Raises:
        RuntimeError: If the file was written by another version.
        sqlite3.Error: If it cannot be read.
    """
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as db:
        _refuse_other_schema(db, path)
        counts = "SELECT (SELECT count(*) FROM requests) - (SELECT count(*) FROM outcomes)"
        return int(db.execute(counts).fetchone()[0])


def _row(item: Accepted) -> tuple[object, ...]:
    request = item.request
    return (request.id, item.key, item.tool_version, request.model_dump_json(), item.submitted_at.isoformat())


def _page(db: sqlite3.Connection, after: int, limit: int) -> list[Entry]:
    rows = db.execute("SELECT seq, id, body FROM outcomes WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit))
    return [Entry(*row) for row in rows]


def _has_schema(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone() is not None


def _refuse_other_schema(db: sqlite3.Connection, path: Path | None) -> None:
    found = db.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
    if found is None or found[0] != str(SCHEMA_VERSION):
        raise RuntimeError(
            f"{path} has ledger schema {found and found[0]}; this md-director reads schema {SCHEMA_VERSION}"
        )
