"""A Director's durable record of Requests and Outcomes."""

from director.ledger.memory import MemoryLedger
from director.ledger.protocol import Accepted, Entry, Finished, Ledger, Started, Turned
from director.ledger.sqlite import Reading, SqliteLedger, read_ledger

__all__ = [
    "Accepted",
    "Entry",
    "Finished",
    "Ledger",
    "MemoryLedger",
    "Reading",
    "SqliteLedger",
    "Started",
    "Turned",
    "read_ledger",
]
