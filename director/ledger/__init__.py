"""A Director's durable record of Requests and Outcomes."""

from director.ledger.memory import MemoryLedger
from director.ledger.protocol import Accepted, Entry, FencedError, Finished, Ledger, Started, Turned
from director.ledger.sqlite import Reading, SqliteLedger, count_open, read_ledger

__all__ = [
    "Accepted",
    "Entry",
    "FencedError",
    "Finished",
    "Ledger",
    "MemoryLedger",
    "Reading",
    "SqliteLedger",
    "Started",
    "Turned",
    "count_open",
    "read_ledger",
]
