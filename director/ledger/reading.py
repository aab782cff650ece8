"""Reading a ledger that is another's: a Director's that writes to it, one of long ago, or of another run.

Nothing is changed in it, but for one thing: what a Director had half written when it was killed is taken back by
whoever opens the ledger next, if that one may write. A reader that may not is told so.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from director.ledger.errors import NotLedgerError, explained, named, other_schema
from director.ledger.migrating import migrate
from director.ledger.protocol import Entry, Event, LedgerError
from director.ledger.queries import page_events, page_outcomes, read_first_ok
from director.ledger.schema import SCHEMA_VERSION, schema_of

READER_BUSY_S = 30.0
"""How long a reader waits for a Director that writes, in s."""


@dataclass(frozen=True)
class Reading:
    """What a reader finds in a ledger.

    Attributes:
        outcomes: Outcomes, as JSON, in the order in which they were journaled.
        accepted: How many Requests were accepted.
        started: How many of the open ones have been started.
        cancelled: How many of the open ones are to be cancelled.
    """

    outcomes: list[str]
    accepted: int
    started: int
    cancelled: int = 0


def read_ledger(path: Path) -> Reading:
    """Reads a ledger, also while its Director writes to it.

    Raises:
        LedgerError: If it cannot be read, or a newer version wrote it.
    """
    with explained(path, "read"), open_reading(path) as db, snapshot(db):
        still_open, started, cancelled = db.execute(
            "SELECT count(*), coalesce(sum(epoch > 0 AND (phase > 0 OR EXISTS (SELECT 1 FROM events AS e"
            " WHERE e.request = open.request AND e.kind = 'interrupted'))), 0), coalesce(sum(cancelled), 0) FROM open"
        ).fetchone()
        outcomes = [entry.body for entry in page_outcomes(db, 0, -1)]
        return Reading(outcomes, int(still_open) + len(outcomes), int(started), int(cancelled))


def read_events(path: Path, after: int = 0, limit: int = -1) -> list[Event]:
    """Reads the events of a ledger, also while its Director writes to it. See `Ledger.events`.

    Args:
        path: The ledger.
        after: The greatest sequence number that is not wanted.
        limit: How many, at most; negative: all.

    Raises:
        LedgerError: If it cannot be read, or a newer version wrote it.
    """
    with explained(path, "read"), open_reading(path) as db:
        return page_events(db, after, limit)


def read_outcomes(path: Path, after: int = 0, limit: int = -1) -> list[Entry]:
    """Reads Outcomes of a ledger, also while its Director writes to it. See `Ledger.page`.

    Args:
        path: The ledger.
        after: The greatest sequence number that is not wanted.
        limit: How many, at most; negative: all.

    Raises:
        LedgerError: If it cannot be read, or a newer version wrote it.
    """
    with explained(path, "read"), open_reading(path) as db:
        return page_outcomes(db, after, limit)


def count_open(path: Path) -> int:
    """How many Requests of a ledger have no Outcome, also while its Director writes to it.

    Raises:
        LedgerError: If it cannot be read, or a newer version wrote it.
    """
    with explained(path, "read"), open_reading(path) as db:
        return int(db.execute("SELECT count(*) FROM open").fetchone()[0])


class OkReader:
    """Looks up Outcomes by key in a ledger, time and again, also while its Director writes to it.

    Args:
        path: The ledger. It is opened at the first question, and again after an error.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open = contextlib.ExitStack()
        self._db: sqlite3.Connection | None = None

    def find_ok(self, keys: Sequence[str]) -> dict[str, str]:
        """See `Ledger.find_ok`.

        Raises:
            LedgerError: If it cannot be read, or a newer version wrote it.
        """
        try:
            with explained(self._path, "read"):
                if self._db is None:
                    self._db = self._open.enter_context(open_reading(self._path))
                return read_first_ok(self._db, keys)
        except LedgerError:
            self.close()
            raise

    def close(self) -> None:
        """Releases the ledger. May be called twice."""
        self._db = None
        self._open.close()


@contextlib.contextmanager
def open_reading(path: Path, called: Path | None = None) -> Iterator[sqlite3.Connection]:
    """Opens a ledger to read it. One of an older schema is read as if it had been migrated; its file stays as it is.

    Args:
        path: The ledger.
        called: How it is called in messages, if this is a copy of it.

    Raises:
        LedgerError: If a newer version wrote it, or nothing is in it.
        sqlite3.Error: If it cannot be read.
    """
    with contextlib.ExitStack() as stack:
        db = stack.enter_context(contextlib.closing(_connect(path)))
        found = schema_of(db)
        if found is None:
            raise NotLedgerError(
                f"{named(called or path)} is empty. Its Director has just begun to make it, or it was cut off"
            )
        if not 1 <= found <= SCHEMA_VERSION:
            raise other_schema(called or path, found, SCHEMA_VERSION)
        if found < SCHEMA_VERSION:
            copy = stack.enter_context(contextlib.closing(sqlite3.connect(":memory:", check_same_thread=False)))
            db.backup(copy)
            with copy:
                migrate(copy, datetime.now(UTC))
            db = copy
        yield db


def _connect(path: Path) -> sqlite3.Connection:
    try:
        return _connected(path, "ro")
    except sqlite3.OperationalError as error:
        # Someone was killed while writing. Only who may write can take that back; it is done by reading.
        if error.sqlite_errorname != "SQLITE_READONLY_ROLLBACK":
            raise
    _connected(path, "rw").close()
    return _connected(path, "ro")


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    address = f"file:{quote(str(path.absolute()))}?mode={mode}"
    db = sqlite3.connect(address, uri=True, timeout=READER_BUSY_S, check_same_thread=False, isolation_level=None)
    try:
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        db.close()
        raise
    return db


@contextlib.contextmanager
def snapshot(db: sqlite3.Connection) -> Iterator[None]:
    """All that is read meanwhile is of one moment."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("ROLLBACK")
