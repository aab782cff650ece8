"""Any sequence of what can happen: both Ledgers do the same, the events tell the same, and the invariants hold."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from director.ledger import (
    Changed,
    Interrupted,
    MemoryLedger,
    Noted,
    SqliteLedger,
    Started,
    count_open,
    read_events,
    read_ledger,
)
from director.ledger.checking import examine
from director.ledger.replay import differences, read_tables, replay
from simulations.records import AttemptRecord, Ending, Outcome, Status
from tests.director.journaling import accepted, at, finished
from tests.helpers import NOON

NAMES = st.sampled_from(["a", "b", "c"])
KEYS = st.sampled_from(["k1", "k2"])
LATE = st.sampled_from([0, -1, 1, 0])
INTERRUPTIONS = st.sampled_from([Ending.PAUSED, Ending.AGAIN, Ending.WORKER_LOST, Ending.NODE_LOST])


class LedgersAgree(RuleBasedStateMachine):
    """A model of a ledger, held against the one in memory and the one on disk."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "ledger.sqlite"
        self.disk, self.memory = self.opened(), MemoryLedger()
        self.life = 0
        self.seconds = 0
        self.epochs = {}
        self.running = {}
        self.ended = {}
        self.history = {}
        self.asked = {}
        self.done = {}
        self.order = []

    def opened(self):
        ledger = SqliteLedger(self.path)
        ledger._db.execute("PRAGMA synchronous=OFF")  # the machine does not fail here, and this is much faster
        return ledger

    def both(self, method, *arguments, **more):
        one, two = (getattr(ledger, method)(*arguments, **more) for ledger in (self.disk, self.memory))
        assert one == two
        return one

    def now(self):
        self.seconds += 1
        return at(self.seconds)

    def is_open(self, name):
        return name in self.epochs and name not in self.done

    @initialize()
    def accept_some(self):
        self.accept(["a", "b"], "k1")

    @rule(names=st.lists(NAMES, max_size=4), key=KEYS)
    def accept(self, names, key):
        turned = self.both("turn", accepted=[accepted(name, key) for name in names])
        assert turned.accepted == set(names) - self.epochs.keys()
        for name in names:
            if name not in self.epochs:
                self.epochs[name] = 0
                self.history[name] = []
                self.asked[name] = (0, False)

    @rule(name=NAMES, later=st.sampled_from([1, 1, 1, 2, 0, -1]))
    def start(self, name, later):
        epoch = self.epochs.get(name, 0) + later
        when = self.now()
        self.both("turn", started=[Started(name, epoch, when)])
        untouched = epoch == self.epochs.get(name) and name not in self.running and self.ended.get(name) != epoch
        if self.is_open(name) and (epoch > self.epochs[name] or untouched):
            self.epochs[name] = epoch
            self.running[name] = when

    @rule(name=NAMES, late=LATE, how=INTERRUPTIONS)
    def interrupt(self, name, late, how):
        epoch = self.epochs.get(name, 0) - late
        record = AttemptRecord(epoch=epoch, started_at=NOON, ended_at=self.now(), ended=how)
        self.both("turn", interrupted=[Interrupted(name, record)])
        if self.is_open(name) and late == 0 and self.ended.get(name) != epoch:
            self.running.pop(name, None)
            self.ended[name] = epoch
            self.history[name].append(record)

    @rule(name=NAMES, priority=st.none() | st.integers(-5, 5), cancel=st.booleans())
    def change(self, name, priority, cancel):
        self.both("turn", changed=[Changed(name, self.now(), priority, cancel)])
        if self.is_open(name):
            before, cancelled = self.asked[name]
            self.asked[name] = (before if priority is None else priority, cancelled or cancel)

    @rule(name=NAMES, late=LATE, status=st.sampled_from(Status), key=KEYS, reused=st.booleans())
    def finish(self, name, late, status, key, reused):
        epoch = self.epochs.get(name, 0) - late
        end = finished(name, epoch, status, key, "another" if reused else None)
        counted = self.both("turn", finished=[end]).finished
        assert bool(counted) == (self.is_open(name) and late == 0)
        if counted:
            self.done[name] = counted[0].body
            self.order.append(name)
            self.running.pop(name, None)

    @rule(kind=st.sampled_from(["began", "paused", "nodes"]))
    def note(self, kind):
        self.both("turn", noted=[Noted(kind, self.now(), {"nodes": 2, "hosts": ["n1"]})])

    @rule(names=st.lists(NAMES, min_size=1, max_size=3))
    def do_everything_in_one_turn(self, names):
        self.accept(names, "k1")
        self.both(
            "turn",
            started=[Started(name, self.epochs[name] + 1, self.now()) for name in dict.fromkeys(names)],
            finished=[finished(name, self.epochs[name] + 1) for name in names],
        )
        for name in dict.fromkeys(names):
            if self.is_open(name):
                self.epochs[name] += 1
                self.running.pop(name, None)
                self.done[name] = finished(name, self.epochs[name]).outcome.model_dump_json()
                self.order.append(name)

    @rule(dies=st.booleans())
    def begin_a_new_life(self, dies):
        if dies:
            self.disk.close()
            self.disk, self.memory = self.opened(), self.memory.opened_again()
        last = max((event.at for event in self.both("events", 0, 10_000) if event.kind != "claimed"), default=None)
        self.life += 1
        self.both("claim", self.life, self.now())
        taken = self.both("take_up", self.now())
        assert [item.request.id for item in taken] == [name for name in self.epochs if name not in self.done]
        for item in taken:
            name = item.request.id
            begun = self.running.pop(name, None)
            if begun is not None:
                lost = item.history[-1]
                assert (lost.epoch, lost.ended, lost.started_at) == (self.epochs[name], Ending.DIRECTOR_LOST, begun)
                assert begun <= lost.ended_at <= last
                self.history[name].append(lost)
            self.epochs[name] += 1
            assert item.epoch == self.epochs[name]
            assert list(item.history) == self.history[name]
            assert (item.request.priority, item.cancelled) == self.asked[name]

    @rule()
    def look_from_outside(self):
        reading = read_ledger(self.path)
        assert (reading.accepted, len(reading.outcomes)) == (len(self.epochs), len(self.done))
        assert count_open(self.path) == len(self.epochs) - len(self.done)
        assert read_events(self.path) == self.memory.events(0, 10_000)
        examined = examine(self.path)
        assert examined.problems == []
        assert (examined.accepted, examined.finished) == (len(self.epochs), len(self.done))

    @invariant()
    def nothing_accepted_disappears(self):
        assert self.both("known", ["a", "b", "c", "d", "e"]) == self.epochs.keys()

    @invariant()
    def every_outcome_is_the_first_and_stays(self):
        assert {entry.id: entry.body for entry in self.both("page", 0, 100)} == self.done
        assert self.both("last") == len(self.done)

    @invariant()
    def outcomes_are_counted_and_found_by_key(self):
        outcomes = [Outcome.model_validate_json(self.done[name]) for name in self.order]
        counts = self.both("counts")
        assert counts == {status: n for status in Status if (n := sum(o.status is status for o in outcomes))}
        run = [outcome for outcome in reversed(outcomes) if outcome.status is Status.OK and not outcome.reused_from]
        first = {outcome.key: self.done[outcome.id] for outcome in run}
        assert self.both("find_ok", ["k1", "k2", "k3"]) == {k: v for k, v in first.items() if k in ("k1", "k2")}

    @invariant()
    def events_tell_what_the_tables_tell(self):
        told, tables = replay(self.both("events", 0, 10_000)), read_tables(self.disk._db)
        assert (told.problems, tables.problems, differences(told, tables)) == ([], [], {})
        assert told.life == tables.life == self.life
        assert {n: a.epoch for n, a in told.accounts.items() if a.status is None} == {
            n: e for n, e in self.epochs.items() if n not in self.done
        }

    def teardown(self):
        self.disk.close()
        self.folder.cleanup()


TestLedgersAgree = LedgersAgree.TestCase
TestLedgersAgree.settings = settings(max_examples=100, stateful_step_count=40)
