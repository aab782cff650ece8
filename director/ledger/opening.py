"""Opening the ledger of a Director's life, and seeing that it is the one that the lives before have written to.

A file that was cut off to nothing, or is gone, looks like a new one: what was acknowledged would be forgotten, and run
a second time. So the first life that has claimed a ledger leaves a mark beside it.
"""

from __future__ import annotations

from pathlib import Path

from director.ledger.errors import explained, named
from director.ledger.protocol import LedgerError
from director.ledger.sqlite import SqliteLedger
from simulations.disk import replace_file


def mark_of(path: Path) -> Path:
    """The file that says that a ledger was begun."""
    return path.with_name(f"{path.stem}.begun")


def open_claimed(path: Path, life: int) -> SqliteLedger:
    """Opens a Director's ledger, made if there never was one, and claims it.

    Args:
        path: The ledger.
        life: Number of the Director's life; see `Ledger.claim`.

    Raises:
        FencedError: If this or a later life has claimed it already.
        LedgerError: If it is empty or gone, although an earlier life has claimed it; or if it cannot be opened or
            written.
    """
    mark = mark_of(path)
    with explained(path, "opened"):
        begun = mark.exists()
        if begun and (not path.exists() or path.stat().st_size == 0):
            raise LedgerError(
                f"{named(path)} is {'empty' if path.exists() else 'gone'}, and this Director has written to it in an "
                f"earlier life: what was acknowledged would be forgotten. To go on, put back a copy of it. To begin "
                f"anew, use another run folder"
            )
    ledger = SqliteLedger(path)
    try:
        ledger.claim(life)
        if not begun:
            with explained(mark, "written"):
                replace_file(mark, (f"{life}\n".encode(),), mark.with_name(f"{mark.name}.{life}.partial"))
    except BaseException:
        ledger.close()
        raise
    return ledger
