from __future__ import annotations

import json
import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.accounting import Account, Going, Totals, usage_of
from director.ledger import Event, Noted
from director.totals import add_up
from simulations.records import AttemptRecord, Course, Ending, Outcome, Status
from tests.director.test_usage import attempt, histories
from tests.helpers import NOON

PARTS = ("kept_node_hours", "startup_node_hours", "lost_node_hours", "idle_node_hours")


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def outcome(name: str, history: list[AttemptRecord], end: float, unit: str = "ns", **more: Any) -> Outcome:
    fields: dict[str, Any] = {
        "key": "k",
        "tool": "md",
        "tool_version": "1",
        "status": Status.OK,
        "inputs": {},
        "director": 0,
        "partition": ["n0"],
        "attempts": len(history),
        "history": history,
        "usage": usage_of(history, NOON, at(end), 2, unit) if history else None,
        "submitted_at": NOON,
        "finished_at": at(end),
    }
    return Outcome.model_validate({"id": name, **fields, **more})


def begun(nodes: int = 1, workers: int = 2, begin: float = 0.0) -> Account:
    account = Account(nodes=nodes, workers=workers)
    account.note(Noted("began", at(begin), {"nodes": nodes, "workers": workers}))
    return account


class Log:
    """Events as a ledger would have them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.life = 0

    def add(self, seconds: float, kind: str, name: str | None = None, **data: Any) -> None:
        self.life += kind == "claimed"
        self.events.append(Event(len(self.events) + 1, at(seconds), self.life, kind, name, None, data))

    def begin(self, seconds: float, nodes: int = 1, workers: int = 2) -> None:
        self.add(seconds, "claimed")
        self.add(seconds, "began", nodes=nodes, workers=workers)

    def interrupt(self, name: str, record: AttemptRecord) -> None:
        seconds = (record.ended_at - NOON).total_seconds()
        self.add(seconds, "interrupted", name, **record.model_dump(mode="json"))


def check_sums(totals: Totals) -> None:
    assert totals.startup_s + totals.run_s + totals.idle_s == pytest.approx(totals.worker_s, rel=1e-6, abs=1e-3)
    assert sum(getattr(totals, name) for name in PARTS) == pytest.approx(totals.node_hours, rel=1e-6, abs=1e-6)
    wasted = totals.node_hours - totals.kept_node_hours
    assert totals.wasted_node_hours == pytest.approx(wasted, rel=1e-6, abs=1e-6)
    assert totals.lost_s <= totals.run_s * (1 + 1e-9)
    assert totals.not_ok_s <= totals.run_s * (1 + 1e-9)
    assert totals.utilization is None or 0 <= totals.utilization <= 1 + 1e-9
    assert all(value >= 0 for value in totals.model_dump().values() if isinstance(value, float))
    json.dumps(totals.model_dump(mode="json"), allow_nan=False)


class TestTotals:
    def test_match_a_case_worked_by_hand(self) -> None:
        account = begun(nodes=1, workers=2)
        first = attempt(0, 600, Ending.NODE_LOST, began=100, saved=500, amount=3.0, saved_amount=2.5)
        second = attempt(700, 1300, began=750, on_from=500, begin=2.5, amount=5.0)
        account.attempts("a", [first], unit="ns")
        account.outcome(outcome("a", [first, second], 1300))
        account.outcome(outcome("b", [attempt(0, 800, Ending.FAILED)], 800, unit="", status=Status.FAILED))
        account.note(Noted("ended", at(1800)))
        totals = account.totals(at(99_999))  # what comes after the end is nobody's
        check_sums(totals)
        assert (totals.worker_s, totals.startup_s, totals.run_s, totals.lost_s) == (3600, 150, 1850, 100)
        assert (totals.idle_s, totals.not_ok_s, totals.queued_s) == (1600, 800, 100)
        assert totals.node_hours == 0.5
        assert totals.wasted_node_hours == pytest.approx((150 + 100 + 1600) / 3600 * 0.5)
        assert totals.utilization == pytest.approx(1850 / 3600)
        assert (totals.simulated_ns, totals.ns_per_node_hour) == (5.0, 10.0)
        assert (totals.requests, totals.attempts) == (2, 3)
        assert totals.endings == {"node_lost": 1, "ok": 1, "failed": 1}

    def test_of_an_open_request_what_its_checkpoint_holds_counts(self) -> None:
        account = begun()
        paused = attempt(0, 100, Ending.PAUSED, began=10, saved=100, amount=3.0, saved_amount=3.0)
        account.attempts("a", [paused], unit="ns")
        assert account.totals(at(100)).simulated_ns == 3.0
        account.attempts("a", [paused, attempt(100, 200, Ending.NODE_LOST, began=110)], unit="ns")
        totals = account.totals(at(200))  # it had begun anew
        assert (totals.simulated_ns, totals.lost_s, totals.endings) == (0.0, 180.0, {"paused": 1, "node_lost": 1})

    def test_what_runs_now_is_not_idle(self) -> None:
        course = Course(began_at=at(20), from_amount=1.0, amount=3.0)
        running = [Going(at(0), course, "ns"), Going(at(90), Course(), "ns"), Going(at(50))]
        totals = begun(workers=4).totals(at(100), running)
        check_sums(totals)
        assert (totals.startup_s, totals.run_s, totals.idle_s) == (20 + 10, 80 + 50, 400 - 160)
        assert totals.simulated_ns == 2.0

    def test_what_an_earlier_attempt_left_is_not_taken_for_what_runs_now(self) -> None:
        left = Course(began_at=at(5), amount=3.0)
        totals = begun(workers=1).totals(at(100), [Going(at(60), left, "ns")])
        assert (totals.startup_s, totals.run_s, totals.simulated_ns) == (40, 0, 0)

    def test_reused_outcomes_cost_nothing(self) -> None:
        account = begun()
        account.outcome(outcome("b", [], 5, reused_from="a"))
        totals = account.totals(at(10))
        assert (totals.requests, totals.reused, totals.attempts, totals.run_s) == (0, 1, 0, 0)

    def test_attempts_that_claim_more_than_there_was_are_scaled_down(self) -> None:
        account = begun(workers=1)
        account.outcome(outcome("a", [attempt(0, 150, began=50)], 150))
        totals = account.totals(at(75))
        check_sums(totals)
        assert (totals.startup_s, totals.run_s, totals.idle_s) == (25, 50, 0)

    def test_a_node_that_only_waited_was_wasted(self) -> None:
        totals = begun(nodes=3).totals(at(3600))
        assert totals.wasted_node_hours == totals.idle_node_hours == totals.node_hours == 3.0
        assert totals.utilization == 0.0

    def test_answers_at_once_though_much_has_happened(self) -> None:
        account, record = begun(workers=100), attempt(0, 1)
        many = outcome("a", [record], 1)
        began = time.perf_counter()
        for index in range(10_000):
            account.attempts(f"r{index % 50}", [record], unit="")
            account.outcome(many)
        per_request_s = (time.perf_counter() - began) / 10_000
        answers_s = []
        for _ in range(5):  # another process may take the processor meanwhile; the best of five is ours
            began = time.perf_counter()
            assert account.totals(at(1000)).requests == 10_000
            answers_s.append(time.perf_counter() - began)
        assert min(answers_s) < 0.02  # about 1e-4
        assert per_request_s < 300e-6  # about 5e-6


class TestLives:
    def test_one_that_did_not_say_that_it_ended_did_with_its_last_event(self) -> None:
        log = Log()
        log.begin(0)
        log.add(50, "started", "a")
        log.add(90, "accepted", "b")
        log.begin(10_000)
        log.interrupt("a", attempt(50, 90, Ending.DIRECTOR_LOST, host=None))
        log.add(10_040, "ended", reason="done")
        totals = Account.of(log.events, [], nodes=9, workers=9).totals()
        assert totals.worker_s == 2 * 130
        assert totals.node_hours == pytest.approx(130 / 3600)

    def test_one_that_still_runs_is_held_until_now(self) -> None:
        log = Log()
        log.begin(0)
        account = Account.of(log.events, [], nodes=1, workers=2)
        assert account.totals(at(500)).worker_s == 0  # a ledger alone does not say that its Director lives
        assert begun().totals(at(500)).worker_s == 1000

    def test_a_ledger_that_tells_of_no_beginning_was_held_from_first_to_last(self) -> None:
        log = Log()
        log.add(10, "accepted", "a")
        log.add(110, "finished", "a")
        totals = Account.of(log.events, [outcome("a", [attempt(10, 110)], 110)], nodes=2, workers=4).totals()
        assert (totals.worker_s, totals.run_s) == (400, 100)
        assert Account.of([], [], nodes=2, workers=4).totals() == Account(nodes=1, workers=1).totals()

    def test_lives_before_are_added_when_they_have_been_read(self) -> None:
        log = Log()
        log.begin(0)
        lost = attempt(0, 90, Ending.DIRECTOR_LOST, began=10, saved=60, amount=2.0, saved_amount=1.0)
        done = outcome("b", [attempt(0, 40)], 40)
        log.add(90, "finished", "b")
        log.add(1000, "claimed")
        log.interrupt("a", lost)
        past = Account.of(log.events, [done], nodes=1, workers=2)

        account = begun(begin=1000)
        account.attempts("a", [lost], unit="ns")
        before = account.totals(at(1100))
        assert (before.worker_s, before.requests) == (200, 0)
        account.outcome(outcome("a", [lost, attempt(1000, 1050, began=1005, on_from=60, amount=4.0)], 1050))
        account.add(past)
        totals = account.totals(at(1100))
        check_sums(totals)
        assert (totals.worker_s, totals.requests, totals.attempts) == (180 + 200, 2, 3)
        assert (totals.run_s, totals.lost_s, totals.simulated_ns) == (80 + 45 + 40, 30, 4.0)

    def test_reading_finds_what_was_fed(self) -> None:
        log, account = Log(), begun()
        log.begin(0)
        first = attempt(0, 90, Ending.PAUSED, began=10, saved=90, amount=2.0, saved_amount=2.0)
        waits = attempt(0, 80, Ending.WORKER_LOST, began=10, saved=30, amount=2.0, saved_amount=1.0)
        done = outcome("a", [first, attempt(100, 200, began=110, on_from=90, begin=2.0, amount=4.0)], 200)
        for name, record in (("b", waits), ("a", first)):
            account.attempts(name, [record], unit="ns")
            log.interrupt(name, record)
        account.outcome(done)
        log.add(200, "finished", "a")
        account.note(Noted("ended", at(250)))
        log.add(250, "ended")
        read = Account.of(log.events, [done], nodes=1, workers=2, units={"b": "ns"})
        assert read.totals() == account.totals(at(300))
        assert read.totals().simulated_ns == 5.0


FINAL = {Ending.OK: Status.OK, Ending.FAILED: Status.FAILED, Ending.TIMEOUT: Status.TIMEOUT}


@st.composite
def accounts(draw: Any) -> tuple[Account, datetime]:
    """A Director's account after lives and Requests of any kind, and a moment."""
    account = Account(nodes=1, workers=1)
    clock = 0.0
    for _ in range(draw(st.integers(0, 3))):
        clock += draw(st.floats(0, 1000))
        nodes = draw(st.integers(1, 4))
        account.note(Noted("began", at(clock), {"nodes": nodes, "workers": nodes * draw(st.integers(1, 4))}))
        clock += draw(st.floats(0, 1000))
        account.note(Noted(draw(st.sampled_from(["ended", "paused", "nodes"])), at(clock)))
    for number in range(draw(st.integers(0, 4))):
        history, end = draw(histories(last=draw(st.sampled_from([None, *FINAL]))))
        account.attempts(f"r{number}", history, unit=draw(st.sampled_from(["ns", "s"])))
        if history and history[-1].ended in FINAL:
            account.outcome(outcome(f"r{number}", history, end, status=FINAL[history[-1].ended]))
    return account, at(clock + draw(st.floats(0, 1000)))


GOING = st.builds(
    lambda start, began, unit: Going(at(start), Course(began_at=None if began is None else at(began)), unit),
    st.floats(-100, 5000),
    st.none() | st.floats(-100, 5000),
    st.sampled_from(["", "ns"]),
)


class TestSums:
    @given(accounts(), st.lists(GOING, max_size=4))
    def test_the_parts_make_up_the_whole_for_any_history(
        self, given: tuple[Account, datetime], running: list[Going]
    ) -> None:
        account, now = given
        check_sums(account.totals(now, running))
        check_sums(account.totals())

    @given(st.lists(accounts(), max_size=3))
    def test_those_of_a_run_are_the_sums_over_its_partitions(self, given: list[tuple[Account, datetime]]) -> None:
        each = [account.totals(now) for account, now in given]
        whole = add_up([json.loads(part.model_dump_json()) for part in each])
        assert (whole is None) == (not each)
        if whole is None:
            return
        check_sums(whole)
        for name in ("node_hours", "worker_s", "startup_s", "run_s", "lost_s", "idle_s", "simulated_ns", "attempts"):
            total = sum(getattr(part, name) for part in each)
            assert getattr(whole, name) == pytest.approx(total, rel=1e-6, abs=1e-3)

    def test_what_another_version_wrote_is_left_out(self) -> None:
        mine = begun().totals(at(10))
        assert add_up([None, {"run_s": "much"}, mine]) == mine
        assert add_up([None]) is None
