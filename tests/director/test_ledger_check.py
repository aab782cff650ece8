"""Ledgers that are damaged: it is noticed, and what can be read is saved."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from director.cli.app import app
from director.ledger import Accepted, Interrupted, LedgerError, Noted, SqliteLedger, Started, read_ledger
from director.ledger.checking import examine
from director.ledger.pages import PagedFile
from director.ledger.repairing import repair
from director.ledger.salvage import EPOCHS_APART
from simulations.records import Outcome, Request, Status
from tests.director.journaling import at, attempt, change, finished
from tests.helpers import NOON

PAGE = 4096
COUNT, FINISHED = 400, 300
NAMES = [f"r{index:03d}" for index in range(COUNT)]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A ledger of two lives: 300 Requests are done, 100 are open, one of them to be cancelled."""
    path = tmp_path_factory.mktemp("sound") / "ledger.sqlite"
    with closing(SqliteLedger(path)) as ledger:
        ledger.claim(1, at(0))
        wide = {"note": "n" * 5000}  # one that overflows to other pages
        for some in range(0, COUNT, 10):
            requests = [
                Request(id=name, tool="mock_md", inputs=wide if name == "r007" else {"duration_s": 0}, priority=2)
                for name in NAMES[some : some + 10]
            ]
            ledger.turn(accepted=[Accepted(request, f"key-{request.id}", "1", NOON) for request in requests])
        ledger.turn(started=[Started(name, 1, at(1)) for name in NAMES[:350]])
        ledger.turn(interrupted=[Interrupted(name, attempt(1)) for name in NAMES[:50]])
        ledger.turn(started=[Started(name, 2, at(6)) for name in NAMES[:50]])
        ledger.turn(finished=[finished(name, 2) for name in NAMES[:50]])
        ledger.turn(finished=[finished(name, 1, Status.FAILED) for name in NAMES[50:200]])
        ledger.claim(2, at(20))
        ledger.take_up(at(20))
        ledger.turn(started=[Started(name, 3, at(21)) for name in NAMES[200:320]])
        ledger.turn(finished=[finished(name, 3) for name in NAMES[200:FINISHED]])
        change(ledger, "r399", 9, cancel=True)
        ledger.turn(noted=[Noted("draining", at(30))])
    return path


@pytest.fixture
def path(sound, tmp_path):
    return shutil.copyfile(sound, tmp_path / "ledger.sqlite")


def pages_of(path, table):
    with closing(sqlite3.connect(path)) as db:
        query = "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY pageno"
        return [page for (page,) in db.execute(query, (table,))]


def overwrite(path, pages, content=b"\xa5" * PAGE):
    with path.open("r+b") as stream:
        for page in pages:
            stream.seek((page - 1) * PAGE)
            stream.write(content)


def mended(path):
    """Repairs a ledger, sees that the new one is sound and the old one untouched, and returns what was lost."""
    before, target = path.read_bytes(), path.with_name("mended.sqlite")
    target.unlink(missing_ok=True)
    losses = repair(path, target, at(100))
    assert path.read_bytes() == before
    assert sorted(file.name for file in path.parent.iterdir()) == ["ledger.sqlite", "mended.sqlite"]
    found = examine(target)
    assert found.problems == []
    return losses, target


def test_a_sound_ledger_is_found_sound_and_repairing_it_loses_nothing(path):
    found = examine(path)
    assert (found.good, found.accepted, found.finished) == (True, COUNT, FINISHED)
    losses, target = mended(path)
    assert not losses
    old, new = SqliteLedger(path), SqliteLedger(target)
    assert new.events(0, 10_000)[:-1] == old.events(0, 10_000)
    assert new.events(0, 10_000)[-1].kind == "repaired"
    assert (new.page(0, 1000), new.counts()) == (old.page(0, 1000), old.counts())
    assert new.find_ok([f"key-{name}" for name in NAMES]) == old.find_ok([f"key-{name}" for name in NAMES])
    for ledger in (old, new):
        ledger.claim(3, at(200))
    assert new.take_up(at(201)) == old.take_up(at(201))
    old.close()
    new.close()


def test_all_rows_are_read_without_sqlite(path):
    file = PagedFile(path)
    rows = list(file.rows())
    file.close()
    with closing(sqlite3.connect(path)) as db:
        for query, width in (("SELECT * FROM events", 7), ("SELECT * FROM requests", 6), ("SELECT * FROM outcomes", 5)):
            assert set(db.execute(query)) <= {(row.rowid, *row.values[1:]) for row in rows if len(row.values) == width}


def test_requests_that_cannot_be_read_are_made_again_from_their_outcomes(path):
    hit = pages_of(path, "requests")[:3]
    overwrite(path, hit)
    found = examine(path)
    assert not found.good
    losses, target = mended(path)
    assert (losses.requests, losses.outcomes, losses.reopened, losses.events) == (0, 0, 0, 0)
    assert losses.remade > 10
    assert (read_ledger(target).accepted, len(read_ledger(target).outcomes)) == (COUNT, FINISHED)
    with closing(SqliteLedger(target)) as ledger:
        assert ledger.known(NAMES) == set(NAMES)


def test_open_requests_that_cannot_be_read_are_lost_and_that_is_told(path):
    overwrite(path, pages_of(path, "requests")[-2:])
    losses, target = mended(path)
    assert losses.requests > 5
    assert losses.events >= losses.requests  # each was accepted
    assert read_ledger(target).accepted == COUNT - losses.requests


def test_a_request_whose_outcome_cannot_be_read_is_open_again(path):
    overwrite(path, pages_of(path, "outcomes")[3:5], b"\x00" * PAGE)
    losses, target = mended(path)
    assert losses.outcomes == losses.reopened > 5
    assert losses.requests == losses.remade == 0
    assert len(read_ledger(target).outcomes) == FINISHED - losses.outcomes
    with closing(SqliteLedger(target)) as ledger:
        ledger.claim(3)
        taken = ledger.take_up()
        assert len(taken) == COUNT - FINISHED + losses.reopened
        again = next(item for item in taken if item.request.id not in NAMES[FINISHED:])
        assert again.epoch > EPOCHS_APART  # no attempt of before can have had that


def test_events_that_cannot_be_read_are_counted_and_the_requests_stand_as_they_did(path):
    overwrite(path, pages_of(path, "events")[2:6])
    losses, target = mended(path)
    assert losses.events > 50
    assert (losses.requests, losses.outcomes, losses.reopened) == (0, 0, 0)
    with closing(SqliteLedger(target)) as ledger:
        ledger.claim(3)
        last = ledger.take_up()[-1]
        assert (last.request.id, last.request.priority, last.cancelled) == ("r399", 9, True)


def test_how_requests_stand_is_told_by_the_events_where_the_table_of_open_ones_is_lost(path):
    overwrite(path, pages_of(path, "open"))
    losses, target = mended(path)
    assert not losses
    with closing(SqliteLedger(target)) as ledger:
        ledger.claim(3)
        taken = ledger.take_up()
        assert [item.request.id for item in taken] == NAMES[FINISHED:]
        assert (taken[-1].request.priority, taken[-1].cancelled) == (9, True)
        assert all(item.epoch > EPOCHS_APART for item in taken)


@pytest.mark.parametrize("size", [100, PAGE])
def test_a_ledger_whose_beginning_is_gone_is_read_all_the_same(path, size):
    with path.open("r+b") as stream:
        stream.write(b"\x00" * size)
    found = examine(path)
    assert not found.good
    assert (found.accepted, found.finished, bool(found.losses)) == (COUNT, FINISHED, False)
    losses, target = mended(path)
    assert not losses
    with closing(SqliteLedger(target)) as ledger, pytest.raises(LedgerError, match="belongs to life 2"):
        ledger.claim(2)


@pytest.mark.parametrize("part", [0.9, 0.5, 0.2])
def test_a_ledger_that_was_cut_off_is_read_as_far_as_it_goes(path, part):
    size = path.stat().st_size
    with path.open("r+b") as stream:
        stream.truncate(int(size * part))
    found = examine(path)
    assert not found.good
    losses, target = mended(path)
    assert 0 < read_ledger(target).accepted <= COUNT
    assert losses.pages > 0
    assert losses.events + losses.outcomes + losses.requests > 0 or part > 0.8


@pytest.mark.parametrize("left", [0, 50, PAGE])
def test_a_file_in_which_nothing_of_a_ledger_is_left_says_so(path, left):
    path.write_bytes(b"x" * left)
    found = examine(path)
    assert not found.good
    assert found.losses is None
    with pytest.raises(LedgerError, match=r"nothing of a ledger can be read in .* Restore it from a copy"):
        repair(path, path.with_name("new.sqlite"), at(0))
    assert not path.with_name("new.sqlite").exists()


@given(seed=st.integers(0, 10**6), pages=st.integers(1, 12), noise=st.booleans())
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_pages_are_damaged_every_request_is_saved_or_told_to_be_lost(sound, tmp_path, seed, pages, noise):
    path = shutil.copyfile(sound, tmp_path / "ledger.sqlite")
    chance = random.Random(seed)
    every = path.stat().st_size // PAGE
    overwrite(path, chance.sample(range(1, every + 1), pages), chance.randbytes(PAGE) if noise else b"\x00" * PAGE)
    examine(path)
    losses, target = mended(path)
    reading = read_ledger(target)
    assert reading.accepted + losses.requests <= COUNT
    if not losses.events:  # else the last of them may be unknown
        assert reading.accepted + losses.requests == COUNT
    for body in reading.outcomes:
        assert Outcome.model_validate_json(body).id in NAMES[:FINISHED]


TAMPERING = {
    "DELETE FROM outcomes WHERE seq = 3": "'r002' is not open, and has no Outcome",
    "DELETE FROM events WHERE seq = 5": "event 5 is missing",
    "UPDATE open SET epoch = epoch + 1 WHERE request = 400": "'r399' differs: by its events it has epoch",
    "UPDATE open SET cancelled = 0": "'r399' differs: by its events it has cancelled 1, the tables 0",
    "INSERT INTO open VALUES (1, 2, 0, NULL, NULL, 0)": "'r000' is open, and has an Outcome",
    "UPDATE requests SET body = '{' WHERE seq = 9": "Request 9 ('r008') cannot be read",
    "UPDATE outcomes SET body = replace(body, '[', '(') WHERE seq = 9": "Outcome 9, of 'r008'",
    "UPDATE counts SET n = n + 1 WHERE status = 'ok'": "were counted",
    "UPDATE outcomes SET request = 9999 WHERE seq = 9": "row 9 of outcomes tells of requests that are not there",
    "UPDATE events SET kind = 'finished', data = '{}' WHERE seq = 450": "was finished",
    "UPDATE events SET data = 'x' WHERE kind = 'interrupted'": "is not JSON",
    "UPDATE meta SET value = '1' WHERE name = 'life'": "by the events life 2 has claimed it, by the tables 1",
    "DELETE FROM id_recent WHERE request = 9": "Request 9 ('r008') is not in their index of ids",
    "INSERT INTO id_index SELECT * FROM id_recent LIMIT 3": "is not in their index of ids, or is there twice",
    "DROP INDEX events_interrupted": "events_interrupted is missing",
}


@pytest.mark.parametrize("statement", TAMPERING)
def test_what_does_not_fit_together_is_noticed_and_mended(path, statement):
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)
    found = examine(path)
    assert any(TAMPERING[statement] in problem for problem in found.problems), found.problems
    mended(path)


def test_what_a_killed_director_had_half_written_is_not_saved(path):
    journal = path.with_name("ledger.sqlite-journal")
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA cache_size=4")
    db.execute("BEGIN IMMEDIATE")
    db.execute("DELETE FROM ok_recent")
    db.execute("DELETE FROM outcomes")
    db.execute("DELETE FROM requests")
    killed = path.with_name("killed")
    killed.mkdir()
    shutil.copyfile(path, killed / "ledger.sqlite")
    shutil.copyfile(journal, killed / journal.name)
    db.close()
    losses = repair(killed / "ledger.sqlite", killed / "mended.sqlite", at(100))
    assert not losses
    assert read_ledger(killed / "mended.sqlite").accepted == COUNT
    assert (killed / journal.name).stat().st_size > 0


def run(*arguments):
    return CliRunner().invoke(app, ["ledger", *map(str, arguments)], env={"COLUMNS": "200"})


def test_the_command_says_that_a_ledger_is_sound(path):
    done = run("check", path)
    assert (done.exit_code, "sound" in done.stdout) == (0, True)
    assert f"{COUNT} Requests, {FINISHED} Outcomes" in done.stdout


def test_the_command_looks_at_all_ledgers_of_a_run(sound, tmp_path):
    for index in range(2):
        (tmp_path / f"director-{index}").mkdir()
        shutil.copyfile(sound, tmp_path / f"director-{index}" / "ledger.sqlite")
    overwrite(tmp_path / "director-1" / "ledger.sqlite", [9, 10, 11])
    done = run("check", tmp_path, "--json")
    assert done.exit_code == 1
    first, second = map(json.loads, done.stdout.splitlines())
    assert (first["good"], first["accepted"], first["problems"]) == (True, COUNT, [])
    assert (second["good"], bool(second["problems"])) == (False, True)
    refused = run("check", tmp_path, "--repair", tmp_path / "new.sqlite")
    assert refused.exit_code == 2
    assert "has 2 ledgers" in refused.stderr


def test_the_command_saves_what_can_be_read(path):
    overwrite(path, pages_of(path, "outcomes")[3:5])
    told = run("check", path)
    assert told.exit_code == 1
    assert "damaged" in told.stdout
    assert f"director ledger check {path} --repair NEW_FILE" in told.stdout
    target = path.with_name("new.sqlite")
    done = run("check", path, "--repair", target)
    assert done.exit_code == 1
    assert "Requests that had ended are open again" in done.stdout
    assert run("check", target).exit_code == 0
    again = run("check", path, "--repair", target)
    assert (again.exit_code, "is there already. Name a new file" in again.stderr) == (2, True)


def test_the_command_refuses_what_is_not_there_or_cannot_be_looked_at(path, tmp_path):
    assert run("check", tmp_path / "nothing").exit_code == 2
    assert "there is no ledger at" in run("events", tmp_path / "nothing").stderr
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE meta SET value = '99' WHERE name = 'schema'")
    done = run("check", path)
    assert (done.exit_code, "ledger schema 99" in done.stderr) == (2, True)


def test_the_command_prints_what_happened(path):
    done = run("events", path, "--id", "r001")
    assert done.exit_code == 0
    for told in ("accepted", "started", "interrupted", "finished", "2026-01-01 12:00:05.000", "status=ok"):
        assert told in done.stdout
    assert "r002" not in done.stdout
    lines = [json.loads(line) for line in run("events", path, "--json").stdout.splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[0] == {
        "ledger": str(path),
        "seq": 1,
        "at": "2026-01-01T12:00:00+00:00",
        "life": 1,
        "kind": "claimed",
        "id": None,
        "epoch": None,
        "data": {},
    }
