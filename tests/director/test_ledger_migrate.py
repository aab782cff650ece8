"""A ledger of schema 1, which the version before wrote."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from director.ledger import OkReader, SqliteLedger, count_open, read_events, read_ledger
from director.ledger.checking import examine
from simulations.records import Ending, Outcome
from tests.director.journaling import at, finish, start, take

SCHEMA_1 = Path(__file__).parent / "data" / "ledger_schema_1.sql"

TOLD = [
    ("accepted", "done", None),
    ("accepted", "failed", None),
    ("accepted", "twin", None),
    ("started", "done", 1),
    ("started", "failed", 1),
    ("finished", "done", 1),
    ("started", "failed", 2),
    ("started", "twin", 1),
    ("accepted", "running", None),
    ("accepted", "waiting", None),
    ("restated", "waiting", 1),
    ("started", "running", 1),
    ("finished", "failed", 2),
    ("started", "running", 3),
    ("restated", "twin", 2),
    ("finished", "twin", 2),
    ("migrated", None, None),
]


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(SCHEMA_1.read_text())
    return path


def test_an_old_ledger_is_read_as_it_is_and_left_as_it_is(old):
    before = old.read_bytes()
    reading = read_ledger(old)
    ids = [Outcome.model_validate_json(body).id for body in reading.outcomes]
    assert (ids, reading.accepted, reading.started) == (["done", "failed", "twin"], 5, 1)
    assert count_open(old) == 2
    assert [(event.kind, event.id, event.epoch) for event in read_events(old)] == TOLD
    reader = OkReader(old)
    assert Outcome.model_validate_json(reader.find_ok([f"{1:064x}"])[f"{1:064x}"]).id == "done"
    reader.close()
    assert examine(old).problems == []
    assert old.read_bytes() == before


def test_an_old_ledger_is_migrated_when_a_director_opens_it(old):
    outcomes = _old_outcomes(old)
    with closing(SqliteLedger(old)) as ledger:
        assert [(event.kind, event.id, event.epoch) for event in ledger.events(0, 100)] == TOLD
        assert [event.at for event in ledger.events(0, 2)] == [at(0).replace(microsecond=250)] * 2
        assert [entry.body for entry in ledger.page(0, 10)] == outcomes
        assert (ledger.last(), ledger.counts()) == (3, {"ok": 2, "failed": 1})
        assert ledger.known(["done", "running", "ghost"]) == {"done", "running"}
        with pytest.raises(RuntimeError, match="belongs to life 3"):
            ledger.claim(3)
        ledger.claim(4, at(60))
        running, waiting = ledger.take_up(at(60))
        assert (running.request.id, running.epoch, running.request.priority) == ("running", 4, 0)
        assert [(record.epoch, record.ended) for record in running.history] == [(3, Ending.DIRECTOR_LOST)]
        assert (waiting.request.id, waiting.epoch, waiting.history) == ("waiting", 2, ())
        start(ledger, "running", 5)
        assert finish(ledger, "running", 5) == ["running"]
        assert take(ledger, "done", "new") == {"new"}
    assert examine(old).problems == []
    with closing(SqliteLedger(old)) as again:  # once
        assert [event.kind for event in again.events(0, 100)].count("migrated") == 1


def test_a_migration_that_fails_leaves_the_old_ledger_as_it_was(old, monkeypatch):
    def fails(*_):
        raise sqlite3.OperationalError("the disk is gone")

    with monkeypatch.context() as patches:
        patches.setattr("director.ledger.migrating.write_lines", fails)
        with pytest.raises(RuntimeError, match="cannot be opened: something is wrong with it"):
            SqliteLedger(old)
    assert len(_old_outcomes(old)) == 3
    with closing(SqliteLedger(old)) as ledger:
        assert ledger.last() == 3


def test_an_empty_old_ledger_is_migrated_too(tmp_path):
    path = tmp_path / "ledger.sqlite"
    lines = [line for line in SCHEMA_1.read_text().splitlines() if "INSERT" not in line or "schema" in line]
    with closing(sqlite3.connect(path)) as db:
        db.executescript("\n".join(lines))
    with closing(SqliteLedger(path)) as ledger:
        assert take(ledger, "a") == {"a"}
    assert examine(path).problems == []


def test_a_clock_that_went_backwards_does_not_put_a_start_before_its_request(old):
    with closing(sqlite3.connect(old)) as db, db:
        db.execute("UPDATE attempts SET started_at = '2025-12-31T00:00:00+00:00' WHERE epoch = 1")
    assert examine(old).problems == []


def _old_outcomes(path):
    with closing(sqlite3.connect(path)) as db:
        return [body for (body,) in db.execute("SELECT body FROM outcomes ORDER BY seq")]
