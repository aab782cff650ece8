"""Looking at a ledger at leisure: its Director waits while a copy is made, and no longer."""

from __future__ import annotations

import contextlib
import errno
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from director.ledger.errors import explained, named
from director.ledger.protocol import LedgerError
from director.ledger.reading import READER_BUSY_S
from director.ledger.salvage import Mended, mend, read_saved


@contextlib.contextmanager
def copied(path: Path, folder: Path | None = None) -> Iterator[Path]:
    """A copy of a ledger's file, in which what was half written has been taken back where that is possible.

    It must not be made in the process of the Director that writes to the ledger, whose locks it would end.

    Args:
        path: The ledger.
        folder: Where to put the copy for the time being; None: where temporary files go (``TMPDIR``).

    Raises:
        LedgerError: If the ledger cannot be read, or there is no room for the copy.
    """
    with tempfile.TemporaryDirectory(prefix=".ledger-", dir=folder) as temporary:
        copy = Path(temporary) / "copy.sqlite"
        with explained(path, "read"), _held(path):
            journal = path.with_name(path.name + "-journal")
            try:
                # The journal first: when a process closes a file, all its locks on that file are gone.
                if journal.exists():
                    shutil.copyfile(journal, copy.with_name(copy.name + "-journal"))
                shutil.copyfile(path, copy)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                size = path.stat().st_size
                raise LedgerError(
                    f"there is no room in {Path(temporary).parent} for a copy of {named(path)} ({size} bytes). "
                    "Free some, or set TMPDIR to a folder with more"
                ) from None
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(copy)) as db:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        yield copy


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    """Keeps a Director from writing meanwhile, if the file is sound enough for SQLite to lock it."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=READER_BUSY_S, isolation_level=None)) as db:
        try:
            db.execute("BEGIN")
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR_LOCK")):
                raise
        yield


def salvage(copy: Path, path: Path) -> Mended:
    """Reads all that can be read of a ledger.

    Args:
        copy: Its copy.
        path: The ledger, as it is called in messages.

    Raises:
        LedgerError: If nothing of a ledger is in the file, or it cannot be read.
    """
    with explained(path, "read"):
        saved = read_saved(copy)
    if saved.old:
        raise LedgerError(
            f"{named(path)} was written by an older version, and is damaged: only that version's tables are in it. "
            "Restore it from a copy"
        )
    if not saved.requests and not saved.outcomes and not saved.events:
        raise LedgerError(f"nothing of a ledger can be read in {path}. Restore it from a copy")
    return mend(saved)
