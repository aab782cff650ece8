"""How a ledger of schema 1 becomes one of schema 2.

Schema 1 had no events: they are made from the times that it holds. What it did not tell stays untold: how attempts
ended that were followed by another one, and when a life took it up. Where a Request has an epoch that no attempt
explains, a ``restated`` event tells of it.
"""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime

from director.ledger.deciding import Line, Phase, Standing, restating
from director.ledger.schema import create_tables, key_number, to_us
from director.ledger.writing import index_ids, index_keys, write_lines

_OLD = ("requests", "attempts", "outcomes")

_COPY = (
    "INSERT INTO requests SELECT seq, id, key, tool_version, us(submitted_at), body FROM old_requests ORDER BY seq",
    "INSERT INTO id_recent SELECT key_number(id), seq FROM requests",
    # The latest attempt has the Request's epoch, or was overtaken by a life that took the Request up.
    """INSERT INTO open SELECT r.seq, r.epoch, CASE WHEN a.id IS NULL THEN :to_begin ELSE :running END,
        us(a.started_at), NULL, 0
        FROM old_requests AS r LEFT JOIN old_attempts AS a ON a.id = r.id AND a.epoch = r.epoch
        WHERE r.id NOT IN (SELECT id FROM old_outcomes) ORDER BY r.seq""",
    """INSERT INTO outcomes SELECT o.seq, r.seq, r.epoch, json_extract(o.body, '$.status'), o.body
        FROM old_outcomes AS o JOIN old_requests AS r ON r.id = o.id ORDER BY o.seq""",
    """INSERT INTO ok_recent SELECT seq, key_number(json_extract(body, '$.key')) FROM outcomes
        WHERE status = 'ok' AND json_extract(body, '$.reused_from') IS NULL""",
    "INSERT INTO counts SELECT status, count(*) FROM outcomes GROUP BY status",
    # In the order of their times; but clocks of two nodes differ, and no Request may have ended before it began.
    """WITH told AS (
        SELECT seq AS request, 0 AS stage, us(submitted_at) AS at_us, 'accepted' AS kind, NULL AS epoch, NULL AS data
            FROM old_requests
        UNION ALL SELECT r.seq, 1, us(a.started_at), 'started', a.epoch, NULL
            FROM old_attempts AS a JOIN old_requests AS r ON r.id = a.id
        UNION ALL SELECT r.seq, 2, us(coalesce(json_extract(o.body, '$.finished_at'), r.submitted_at)), 'restated',
            r.epoch, :restated
            FROM old_requests AS r LEFT JOIN old_outcomes AS o ON o.id = r.id
            WHERE r.epoch != coalesce((SELECT max(epoch) FROM old_attempts WHERE id = r.id), 0)
        UNION ALL SELECT n.request, 3, us(json_extract(n.body, '$.finished_at')), 'finished', n.epoch,
            json_object('status', n.status, 'reused_from', json_extract(n.body, '$.reused_from'))
            FROM outcomes AS n
    )
    INSERT INTO events (at_us, life, kind, request, epoch, data) SELECT at_us, 0, kind, request, epoch, data FROM told
        ORDER BY max(at_us) OVER (PARTITION BY request ORDER BY stage, epoch), request, stage, epoch""",
)

_NAMED = {
    "to_begin": int(Phase.TO_BEGIN),
    "running": int(Phase.RUNNING),
    "restated": restating(Standing(0)),
}


def migrate(db: sqlite3.Connection, at: datetime) -> None:
    """Turns a ledger of schema 1 into one of schema 2, within a transaction.

    Args:
        db: The ledger.
        at: Now (UTC).

    Raises:
        sqlite3.Error: If it cannot be read or written, or holds what no ledger of schema 1 does.
    """
    kept = db.execute("SELECT name, value FROM meta WHERE name != 'schema'").fetchall()
    for table in _OLD:
        db.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    db.execute("DROP TABLE meta")
    create_tables(db)
    db.executemany("INSERT INTO meta VALUES (?, ?)", kept)
    db.create_function("us", 1, _us, deterministic=True)
    db.create_function("key_number", 1, key_number, deterministic=True)
    for statement in _COPY:
        db.execute(statement, _NAMED)
    index_ids(db)
    index_keys(db)
    life = int(dict(kept).get("life", 0))
    write_lines(db, [Line(to_us(at), life, "migrated", data=json.dumps({"from": 1}))])
    for table in _OLD:
        db.execute(f"DROP TABLE old_{table}")


def _us(text: str | None) -> int | None:
    return None if text is None else to_us(datetime.fromisoformat(text))
