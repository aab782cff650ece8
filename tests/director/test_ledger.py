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


def take(ledger, *names):
    return ledger.turn(accepted=[accepted(name) for name in names]).accepted


def start(ledger, name, epoch):
    ledger.turn(started=[Started(name, epoch, NOON)])


def finish(ledger, name, epoch, status=Status.OK):
    return [entry.id for entry in ledger.turn(finished=[finished(name, epoch, status)]).finished]


def still_open(ledger):
    return [item.request.id for item in ledger.take_up()]


def test_a_request_is_open_until_it_has_an_outcome(ledger):
    assert take(ledger, "a", "b") == {"a", "b"}
    start(ledger, "a", 1)
    assert finish(ledger, "a", 1) == ["a"]
    assert still_open(ledger) == ["b"]


def test_accepting_a_known_id_again_changes_nothing(ledger):
    take(ledger, "a")
    assert take(ledger, "a", "b", "b") == {"b"}
    assert ledger.known(["a", "b", "c"]) == {"a", "b"}
    assert still_open(ledger) == ["a", "b"]


def test_all_of_one_request_may_be_journaled_in_one_turn(ledger):
    turned = ledger.turn([accepted("a")], [Started("a", 1, NOON)], [finished("a", 1)])
    assert (turned.accepted, [entry.id for entry in turned.finished]) == ({"a"}, ["a"])


def test_a_late_attempt_cannot_overwrite(ledger):
    take(ledger, "a")
    start(ledger, "a", 1)
    start(ledger, "a", 2)
    assert finish(ledger, "a", 1, Status.FAILED) == []
    assert finish(ledger, "a", 2) == ["a"]
    assert finish(ledger, "a", 2, Status.FAILED) == []
    assert [entry.body.count('"ok"') for entry in ledger.page(0, 10)] == [1]


def test_a_new_life_has_new_epochs_so_that_an_attempt_of_the_old_one_is_late(ledger):
    take(ledger, "a", "b")
    start(ledger, "a", 1)
    taken = {item.request.id: (item.epoch, item.attempts) for item in ledger.take_up()}
    assert taken == {"a": (2, 1), "b": (1, 0)}
    # The life before may have begun b's first attempt and died before it journaled that.
    start(ledger, "b", 2)
    assert finish(ledger, "a", 1) == []
    assert finish(ledger, "b", 1) == []
    assert finish(ledger, "b", 2) == ["b"]


def test_an_outcome_of_a_request_that_was_never_accepted_is_ignored(ledger):
    assert finish(ledger, "ghost", 0) == []


def test_pages_follow_the_order_of_journaling(ledger):
    names = [f"r{index}" for index in range(10)]
    take(ledger, *names)
    for name in reversed(names):
        finish(ledger, name, 0)
    first = ledger.page(0, 4)
    second = ledger.page(first[-1].seq, 100)
    assert [entry.id for entry in first + second] == names[::-1]


def test_what_was_written_is_there_after_a_kill(tmp_path):
    path = tmp_path / "ledger.sqlite"
    code = (
        "import os, signal, sys; from pathlib import Path; sys.path.insert(0, '.');"
        "from tests.director.test_ledger import *;"
        f"ledger = SqliteLedger(Path({str(path)!r}));"
        "take(ledger, 'a', 'b'); start(ledger, 'a', 1); finish(ledger, 'a', 1); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    again = SqliteLedger(path)
    assert [entry.id for entry in again.page(0, 10)] == ["a"]
    assert still_open(again) == ["b"]
    again.close()


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
    take(ledger, "a")
    start(ledger, "a", 1)
    with pytest.raises(sqlite3.IntegrityError):  # the same attempt twice: a bug in the caller
        ledger.turn([accepted("b")], [Started("a", 1, NOON)], [finished("a", 1)])
    assert ledger.page(0, 10) == []
    assert still_open(ledger) == ["a"]
    ledger.close()


NAMES = st.sampled_from(["a", "b", "c", "d"])


class LedgersAgree(RuleBasedStateMachine):
    """The in-memory ledger behaves as the one on disk, and both keep the invariants, in any order of events."""

    def __init__(self):
        super().__init__()
        self.ledgers = [SqliteLedger(None), MemoryLedger()]
        self.epochs = {}
        self.done = {}

    def both(self, method, *arguments, **more):
        one, two = (getattr(ledger, method)(*arguments, **more) for ledger in self.ledgers)
        assert one == two
        return one

    @rule(names=st.lists(NAMES, max_size=4))
    def accept(self, names):
        turned = self.both("turn", accepted=[accepted(name) for name in names])
        assert turned.accepted == set(names) - self.epochs.keys()
        for name in names:
            self.epochs.setdefault(name, 0)

    @rule(name=NAMES)
    def start(self, name):
        if name in self.epochs:
            self.epochs[name] += 1
            self.both("turn", started=[Started(name, self.epochs[name], NOON)])

    @rule(name=NAMES, late=st.integers(0, 2), status=st.sampled_from(Status))
    def finish(self, name, late, status):
        epoch = self.epochs.get(name, 0) - late
        counted = self.both("turn", finished=[finished(name, epoch, status)]).finished
        assert bool(counted) == (name in self.epochs and name not in self.done and late == 0)
        if counted:
            self.done[name] = counted[0].body

    @rule()
    def begin_a_new_life(self):
        taken = self.both("take_up")
        assert sorted(item.request.id for item in taken) == sorted(self.epochs.keys() - self.done.keys())
        for item in taken:
            self.epochs[item.request.id] += 1
            assert item.epoch == self.epochs[item.request.id]

    @invariant()
    def the_last_number_is_that_of_the_last_outcome(self):
        assert self.both("last") == len(self.done)

    @invariant()
    def every_outcome_is_the_first_and_stays(self):
        assert {entry.id: entry.body for entry in self.both("page", 0, 100)} == self.done

    def teardown(self):
        for ledger in self.ledgers:
            ledger.close()


TestLedgersAgree = LedgersAgree.TestCase
TestLedgersAgree.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
