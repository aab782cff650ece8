import sqlite3
import subprocess
import sys

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from director.ledger import Accepted, Finished, MemoryLedger, SqliteLedger, Started, read_ledger
from simulations.records import Outcome, Request, Status
from tests.helpers import NOON


def accepted(name: str) -> Accepted:
    return Accepted(Request(id=name, tool="mock_md", inputs={"duration_s": 0}), f"key-{name}", "1", NOON)


def finished(name: str, epoch: int, status: Status = Status.OK) -> Finished:
    outcome = Outcome(
        id=name,
        key=f"key-{name}",
        tool="mock_md",
        tool_version="1",
        status=status,
        inputs={},
        director=0,
        partition=["local-0"],
        attempts=epoch,
        submitted_at=NOON,
        finished_at=NOON,
    )
    return Finished(outcome, epoch)


@pytest.fixture(params=["sqlite", "memory"])
def ledger(request, tmp_path):
    made = SqliteLedger(tmp_path / "ledger.sqlite") if request.param == "sqlite" else MemoryLedger()
    yield made
    made.close()


def test_a_request_is_open_until_it_has_an_outcome(ledger):
    assert ledger.accept([accepted("a"), accepted("b")]) == {"a", "b"}
    assert [item.request.id for item in ledger.open()] == ["a", "b"]
    ledger.turn([Started("a", 1, NOON)], [])
    assert [entry.id for entry in ledger.turn([], [finished("a", 1)])] == ["a"]
    assert [item.request.id for item in ledger.open()] == ["b"]


def test_accepting_a_known_id_again_changes_nothing(ledger):
    ledger.accept([accepted("a")])
    assert ledger.accept([accepted("a"), accepted("b"), accepted("b")]) == {"b"}
    assert ledger.known(["a", "b", "c"]) == {"a", "b"}


def test_a_late_attempt_cannot_overwrite(ledger):
    ledger.accept([accepted("a")])
    ledger.turn([Started("a", 1, NOON)], [])
    ledger.turn([Started("a", 2, NOON)], [])
    assert ledger.turn([], [finished("a", 1, Status.FAILED)]) == []
    assert len(ledger.turn([], [finished("a", 2)])) == 1
    assert ledger.turn([], [finished("a", 2, Status.FAILED)]) == []
    assert [entry.body.count('"ok"') for entry in ledger.page(0, 10)] == [1]


def test_an_outcome_of_a_request_that_was_never_accepted_is_ignored(ledger):
    assert ledger.turn([], [finished("ghost", 0)]) == []


def test_pages_follow_the_order_of_journaling(ledger):
    names = [f"r{index}" for index in range(10)]
    ledger.accept([accepted(name) for name in names])
    for name in reversed(names):
        ledger.turn([], [finished(name, 0)])
    first = ledger.page(0, 4)
    second = ledger.page(first[-1].seq, 100)
    assert [entry.id for entry in first + second] == names[::-1]


def test_what_was_written_is_there_after_a_kill(tmp_path):
    path = tmp_path / "ledger.sqlite"
    code = (
        "import os, signal, sys; from pathlib import Path; sys.path.insert(0, '.');"
        "from tests.director.test_ledger import *;"
        f"ledger = SqliteLedger(Path({str(path)!r}));"
        "ledger.accept([accepted('a'), accepted('b')]); ledger.turn([Started('a', 1, NOON)], []);"
        "ledger.turn([], [finished('a', 1)]); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    again = SqliteLedger(path)
    assert [entry.id for entry in again.page(0, 10)] == ["a"]
    assert [item.request.id for item in again.open()] == ["b"]
    again.close()


def test_a_reader_reads_while_the_director_writes(tmp_path):
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    ledger.accept([accepted("a"), accepted("b"), accepted("c")])
    ledger.turn([Started("a", 1, NOON), Started("b", 1, NOON)], [])
    ledger.turn([], [finished("a", 1)])
    reading = read_ledger(tmp_path / "ledger.sqlite")
    assert (reading.accepted, reading.started, len(reading.outcomes)) == (3, 1, 1)
    ledger.accept([accepted("d")])
    ledger.close()


def test_a_ledger_of_another_version_is_refused(tmp_path):
    path = tmp_path / "ledger.sqlite"
    SqliteLedger(path).close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE meta SET value = '99'")
    with pytest.raises(RuntimeError, match="ledger schema 99; this md-director reads schema 1"):
        SqliteLedger(path)
    with pytest.raises(RuntimeError, match="schema 99"):
        read_ledger(path)


def test_a_turn_is_all_or_nothing(tmp_path):
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    ledger.accept([accepted("a"), accepted("b")])
    ledger.turn([Started("a", 1, NOON)], [])
    with pytest.raises(sqlite3.IntegrityError):  # the same attempt twice: a bug in the caller
        ledger.turn([Started("a", 1, NOON)], [finished("b", 0)])
    assert ledger.page(0, 10) == []
    ledger.close()


NAMES = st.sampled_from(["a", "b", "c", "d"])


class LedgersAgree(RuleBasedStateMachine):
    """The in-memory ledger behaves as the one on disk, and both keep the invariants, in any order of events."""

    def __init__(self):
        super().__init__()
        self.ledgers = [SqliteLedger(None), MemoryLedger()]
        self.epochs = {}

    def both(self, method, *arguments):
        one, two = (getattr(ledger, method)(*arguments) for ledger in self.ledgers)
        assert one == two
        return one

    @rule(names=st.lists(NAMES, max_size=4))
    def accept(self, names):
        self.both("accept", [accepted(name) for name in names])
        for name in names:
            self.epochs.setdefault(name, 0)

    @rule(name=NAMES)
    def start(self, name):
        if name in self.epochs:
            self.epochs[name] += 1
            self.both("turn", [Started(name, self.epochs[name], NOON)], [])

    @rule(name=NAMES, late=st.integers(0, 2), status=st.sampled_from(Status))
    def finish(self, name, late, status):
        done = {entry.id for entry in self.both("page", 0, 100)}
        epoch = self.epochs.get(name, 0) - late
        counted = self.both("turn", [], [finished(name, epoch, status)])
        assert bool(counted) == (name in self.epochs and name not in done and late == 0)

    @invariant()
    def every_accepted_request_is_open_or_has_one_outcome(self):
        done = [entry.id for entry in self.both("page", 0, 100)]
        still_open = [item.request.id for item in self.both("open")]
        assert sorted(done + still_open) == sorted(self.epochs)

    def teardown(self):
        for ledger in self.ledgers:
            ledger.close()


TestLedgersAgree = LedgersAgree.TestCase
TestLedgersAgree.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
