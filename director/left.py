"""What is left to do of a run whose Directors are gone, read from its folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from director.door import Problem, Refused
from director.ledger import Entry
from director.ledger.errors import explained
from director.ledger.queries import page_outcomes, read_counts, read_last
from director.ledger.reading import open_reading
from director.requestbook import RequestBook
from director.runfolder import RunFolder, RunRecord
from simulations.records import Request, Status


@dataclass(frozen=True)
class Shelf:
    """What one Director's ledger holds.

    Attributes:
        known: Ids of all Requests that were ever accepted.
        open: Ids of those that have no Outcome, in the order in which they were accepted.
        last: Sequence number of the latest Outcome; 0 if there is none.
        ended: How many Outcomes there are of each status.
    """

    known: frozenset[str] = frozenset()
    open: tuple[str, ...] = ()
    last: int = 0
    ended: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Left:
    """What is left of a run.

    Attributes:
        record: The run's record.
        shelves: What each Director's ledger holds.
        unknown: Requests that were written down and that no ledger has.
    """

    record: RunRecord
    shelves: tuple[Shelf, ...]
    unknown: tuple[Request, ...]

    @property
    def open(self) -> list[tuple[int, str]]:
        """Ids of the Requests that ledgers have and that have no Outcome, each with the index of its Director."""
        return [(index, name) for index, shelf in enumerate(self.shelves) for name in shelf.open]

    @property
    def ended(self) -> Counter[str]:
        """How many Outcomes there are of each status."""
        total: Counter[str] = Counter()
        for shelf in self.shelves:
            total.update(shelf.ended)
        return total

    @property
    def count(self) -> int:
        """How many Requests have no Outcome."""
        return len(self.open) + len(self.unknown)

    @property
    def all_ok(self) -> bool:
        """Whether all Outcomes that there are are ``ok``."""
        return not any(count for status, count in self.ended.items() if status != Status.OK)


def left_of(folder: RunFolder, *, idle: bool = False) -> Left:
    """Reads what is left of a run. Blocks.

    Args:
        folder: The run folder.
        idle: Whether it may be a run that had nothing to do.

    Raises:
        Refused: If there is no run in the folder, or one that kept nothing, or had nothing to do.
        LedgerError: If a ledger cannot be read.
    """
    record = folder.read()
    if record.memory_ledger:
        message = f"{folder.path} kept its ledgers in memory only, and they are gone"
        raise Refused([Problem("resume", message, "Run its batch again, without memory_ledger")])
    shelves = _shelves(folder, record)
    unknown = _unknown(folder, shelves)
    if not idle and not unknown and not any(shelf.known for shelf in shelves):
        message = f"nothing was handed over to {folder.path} before its client ended"
        raise Refused([Problem("resume", message, "Run its batch again, into another folder")])
    return Left(record, shelves, unknown)


def unsent(folder: RunFolder) -> tuple[Request, ...]:
    """The Requests of a run, open or not, that its client has written down and no Director has accepted. Blocks.

    Raises:
        Refused: If there is no run in the folder.
        LedgerError: If a ledger cannot be read.
    """
    if not folder.requests_file.exists():
        return ()
    return _unknown(folder, _shelves(folder, folder.read()))


def _shelves(folder: RunFolder, record: RunRecord) -> tuple[Shelf, ...]:
    return tuple(shelf_of(folder.ledger(index)) for index in range(len(record.partitions)))


def _unknown(folder: RunFolder, shelves: Sequence[Shelf]) -> tuple[Request, ...]:
    known = frozenset().union(*(shelf.known for shelf in shelves))
    return tuple(request for request in RequestBook(folder.requests_file).read() if request.id not in known)


def shelf_of(ledger: Path) -> Shelf:
    """What a ledger holds; nothing, if it is not there. Blocks.

    Raises:
        LedgerError: If it cannot be read.
    """
    if not ledger.exists():
        return Shelf()
    with explained(ledger, "read"), open_reading(ledger) as db:
        known = frozenset(name for (name,) in db.execute("SELECT id FROM requests"))
        rows = db.execute("SELECT r.id FROM open AS o JOIN requests AS r ON r.seq = o.request ORDER BY o.request")
        return Shelf(known, tuple(name for (name,) in rows), read_last(db), Counter(read_counts(db)))


def entries_after(ledger: Path, after: int) -> list[Entry]:
    """Outcomes that a ledger has after a cursor, also while its Director writes to it. Blocks.

    Raises:
        LedgerError: If it cannot be read.
    """
    if not ledger.exists():
        return []
    with explained(ledger, "read"), open_reading(ledger) as db:
        return page_outcomes(db, after, -1)
