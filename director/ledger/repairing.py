"""Writing a new ledger with all that can be read of a damaged one."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from director.ledger.copying import copied, salvage
from director.ledger.deciding import Line, Standing, restating
from director.ledger.errors import explained
from director.ledger.protocol import LedgerError
from director.ledger.queries import page_events
from director.ledger.replay import Account, differences, read_tables, replay
from director.ledger.salvage import Losses, Mended
from director.ledger.schema import create_tables, key_number, to_us
from director.ledger.writing import count_outcomes, index_ids, index_keys, write_life, write_lines, write_standings


def repair(path: Path, target: Path, at: datetime) -> Losses:
    """Writes a new ledger with all that can be read of another one, which is not touched.

    Args:
        path: The damaged one.
        target: The new one; it must not be there yet.
        at: Now (UTC).

    Returns:
        What was lost.

    Raises:
        LedgerError: If nothing of a ledger is in the file, or it cannot be read, or the new one cannot be written.
    """
    if target.exists():
        raise LedgerError(f"{target} is there already. Name a new file")
    with copied(path, target.absolute().parent) as copy:
        mended = salvage(copy, path)
    with explained(target, "written"):
        try:
            with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as db:
                db.execute("PRAGMA synchronous=FULL")
                db.execute("BEGIN")
                create_tables(db)
                _fill(db, mended)
                _restate(db, mended, to_us(at))
                db.execute("COMMIT")
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    return mended.losses


def _fill(db: sqlite3.Connection, mended: Mended) -> None:
    write_life(db, mended.life)
    db.executemany(
        "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?)",
        [(r.number, r.id, r.key, r.tool_version, r.submitted_us, r.body) for r in mended.requests],
    )
    db.executemany("INSERT INTO id_recent VALUES (?, ?)", [(key_number(r.id), r.number) for r in mended.requests])
    index_ids(db)
    db.executemany(
        "INSERT INTO outcomes VALUES (?, ?, ?, ?, ?)",
        [(o.seq, o.number, o.epoch, o.status, o.body) for o in mended.outcomes],
    )
    db.executemany(
        "INSERT INTO ok_recent VALUES (?, ?)",
        [(o.seq, key_number(o.key)) for o in mended.outcomes if o.run_ok],
    )
    index_keys(db)
    count_outcomes(db, Counter(item.status for item in mended.outcomes))
    write_standings(db, mended.stands)
    db.executemany(
        "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", [(seq, *line) for seq, line in mended.events.items()]
    )


def _restate(db: sqlite3.Connection, mended: Mended, at_us: int) -> None:
    """Tells by events what those that could be read do not tell any more."""
    write_lines(db, [Line(at_us, mended.life, "repaired", data=json.dumps(asdict(mended.losses)))])
    told, tables = replay(page_events(db, 0, -1)), read_tables(db)
    numbers = {item.id: item.number for item in mended.requests}
    lines = [
        _restated(at_us, mended.life, numbers[name], tables.accounts[name])
        for name in sorted(differences(told, tables))
        if name in numbers
    ]
    write_lines(db, lines)


def _restated(at_us: int, life: int, number: int, account: Account) -> Line:
    stand = Standing(number, account.epoch, account.phase, account.started_us, account.priority, account.cancelled)
    return Line(at_us, life, "restated", number, account.epoch, restating(stand, account.status, account.interrupted))
