"""The tables of a ledger's file."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

SCHEMA_VERSION = 2
OLDEST_SCHEMA_VERSION = 1

# Ids and keys are random, and a random place in a large index is a page of its own to write. So a Request's id is
# written once, when it is accepted; everything after that goes by its number, and numbers only grow. What finds ids and
# keys is a large index, and a small one of those that are not in it yet; see `writing.index_ids`.
# What is written to `requests`, `outcomes` and `events` is never changed; what changes is in `open`, which is small.
STATEMENTS = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE requests (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL,
        key TEXT NOT NULL,
        tool_version TEXT NOT NULL,
        submitted_us INTEGER NOT NULL,
        body TEXT NOT NULL
    )""",
    # Two ids may share a number, so this is no more than a hint where to look.
    """CREATE TABLE id_index (
        id_number INTEGER, request INTEGER REFERENCES requests (seq), PRIMARY KEY (id_number, request)
    ) WITHOUT ROWID""",
    """CREATE TABLE id_recent (
        id_number INTEGER, request INTEGER REFERENCES requests (seq), PRIMARY KEY (id_number, request)
    ) WITHOUT ROWID""",
    """CREATE TABLE open (
        request INTEGER PRIMARY KEY REFERENCES requests (seq),
        epoch INTEGER NOT NULL,
        phase INTEGER NOT NULL,
        started_us INTEGER,
        priority INTEGER,
        cancelled INTEGER NOT NULL
    )""",
    """CREATE TABLE outcomes (
        seq INTEGER PRIMARY KEY,
        request INTEGER NOT NULL UNIQUE REFERENCES requests (seq),
        epoch INTEGER NOT NULL,
        status TEXT NOT NULL,
        body TEXT NOT NULL
    )""",
    # The earliest Outcome of each key that may stand for others, likewise, but that recent ones are looked through.
    "CREATE TABLE ok_index (key_number INTEGER PRIMARY KEY, outcome INTEGER NOT NULL REFERENCES outcomes (seq))",
    "CREATE TABLE ok_recent (outcome INTEGER PRIMARY KEY REFERENCES outcomes (seq), key_number INTEGER NOT NULL)",
    "CREATE TABLE counts (status TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE events (
        seq INTEGER PRIMARY KEY,
        at_us INTEGER NOT NULL,
        life INTEGER NOT NULL,
        kind TEXT NOT NULL,
        request INTEGER REFERENCES requests (seq),
        epoch INTEGER,
        data TEXT
    )""",
    "CREATE INDEX events_interrupted ON events (request, seq) WHERE kind = 'interrupted'",
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_us(at: datetime) -> int:
    """A time as microseconds since 1970, without loss.

    Raises:
        TypeError: If the time has no time zone.
    """
    return (at - _EPOCH) // _MICROSECOND


def from_us(at_us: int) -> datetime:
    """The time (UTC) that `to_us` was given."""
    return _EPOCH + at_us * _MICROSECOND


def key_number(key: str) -> int:
    """What an id or key is indexed by: eight bytes are a ninth of a key, so the index is small. It may be shared."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big", signed=True)


def schema_of(db: sqlite3.Connection) -> int | None:
    """The schema version of a file, or None where there are no tables yet.

    Raises:
        sqlite3.Error: If it cannot be read.
    """
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return None
    found = db.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone() if "meta" in tables else None
    return int(found[0]) if found and str(found[0]).isdecimal() else -1


def create_tables(db: sqlite3.Connection) -> None:
    """Makes the tables, within a transaction."""
    for statement in STATEMENTS:
        db.execute(statement)
    db.execute("INSERT OR REPLACE INTO meta VALUES ('schema', ?)", (str(SCHEMA_VERSION),))
