"""What SQLite and the file system say when a ledger does not work, in words that help."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from director.ledger.protocol import LedgerError

_RESUME = "then resume the run: all that was acknowledged is in the ledger"
_CHECK = "see what can be read with `director ledger check {path}`, and save it with its option --repair"

# By the name of SQLite's error code, the longest that fits: what is wrong, and what to do.
_SQLITE = {
    "SQLITE_FULL": ("the disk is full, or a quota is used up", f"free some space there, {_RESUME}"),
    "SQLITE_READONLY": ("it may not be written to", f"make the file and its folder writable, {_RESUME}"),
    "SQLITE_READONLY_ROLLBACK": (
        "its Director was killed while it wrote, and what is half written cannot be taken back without writing to it",
        "read it as a user who may write to the file and its folder, or resume the run",
    ),
    "SQLITE_READONLY_DBMOVED": ("the file was moved or removed", f"bring it back, {_RESUME}"),
    "SQLITE_IOERR": ("the disk does not answer, or answers with errors", f"see to the file system, {_RESUME}"),
    "SQLITE_IOERR_LOCK": ("its file system has no locks", "put the run folder on one with locks that work (flock)"),
    "SQLITE_IOERR_RDLOCK": ("its file system has no locks", "put the run folder on one with locks that work (flock)"),
    "SQLITE_BUSY": ("another process has locked it", "end what reads or writes it, such as a copy or a check"),
    "SQLITE_LOCKED": ("another process has locked it", "end what reads or writes it, such as a copy or a check"),
    "SQLITE_PROTOCOL": ("another process has locked it", "end what reads or writes it, such as a copy or a check"),
    "SQLITE_CANTOPEN": ("it cannot be opened", "see that its folder is there and that you may read and write in it"),
    "SQLITE_PERM": ("you may not open it", "see that you may read and write the file and its folder"),
    "SQLITE_AUTH": ("you may not open it", "see that you may read and write the file and its folder"),
    "SQLITE_NOTADB": ("it is not a ledger, or its beginning is damaged", _CHECK),
    "SQLITE_CORRUPT": ("it is damaged", _CHECK),
}

_OS = {
    errno.ENOSPC: "SQLITE_FULL",
    errno.EDQUOT: "SQLITE_FULL",
    errno.EROFS: "SQLITE_READONLY",
    errno.EACCES: "SQLITE_PERM",
    errno.EPERM: "SQLITE_PERM",
    errno.ENOENT: "SQLITE_CANTOPEN",
    errno.ENOTDIR: "SQLITE_CANTOPEN",
}

_OTHER = ("something is wrong with it", _CHECK)


class NotLedgerError(LedgerError):
    """A file that can be read, and holds no ledger."""


def ledger_error(error: sqlite3.Error | OSError, path: Path | None, doing: str) -> LedgerError:
    """Says in words what went wrong with a ledger.

    Args:
        error: What was raised.
        path: The ledger's file; None if it is in memory.
        doing: What was tried: ``opened``, ``read`` or ``written``.
    """
    if isinstance(error, OSError):
        name, said = _OS.get(error.errno or 0, "SQLITE_IOERR"), error.strerror or str(error)
    else:
        name, said = getattr(error, "sqlite_errorname", None) or "", str(error)
    known = [prefix for prefix in _SQLITE if name == prefix or name.startswith(prefix + "_")]
    wrong, advice = _SQLITE[max(known, key=len)] if known else _OTHER
    advice = advice.format(path=path)
    detail = f"{said}, {name}" if name and isinstance(error, sqlite3.Error) else said
    return LedgerError(f"{named(path)} cannot be {doing}: {wrong} ({detail}). To go on, {advice}")


def other_schema(path: Path | None, found: int, newest: int) -> LedgerError:
    """Says that a ledger was written by another version."""
    if found < 1:
        told = "it holds tables of something else"
        return NotLedgerError(f"{named(path)} is not a ledger: {told}. Name a ledger's file, or a new one")
    told = f"it has ledger schema {found}; this md-director reads schema {newest} and older"
    return LedgerError(f"{named(path)} cannot be opened: {told}. Use the md-director that wrote it, or a newer one")


def named(path: Path | None) -> str:
    """How a ledger is called in messages."""
    return f"ledger {path}" if path else "the ledger in memory"


@contextlib.contextmanager
def explained(path: Path | None, doing: str) -> Iterator[None]:
    """Turns what SQLite and the file system raise into a `LedgerError`."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise ledger_error(error, path, doing) from error
