import sqlite3
import subprocess
import sys
import tempfile
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from director.ledger import Accepted, FencedError, Finished, MemoryLedger, SqliteLedger, Started, read_ledger
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


@pytest.fixture(params=["sqlite", "memory"])
def hands(request, tmp_path):
    """One ledger, as three processes have it open."""
    if request.param == "sqlite":
        made = [SqliteLedger(tmp_path / "ledger.sqlite") for _ in range(3)]
    else:
        first = MemoryLedger()
        made = [first, first.opened_again(), first.opened_again()]
    yield made
    for hand in made:
        hand.close()


def test_a_later_life_takes_the_ledger_over_and_the_earlier_one_can_only_read(hands):
    old, new, _ = hands
    old.claim(1)
    take(old, "a", "b")
    start(old, "a", 1)
    new.claim(2)
    message = "another Director has taken over this ledger: it belongs to life 2, and this Director is life 1"
    for write in (lambda: take(old, "c"), lambda: start(old, "b", 1), lambda: finish(old, "a", 1), old.take_up):
        with pytest.raises(FencedError, match=message):
            write()
    assert old.known(["a", "b", "c"]) == {"a", "b"}
    assert (old.last(), old.page(0, 10)) == (0, [])
    assert [(item.request.id, item.epoch, item.attempts) for item in new.take_up()] == [("a", 2, 1), ("b", 1, 0)]
    assert finish(new, "a", 2) == ["a"]


def test_a_life_that_comes_late_to_its_own_ledger_cannot_claim_it(hands):
    first, second, again = hands
    second.claim(2)
    with pytest.raises(FencedError, match="it belongs to life 2, and this Director is life 1"):
        first.claim(1)
    with pytest.raises(FencedError, match="it belongs to life 2, and this Director is life 2"):
        again.claim(2)
    with pytest.raises(FencedError, match="claimed it for no life"):
        take(again, "a")
    assert take(second, "a") == {"a"}


def test_a_ledger_that_nobody_claimed_can_be_written_by_anyone(hands):
    for name, hand in zip("abc", hands, strict=True):
        take(hand, name)
    assert still_open(hands[0]) == ["a", "b", "c"]


def test_a_ledger_in_memory_that_is_opened_again_is_claimed_again():
    ledger = MemoryLedger()
    ledger.claim(1)
    with pytest.raises(FencedError):
        take(ledger.opened_again(), "a")
    assert take(ledger, "a") == {"a"}


@pytest.mark.parametrize("life", [0, -1])
def test_a_life_is_a_number_from_1(ledger, life):
    with pytest.raises(ValueError, match=f"at least 1, not {life}"):
        ledger.claim(life)
    take(ledger, "a")


def test_a_ledger_from_before_there_were_lives_is_read_and_claimed(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with closing(SqliteLedger(path)) as before:
        take(before, "a")
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT name, value FROM meta").fetchall() == [("schema", "1")]
    with closing(SqliteLedger(path)) as after:
        after.claim(1)
        assert still_open(after) == ["a"]
    assert read_ledger(path).accepted == 1


LIVES = st.tuples(st.integers(0, 2), st.sampled_from(["claim", "turn", "take_up"]), st.integers(1, 4))


@given(st.lists(LIVES, max_size=20))
@settings(max_examples=60, deadline=None)
def test_the_ledger_in_memory_is_fenced_as_the_one_on_disk_is(steps):
    with tempfile.TemporaryDirectory() as folder:
        on_disk = [SqliteLedger(Path(folder) / "ledger.sqlite") for _ in range(3)]
        memory = MemoryLedger()
        in_memory = [memory, memory.opened_again(), memory.opened_again()]
        claims, highest = [0, 0, 0], 0
        for count, (hand, what, life) in enumerate(steps):
            works = life > highest if what == "claim" else claims[hand] == highest
            if what == "claim" and works:
                claims[hand] = highest = life
            said = []
            for ledger in (on_disk[hand], in_memory[hand]):
                work = {
                    "claim": lambda ledger=ledger, life=life: ledger.claim(life),
                    "turn": lambda ledger=ledger, count=count: take(ledger, f"r{count}"),
                    "take_up": ledger.take_up,
                }[what]
                try:
                    said.append(work())
                except FencedError as error:
                    said.append(str(error))
            assert said[0] == said[1]
            assert isinstance(said[0], str) != works
        for ledger in on_disk:
            ledger.close()


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
