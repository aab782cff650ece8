"""A Director's durable record of Requests and Outcomes."""

from director.ledger.memory import MemoryLedger
from director.ledger.opening import mark_of, open_claimed
from director.ledger.protocol import (
    Accepted,
    Changed,
    CourseOf,
    Entry,
    Event,
    FencedError,
    Finished,
    Interrupted,
    Ledger,
    LedgerError,
    Noted,
    Started,
    Turned,
)
from director.ledger.reading import OkReader, Reading, count_open, read_events, read_ledger, read_outcomes
from director.ledger.sqlite import SqliteLedger

__all__ = [
    "Accepted",
    "Changed",
    "CourseOf",
    "Entry",
    "Event",
    "FencedError",
    "Finished",
    "Interrupted",
    "Ledger",
    "LedgerError",
    "MemoryLedger",
    "Noted",
    "OkReader",
    "Reading",
    "SqliteLedger",
    "Started",
    "Turned",
    "count_open",
    "mark_of",
    "open_claimed",
    "read_events",
    "read_ledger",
    "read_outcomes",
]
