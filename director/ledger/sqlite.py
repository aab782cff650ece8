"""The Ledger on disk."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from director.ledger.deciding import Line, Turning, named_in, taken_up
from director.ledger.errors import explained, ledger_error, named, other_schema
from director.ledger.migrating import migrate
from director.ledger.protocol import (
    Accepted,
    Changed,
    CourseOf,
    Entry,
    Event,
    FencedError,
    Finished,
    Interrupted,
    LedgerError,
    Noted,
    Started,
    Turned,
)
from director.ledger.queries import (
    page_events,
    page_outcomes,
    read_all_standings,
    read_counts,
    read_first_ok,
    read_known,
    read_last,
    read_last_us,
    read_name,
    read_open,
    read_standings,
)
from director.ledger.schema import SCHEMA_VERSION, create_tables, schema_of, to_us
from director.ledger.writing import write_life, write_lines, write_standings, write_turn
from simulations.records import Course

BUSY_S = 60.0
"""How long a turn waits for a reader, in s."""

CACHE_KIB = 65_536


class SqliteLedger:
    """A Ledger in one SQLite file.

    It uses a rollback journal, not a write-ahead log, since the latter needs memory shared between processes and
    network file systems have none.

    Args:
        path: The file; made if it is not there, and migrated if an older version wrote it. None keeps it in memory.

    Raises:
        LedgerError: If it cannot be opened, or a newer version wrote it.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = None if path is None else path.absolute()
        self._life = 0
        self._broken: str | None = None
        self._db: sqlite3.Connection | None = None
        with explained(self._path, "opened"):
            self._db = connect(self._path)
            try:
                self._prepare(self._db)
                self._identity = _identity(self._path)
            except BaseException:
                self.close()
                raise

    def _prepare(self, db: sqlite3.Connection) -> None:
        db.execute("PRAGMA journal_mode=TRUNCATE")
        db.execute("PRAGMA synchronous=FULL")
        db.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        db.execute("PRAGMA secure_delete=OFF")
        if schema_of(db) == SCHEMA_VERSION:
            return
        with _transaction(db):
            found = schema_of(db)  # another process may have made it meanwhile
            if found is None:
                create_tables(db)
            elif found < 1 or found > SCHEMA_VERSION:
                raise other_schema(self._path, found, SCHEMA_VERSION)
            elif found < SCHEMA_VERSION:
                migrate(db, datetime.now(UTC))

    def claim(self, life: int, at: datetime | None = None) -> None:
        """See `Ledger.claim`."""
        if life < 1:
            raise ValueError(f"a life's number is at least 1, not {life}")
        with self._writing() as db:
            claimed = _claimed(db)
            if life <= claimed:
                raise FencedError(life, claimed)
            write_life(db, life)
            write_lines(db, [Line(to_us(at or datetime.now(UTC)), life, "claimed")])
        self._life = life

    def turn(
        self,
        accepted: Sequence[Accepted] = (),
        started: Sequence[Started] = (),
        interrupted: Sequence[Interrupted] = (),
        changed: Sequence[Changed] = (),
        finished: Sequence[Finished] = (),
        noted: Sequence[Noted] = (),
    ) -> Turned:
        """See `Ledger.turn`."""
        ids = named_in(accepted, started, interrupted, changed, finished)
        with self._writing(owned=True) as db:
            last = db.execute("SELECT coalesce(max(seq), 0) FROM requests").fetchone()[0]
            turning = Turning(self._life, read_standings(db, ids), last)
            turning.apply(accepted, started, interrupted, changed, finished, noted)
            counted = write_turn(db, turning)
        return Turned({item.request.id for item in turning.fresh}, counted)

    def known(self, ids: Sequence[str]) -> set[str]:
        """See `Ledger.known`."""
        with self._reading() as db:
            return read_known(db, ids)

    def find_ok(self, keys: Sequence[str]) -> dict[str, str]:
        """See `Ledger.find_ok`."""
        with self._reading() as db:
            return read_first_ok(db, keys)

    def page(self, after: int, limit: int) -> list[Entry]:
        """See `Ledger.page`."""
        with self._reading() as db:
            return page_outcomes(db, after, limit)

    def last(self) -> int:
        """See `Ledger.last`."""
        with self._reading() as db:
            return read_last(db)

    def counts(self) -> dict[str, int]:
        """See `Ledger.counts`."""
        with self._reading() as db:
            return read_counts(db)

    def events(self, after: int, limit: int) -> list[Event]:
        """See `Ledger.events`."""
        with self._reading() as db:
            return page_events(db, after, limit)

    def take_up(self, at: datetime | None = None, course_of: CourseOf | None = None) -> list[Accepted]:
        """See `Ledger.take_up`.

        Nobody knows when an attempt of an earlier life ended. What is journaled as its end is the time of the last
        event that an earlier life wrote: then, at least, its Director still lived.
        """
        with self._writing(owned=True) as db:
            last_us = read_last_us(db, self._life)
            stands, lines = taken_up(
                read_all_standings(db),
                self._life,
                at or datetime.now(UTC),
                last_us,
                lambda number, epoch: course_of(read_name(db, number), epoch) if course_of else Course(),
            )
            write_lines(db, lines)
            write_standings(db, stands)
            return [item for _, item in read_open(db)]

    def close(self) -> None:
        """See `Ledger.close`."""
        if self._db is not None:
            self._db.close()
            self._db = None

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with explained(self._path, "read"):
            yield self._connection()

    @contextlib.contextmanager
    def _writing(self, *, owned: bool = False) -> Iterator[sqlite3.Connection]:
        """One transaction, after which the file is still where it was. While it lasts, no life can claim the ledger.

        Args:
            owned: Whether the ledger has to be this life's.
        """
        if self._broken is not None:
            raise LedgerError(f"nothing more is written to {named(self._path)} by this Director: {self._broken}")
        try:
            with explained(self._path, "written"), _transaction(self._connection()) as db:
                claimed = _claimed(db)
                if owned and claimed != self._life:
                    raise FencedError(self._life, claimed)
                yield db
                self._stay()
            self._stay()
        except FencedError:
            raise
        except LedgerError as error:
            # A commit that failed may be on disk, or not; who goes on has to read the ledger anew.
            self._broken = str(error)
            raise

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise LedgerError(f"{named(self._path)} was closed; open it again")
        return self._db

    def _stay(self) -> None:
        """Sees that the file is still where it was opened.

        A file that was removed, or whose file system was unmounted while it was open, can be written to as ever, and
        nobody will find what was written.

        Raises:
            LedgerError: If it is not.
        """
        try:
            found = _identity(self._path)
        except OSError as error:
            raise ledger_error(error, self._path, "written") from error
        if found != self._identity:
            raise LedgerError(
                f"{named(self._path)} cannot be written: another file, or another file system, is in its place now. "
                "To go on, bring back what was there, then resume the run: all that was acknowledged is in the ledger"
            )


def connect(path: Path | None) -> sqlite3.Connection:
    """Opens a file to write to it; transactions are begun by hand."""
    return sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False, timeout=BUSY_S)


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # what went wrong first is what is told
            if db.in_transaction:  # SQLite has ended it already when the disk is full
                db.execute("ROLLBACK")
        raise


def _claimed(db: sqlite3.Connection) -> int:
    found = db.execute("SELECT value FROM meta WHERE name = 'life'").fetchone()
    return int(found[0]) if found else 0


def _identity(path: Path | None) -> tuple[int, int] | None:
    if path is None:
        return None
    found = path.stat()
    return found.st_dev, found.st_ino
