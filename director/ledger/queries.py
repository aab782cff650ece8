"""What is asked of a ledger's tables. All of it raises `sqlite3.Error` if they cannot be read."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from director.ledger.deciding import NOT_OF_A_LIFE, Standing
from director.ledger.protocol import Accepted, Entry, Event
from director.ledger.schema import from_us, key_number
from simulations.records import AttemptRecord, Request

Parsed = TypeVar("Parsed", bound=BaseModel)

# A list of any length is one parameter: a JSON array.


def read_known(db: sqlite3.Connection, ids: Sequence[str]) -> set[str]:
    """Those of these ids that were ever accepted."""
    return set(read_standings(db, ids))


def read_standings(db: sqlite3.Connection, ids: Sequence[str]) -> dict[str, Standing | None]:
    """How those of these Requests stand that were ever accepted; None for one that has an Outcome."""
    wanted = set(ids)
    if not wanted:
        return {}
    # What is found by their numbers may be another Request; see `schema.key_number`.
    rows = db.execute(
        "WITH wanted AS (SELECT value FROM json_each(?)),"
        " found AS (SELECT i.request FROM wanted CROSS JOIN id_recent AS i ON i.id_number = wanted.value"
        " UNION ALL SELECT i.request FROM wanted CROSS JOIN id_index AS i ON i.id_number = wanted.value)"
        " SELECT r.id, o.* FROM found CROSS JOIN requests AS r ON r.seq = found.request"
        " LEFT JOIN open AS o ON o.request = r.seq",
        (_numbers(wanted),),
    )
    return {row[0]: None if row[1] is None else Standing._make(row[1:]) for row in rows if row[0] in wanted}


def read_all_standings(db: sqlite3.Connection) -> list[Standing]:
    """How all open Requests stand, in the order in which they were accepted."""
    return [Standing._make(row) for row in db.execute("SELECT * FROM open ORDER BY request")]


def read_name(db: sqlite3.Connection, number: int) -> str:
    """The id of a Request, by its number."""
    return str(db.execute("SELECT id FROM requests WHERE seq = ?", (number,)).fetchone()[0])


def read_last_us(db: sqlite3.Connection, life: int) -> int | None:
    """When the last event was that an earlier life wrote, in µs since 1970. To life 0 all are earlier."""
    rows = db.execute("SELECT at_us, kind FROM events WHERE life < ? OR ? = 0 ORDER BY seq DESC", (life, life))
    return next((at_us for at_us, kind in rows if kind not in NOT_OF_A_LIFE), None)


def page_outcomes(db: sqlite3.Connection, after: int, limit: int) -> list[Entry]:
    """See `Ledger.page`."""
    rows = db.execute(
        "SELECT o.seq, r.id, o.body FROM outcomes AS o CROSS JOIN requests AS r ON r.seq = o.request"
        " WHERE o.seq > ? ORDER BY o.seq LIMIT ?",
        (after, limit),
    )
    return [Entry(*row) for row in rows]


def read_last(db: sqlite3.Connection) -> int:
    """See `Ledger.last`."""
    return int(db.execute("SELECT coalesce(max(seq), 0) FROM outcomes").fetchone()[0])


def read_counts(db: sqlite3.Connection) -> dict[str, int]:
    """See `Ledger.counts`."""
    return dict(db.execute("SELECT status, n FROM counts").fetchall())


def page_events(db: sqlite3.Connection, after: int, limit: int) -> list[Event]:
    """See `Ledger.events`; a negative limit is none."""
    rows = db.execute(
        "SELECT e.seq, e.at_us, e.life, e.kind, r.id, e.epoch, e.data"
        " FROM events AS e LEFT JOIN requests AS r ON r.seq = e.request"
        " WHERE e.seq > ? ORDER BY e.seq LIMIT ?",
        (after, limit),
    )
    return [
        Event(seq, from_us(at_us), life, kind, name, epoch, _data(seq, data) if data else {})
        for seq, at_us, life, kind, name, epoch, data in rows
    ]


def read_first_ok(db: sqlite3.Connection, keys: Sequence[str]) -> dict[str, str]:
    """See `Ledger.find_ok`."""
    wanted = set(keys)
    if not wanted:
        return {}
    rows = db.execute(
        "WITH wanted AS (SELECT value FROM json_each(?)),"
        " found AS (SELECT outcome FROM ok_index WHERE key_number IN wanted"
        " UNION ALL SELECT min(outcome) FROM ok_recent WHERE key_number IN wanted GROUP BY key_number)"
        " SELECT json_extract(o.body, '$.key'), o.body FROM found CROSS JOIN outcomes AS o ON o.seq = found.outcome"
        " ORDER BY o.seq",
        (_numbers(wanted),),
    )
    found: dict[str, str] = {}
    for key, body in rows:
        if key in wanted:
            found.setdefault(key, body)
    return found


def read_open(db: sqlite3.Connection) -> list[tuple[Standing, Accepted]]:
    """The Requests without an Outcome, in the order in which they were accepted."""
    history: dict[int, list[AttemptRecord]] = defaultdict(list)
    for number, data in db.execute(
        "SELECT e.request, e.data FROM open AS o CROSS JOIN events AS e ON e.request = o.request"
        " WHERE e.kind = 'interrupted' ORDER BY e.request, e.seq"
    ):
        history[number].append(_parsed(AttemptRecord, data, f"an attempt of Request {number}"))
    rows = db.execute(
        "SELECT o.*, r.body, r.key, r.tool_version, r.submitted_us"
        " FROM open AS o CROSS JOIN requests AS r ON r.seq = o.request ORDER BY o.request"
    )
    found = []
    for row in rows:
        stand, (body, key, tool_version, submitted_us) = Standing._make(row[:6]), row[6:]
        request = _parsed(Request, body, f"Request {stand.number}")
        if stand.priority is not None:
            request = request.model_copy(update={"priority": stand.priority})
        item = Accepted(
            request,
            key,
            tool_version,
            from_us(submitted_us),
            stand.epoch,
            tuple(history.get(stand.number, ())),
            bool(stand.cancelled),
        )
        found.append((stand, item))
    return found


def _numbers(names: Iterable[str]) -> str:
    return json.dumps([key_number(name) for name in names])


def _data(seq: int, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise sqlite3.DatabaseError(f"the data of event {seq} is not JSON") from None


def _parsed(model: type[Parsed], text: str, what: str) -> Parsed:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise sqlite3.DatabaseError(f"{what} is not what it should be: {error.errors()[0]['msg']}") from None
