"""The Ledger on disk: what outlives a process, and what is told when it cannot be read or written."""

from __future__ import annotations

import errno
import json
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest

from director.ledger import (
    FencedError,
    LedgerError,
    OkReader,
    SqliteLedger,
    Started,
    count_open,
    queries,
    read_events,
    read_ledger,
    reading,
    writing,
)
from director.ledger.errors import ledger_error
from director.ledger.schema import key_number
from tests.director.journaling import accepted, finish, finished, start, still_open, take
from tests.helpers import NOON


@pytest.fixture
def ledger(tmp_path):
    made = SqliteLedger(tmp_path / "ledger.sqlite")
    yield made
    made.close()


WRITE_AND_DIE = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from director.ledger import Accepted, Finished, SqliteLedger, Started
from simulations.records import Outcome, Request, Status

now = datetime.now(UTC)
requests = [Accepted(Request(id=name, tool="mock_md", inputs={}), name, "1", now) for name in ("a", "b")]
told = dict(key="a", tool="mock_md", tool_version="1", status=Status.OK, inputs={}, submitted_at=now, finished_at=now)
ledger = SqliteLedger(Path(sys.argv[1]))
ledger.claim(3)
ledger.turn(accepted=requests)
ledger.turn(started=[Started("a", 1, now)])
ledger.turn(finished=[Finished(Outcome(id="a", director=0, partition=["local-0"], attempts=1, **told), 1)])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_written_is_there_after_a_kill(tmp_path):
    path = tmp_path / "ledger.sqlite"
    assert subprocess.run([sys.executable, "-c", WRITE_AND_DIE, str(path)], check=False).returncode == -9
    with closing(SqliteLedger(path)) as again:
        with pytest.raises(FencedError, match="it belongs to life 3, and this Director is life 3"):
            again.claim(3)
        again.claim(4)
        assert [entry.id for entry in again.page(0, 10)] == ["a"]
        assert still_open(again) == ["b"]


def test_a_reader_reads_while_the_director_writes(tmp_path):
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    take(ledger, "a", "b", "c")
    start(ledger, "a", 1)
    start(ledger, "b", 1)
    finish(ledger, "a", 1)
    reading = read_ledger(tmp_path / "ledger.sqlite")
    assert (reading.accepted, reading.started, len(reading.outcomes)) == (3, 1, 1)
    take(ledger, "d")
    ledger.close()


def test_a_ledger_of_a_newer_version_is_refused(tmp_path):
    path = tmp_path / "ledger.sqlite"
    SqliteLedger(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE meta SET value = '99'")
    for look in (SqliteLedger, read_ledger, read_events, count_open):
        with pytest.raises(LedgerError, match=r"ledger schema 99; this md-director reads schema 2 and older. Use the"):
            look(path)


def test_a_database_of_something_else_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE recipes (name TEXT)")
    before = path.read_bytes()
    for look in (SqliteLedger, read_ledger):
        with pytest.raises(LedgerError, match="is not a ledger: it holds tables of something else"):
            look(path)
    assert path.read_bytes() == before


def test_a_file_in_which_nothing_is_yet_is_no_ledger_to_a_reader(tmp_path):
    path = tmp_path / "ledger.sqlite"
    path.touch()
    with pytest.raises(LedgerError, match=r"is empty\. Its Director has just begun to make it"):
        read_ledger(path)
    with pytest.raises(LedgerError, match="it cannot be opened"):
        read_ledger(tmp_path / "none.sqlite")
    assert not (tmp_path / "none.sqlite").exists()


def test_a_turn_is_all_or_nothing_and_a_ledger_that_failed_writes_no_more(ledger, monkeypatch):
    take(ledger, "a")

    def fails(db, lines):
        db.execute("INSERT INTO nowhere VALUES (1)")

    with monkeypatch.context() as patches:
        patches.setattr(writing, "write_lines", fails)
        with pytest.raises(LedgerError, match=r"cannot be written: something is wrong with it \(no such table"):
            ledger.turn([accepted("b")], [Started("a", 1, NOON)], finished=[finished("a", 1)])
    for write in (lambda: take(ledger, "c"), ledger.take_up, lambda: ledger.claim(9)):
        with pytest.raises(LedgerError, match=r"nothing more is written to ledger .* by this Director: "):
            write()
    assert (ledger.page(0, 10), ledger.known("abc")) == ([], {"a"})  # it can still be read
    with closing(SqliteLedger(ledger._path)) as again:
        assert still_open(again) == ["a"]


def test_what_a_caller_did_wrong_leaves_the_ledger_as_it_was_and_usable(ledger):
    with pytest.raises(TypeError, match=r"time zone|naive"):
        ledger.turn(accepted=[accepted("a")], started=[Started("a", 1, NOON.replace(tzinfo=None))])
    assert take(ledger, "a") == {"a"}


def test_a_full_disk_is_told_and_what_was_acknowledged_is_there(ledger):
    take(ledger, "a")
    pages = ledger._db.execute("PRAGMA page_count").fetchone()[0]
    ledger._db.execute(f"PRAGMA max_page_count={pages + 2}")
    message = r"the disk is full, or a quota is used up .* free some space there, then resume the run"
    with pytest.raises(LedgerError, match=message):
        take(ledger, *(f"r{index}" for index in range(1000)))
    with pytest.raises(LedgerError, match=message):
        take(ledger, "b")
    ledger.close()
    assert read_ledger(ledger._path).accepted == 1


def test_a_ledger_that_is_locked_by_another_process_is_told(ledger, monkeypatch):
    ledger._db.execute("PRAGMA busy_timeout=50")
    with closing(sqlite3.connect(ledger._path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerError, match=r"another process has locked it .* end what reads or writes it"):
            take(ledger, "a")
        monkeypatch.setattr(reading, "READER_BUSY_S", 0.05)
        with pytest.raises(LedgerError, match="another process has locked it"):
            read_ledger(ledger._path)


def swap(path: Path) -> None:
    path.unlink()
    SqliteLedger(path).close()


GONE = {
    "removed": Path.unlink,
    "moved": lambda path: path.rename(path.with_name("elsewhere")),
    "folder gone": lambda path: path.parent.rename(path.parent.with_name("away")),
    "another in its place": swap,
}


@pytest.mark.parametrize("how", GONE)
@pytest.mark.parametrize("when", ["before the turn", "while it is committed"])
def test_nothing_is_acknowledged_by_a_ledger_whose_file_is_no_longer_there(tmp_path, monkeypatch, how, when):
    go = GONE[how]
    path = tmp_path / "run" / "ledger.sqlite"
    path.parent.mkdir()
    with closing(SqliteLedger(path)) as ledger:
        take(ledger, "a")
        if when == "before the turn":
            go(path)
        else:
            stay, calls = SqliteLedger._stay, []

            def stays(self):
                stay(self)
                calls.append(self)
                if len(calls) == 1:
                    go(path)

            monkeypatch.setattr(SqliteLedger, "_stay", stays)
        told = "it cannot be opened|the file was moved or removed|another file, or another file system, is in its place"
        with pytest.raises(LedgerError, match=told):
            take(ledger, "b")
        with pytest.raises(LedgerError, match="nothing more is written"):
            take(ledger, "c")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is full"),
        (OSError(errno.EROFS, "Read-only file system"), "it may not be written to"),
        (OSError(errno.EACCES, "Permission denied"), "you may not open it"),
        (OSError(errno.ESTALE, "Stale file handle"), "the disk does not answer"),
        ("SQLITE_FULL", "the disk is full"),
        ("SQLITE_READONLY", "make the file and its folder writable"),
        ("SQLITE_READONLY_DIRECTORY", "make the file and its folder writable"),
        ("SQLITE_READONLY_ROLLBACK", "its Director was killed while it wrote"),
        ("SQLITE_IOERR_WRITE", "the disk does not answer"),
        ("SQLITE_IOERR_LOCK", "its file system has no locks"),
        ("SQLITE_BUSY_SNAPSHOT", "another process has locked it"),
        ("SQLITE_CANTOPEN", "see that its folder is there"),
        ("SQLITE_NOTADB", "director ledger check /run/ledger.sqlite"),
        ("SQLITE_CORRUPT_INDEX", "director ledger check /run/ledger.sqlite"),
        ("SQLITE_MISUSE", "something is wrong with it"),
    ],
)
def test_every_error_says_what_where_and_what_to_do(error, told):
    if isinstance(error, str):
        name, error = error, sqlite3.OperationalError("what SQLite says")
        error.sqlite_errorname = name
    message = str(ledger_error(error, Path("/run/ledger.sqlite"), "written"))
    assert message.startswith("ledger /run/ledger.sqlite cannot be written: ")
    assert told in message
    assert "To go on, " in message


KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from director.ledger import SqliteLedger, writing
from tests.director.journaling import finish, take

ledger = SqliteLedger(Path(sys.argv[1]))
take(ledger, "a", "b")
finish(ledger, "a", 0)
ledger._db.execute("PRAGMA cache_size=4")  # so that pages are written before the transaction ends
writing.write_lines = lambda db, lines: os.kill(os.getpid(), signal.SIGKILL)
take(ledger, *(f"r{index}" for index in range(500)))
"""


@pytest.fixture
def half_written(tmp_path):
    path = tmp_path / "ledger.sqlite"
    ended = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert path.with_name("ledger.sqlite-journal").stat().st_size > 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        with pytest.raises(sqlite3.OperationalError) as told:
            db.execute("SELECT count(*) FROM requests")
        assert told.value.sqlite_errorname == "SQLITE_READONLY_ROLLBACK"  # it is as the tests below need it
    return path


def test_a_reader_takes_back_what_a_killed_director_had_half_written(half_written):
    assert read_ledger(half_written).accepted == 2
    assert count_open(half_written) == 1
    assert not half_written.with_name("ledger.sqlite-journal").exists()


def test_a_reader_that_may_not_write_is_told_what_to_do(half_written, monkeypatch):
    connected = reading._connected
    monkeypatch.setattr(reading, "_connected", lambda path, mode: connected(path, "ro"))
    with pytest.raises(LedgerError, match=r"its Director was killed while it wrote.* read it as a user who may write"):
        read_ledger(half_written)


def test_the_next_director_takes_back_what_the_killed_one_had_half_written(half_written):
    with closing(SqliteLedger(half_written)) as ledger:
        assert still_open(ledger) == ["b"]
        assert take(ledger, "r1") == {"r1"}


def test_an_outcome_is_looked_up_in_a_ledger_that_is_written_to_and_one_that_comes_later(tmp_path):
    path = tmp_path / "ledger.sqlite"
    reader = OkReader(path)
    with pytest.raises(LedgerError, match="cannot be opened"):
        reader.find_ok(["key-a"])
    with closing(SqliteLedger(path)) as ledger:
        take(ledger, "a", "b")
        finish(ledger, "a", 0)
        assert reader.find_ok(["key-a", "key-b"]).keys() == {"key-a"}
        finish(ledger, "b", 0)
        assert reader.find_ok(["key-a", "key-b"]).keys() == {"key-a", "key-b"}
    reader.close()
    reader.close()


def test_keys_are_found_before_and_after_they_come_into_the_index(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "RECENT", 8)
    with closing(SqliteLedger(tmp_path / "ledger.sqlite")) as ledger:
        names = [f"r{index}" for index in range(30)]
        take(ledger, *names)
        for count, name in enumerate(names):
            ledger.turn(finished=[finished(name, 0, key=f"k{count // 2 % 10}")])
        found = ledger.find_ok([f"k{index}" for index in range(25)])
        assert {key: json.loads(body)["id"] for key, body in found.items()} == {f"k{i}": f"r{2 * i}" for i in range(10)}
        recent = ledger._db.execute("SELECT count(*) FROM ok_recent").fetchone()[0]
        assert recent < 8


@pytest.mark.parametrize("number", [key_number, lambda name: 7], ids=["their own numbers", "one number for all"])
def test_ids_are_found_before_and_after_they_come_into_the_index(tmp_path, monkeypatch, number):
    monkeypatch.setattr(writing, "RECENT", 8)
    for module in (writing, queries):
        monkeypatch.setattr(module, "key_number", number)
    with closing(SqliteLedger(tmp_path / "ledger.sqlite")) as ledger:
        names = [f"r{index}" for index in range(30)]
        for count, name in enumerate(names, 1):
            assert take(ledger, name) == {name}
            assert ledger.known([*names, "other"]) == set(names[:count])
        assert take(ledger, *names) == set()
        assert ledger._db.execute("SELECT count(*) FROM id_recent").fetchone()[0] < 8
        for name in reversed(names):
            assert [entry.id for entry in ledger.turn(finished=[finished(name, 0)]).finished] == [name]
            assert ledger.turn(finished=[finished(name, 0)]).finished == []


def test_a_closed_ledger_says_so(ledger):
    ledger.close()
    ledger.close()
    for use in (ledger.last, lambda: take(ledger, "a")):
        with pytest.raises(LedgerError, match="was closed"):
            use()


def test_two_that_make_a_ledger_at_the_same_time_make_one(tmp_path):
    for attempt in range(20):
        barrier, failures = threading.Barrier(3), []

        def make(path=tmp_path / f"{attempt}.sqlite", barrier=barrier, failures=failures):
            barrier.wait()
            try:
                SqliteLedger(path).close()
            except Exception as error:  # noqa: BLE001, RUF100  (an exception in a thread would not fail the test)
                failures.append(error)

        threads = [threading.Thread(target=make) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []


class Killed(BaseException):
    """The process was killed."""


class Dying(sqlite3.Connection):
    """A connection whose process is killed at the n-th thing that it does."""

    left = 0

    def execute(self, *arguments):
        if self.left == 0:
            raise Killed
        self.left -= 1
        return super().execute(*arguments)


def test_a_ledger_whose_maker_was_killed_at_any_point_can_be_used(tmp_path):
    connect = sqlite3.connect
    for step in range(40):
        path, made = tmp_path / f"{step}.sqlite", []

        def dying(*arguments, step=step, made=made, **more):
            made.append(connect(*arguments, factory=Dying, **more))
            made[0].left = step
            return made[0]

        with pytest.MonkeyPatch.context() as patches, suppress(Killed):
            patches.setattr(sqlite3, "connect", dying)
            SqliteLedger(path)
        survived = made[0].left > 0
        made[0].close()  # its locks go with the process
        with closing(SqliteLedger(path)) as after:
            assert take(after, "a") == {"a"}
        if survived:
            assert step > 10
            return
    pytest.fail("it was killed every time")
