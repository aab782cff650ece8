from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.usage import share_of, usage_of
from simulations.records import AttemptRecord, Course, Ending
from tests.helpers import NOON


def at(seconds: float | None) -> datetime | None:
    return None if seconds is None else NOON + timedelta(seconds=seconds)


def attempt(
    start: float,
    end: float,
    ended: Ending = Ending.OK,
    *,
    began: float | None = None,
    saved: float | None = None,
    on_from: float | None = None,
    begin: float = 0.0,
    amount: float | None = None,
    saved_amount: float | None = None,
    host: str | None = "n0",
) -> AttemptRecord:
    """An attempt; times in s after noon."""
    course = Course(
        began_at=at(began),
        from_amount=begin,
        from_saved_at=at(on_from),
        amount=amount,
        saved_amount=saved_amount,
        saved_at=at(saved),
    )
    started_at, ended_at = NOON + timedelta(seconds=start), NOON + timedelta(seconds=end)
    return AttemptRecord(epoch=1, started_at=started_at, ended_at=ended_at, ended=ended, host=host, course=course)


def parts(*history: AttemptRecord) -> tuple[float, float, float]:
    share = share_of(history)
    return (share.startup_s, share.run_s, share.lost_s)


LOST = (Ending.WORKER_LOST, Ending.NODE_LOST, Ending.DIRECTOR_LOST)


class TestWhatIsLost:
    def test_an_attempt_that_ended_its_request_loses_nothing(self) -> None:
        for ended in (Ending.OK, Ending.FAILED, Ending.TIMEOUT, Ending.CANCELLED):
            assert parts(attempt(0, 100, ended, began=10, saved=40)) == (10, 90, 0)

    @pytest.mark.parametrize("ended", LOST)
    def test_since_its_last_save(self, ended: Ending) -> None:
        assert parts(attempt(0, 100, ended, began=10, saved=70)) == (10, 90, 30)

    @pytest.mark.parametrize("ended", LOST)
    def test_everything_if_it_never_saved(self, ended: Ending) -> None:
        assert parts(attempt(0, 100, ended, began=10)) == (10, 90, 90)

    def test_a_save_of_an_earlier_attempt_does_not_make_start_up_lost_work(self) -> None:
        second = attempt(100, 150, Ending.NODE_LOST, began=120, on_from=70, saved=70)
        assert parts(attempt(0, 100, Ending.NODE_LOST, began=10, saved=70), second) == (30, 120, 60)

    def test_what_the_next_attempt_went_on_from_overrules_what_was_thought(self) -> None:
        first = attempt(0, 100, Ending.NODE_LOST, began=10, saved=40)  # a later save was not known
        assert parts(first, attempt(100, 200, began=110, on_from=90)) == (20, 180, 10)
        damaged = attempt(100, 200, began=110, on_from=30)  # the latest could not be read
        assert parts(first, damaged) == (20, 180, 70)
        anew = attempt(100, 200, began=110)
        assert parts(first, anew) == (20, 180, 90)

    def test_an_attempt_that_began_anew_loses_what_all_before_it_did(self) -> None:
        history = [
            attempt(0, 100, Ending.PAUSED, began=0, saved=100, amount=1, saved_amount=1),
            attempt(100, 200, Ending.PAUSED, began=100, on_from=100, saved=200, amount=2, saved_amount=2),
            attempt(200, 300, began=200),
        ]
        assert parts(*history) == (0, 300, 200)

    def test_an_attempt_of_which_nothing_is_known_says_nothing_of_those_before(self) -> None:
        history = [
            attempt(0, 100, Ending.PAUSED, began=0, saved=99, amount=1, saved_amount=1),
            attempt(100, 110, Ending.WORKER_LOST, host=None),
        ]
        assert parts(*history) == (0, 110, 10)

    def test_a_pause_that_saved_all_lost_nothing_though_ending_took_a_while(self) -> None:
        assert parts(attempt(0, 100, Ending.PAUSED, began=10, saved=95, amount=5, saved_amount=5)) == (10, 90, 0)
        assert parts(attempt(0, 100, Ending.PAUSED, began=10, saved=95, amount=5, saved_amount=4)) == (10, 90, 5)

    def test_an_error_to_be_tried_again_loses_what_was_not_saved(self) -> None:
        assert parts(attempt(0, 100, Ending.AGAIN, began=10, saved=60, amount=5, saved_amount=4)) == (10, 90, 40)


class TestWhatRan:
    def test_a_tool_that_does_not_say_when_it_began_is_all_run(self) -> None:
        assert parts(attempt(0, 100)) == (0, 100, 0)
        assert parts(attempt(0, 100, Ending.WORKER_LOST)) == (0, 100, 100)

    def test_one_that_paused_before_it_began_is_all_start_up(self) -> None:
        assert parts(attempt(0, 20, Ending.PAUSED)) == (20, 0, 0)

    def test_one_handed_over_by_a_lost_director_that_left_no_trace_never_began(self) -> None:
        assert parts(attempt(0, 100, Ending.DIRECTOR_LOST, host=None)) == (0, 0, 0)
        assert parts(attempt(0, 100, Ending.DIRECTOR_LOST, host=None, saved=50)) == (0, 100, 50)

    def test_a_checkpoint_that_was_written_meanwhile_proves_that_it_ran(self) -> None:
        silent = attempt(0, 100, Ending.DIRECTOR_LOST, host=None)
        assert parts(silent, attempt(200, 300, began=210, on_from=60)) == (10, 190, 40)

    def test_a_clock_that_lags_gives_no_negative_time(self) -> None:
        assert parts(attempt(10, 5, began=20, saved=-3)) == (0, 0, 0)


class TestAmounts:
    def test_of_an_open_request_its_checkpoint_counts(self) -> None:
        lost = attempt(0, 100, Ending.NODE_LOST, began=0, saved=90, amount=5.0, saved_amount=4.5)
        assert share_of([lost]).amount == 4.5
        assert share_of([lost, attempt(100, 110, Ending.NODE_LOST)]).amount == 4.5
        anew = attempt(100, 110, Ending.NODE_LOST, began=105)
        assert share_of([lost, anew]).amount == 0.0

    def test_in_the_end_all_of_it_counts_and_only_nanoseconds_are_simulated_time(self) -> None:
        done = [attempt(0, 100, began=10, begin=2.0, on_from=-10, amount=5.0)]
        assert usage_of(done, NOON, NOON + timedelta(seconds=100), 4, "ns").simulated_ns == 5.0
        assert usage_of(done, NOON, NOON + timedelta(seconds=100), 4, "s").simulated_ns is None


class TestUsage:
    def test_matches_a_case_worked_by_hand(self) -> None:
        history = [
            attempt(30, 130, Ending.WORKER_LOST, began=40, saved=100, amount=0.9, saved_amount=0.6),
            attempt(160, 220, began=165, on_from=100, begin=0.6, amount=1.2),
        ]
        usage = usage_of(history, NOON, NOON + timedelta(seconds=220), 4, "ns")
        assert (usage.queued_s, usage.startup_s, usage.run_s, usage.lost_s) == (60, 15, 145, 30)
        assert usage.node_hours == pytest.approx(160 / 4 / 3600)
        assert usage.simulated_ns == 1.2

    @given(st.data())
    def test_queue_start_up_and_run_are_the_whole_and_lost_is_a_part_of_run(self, data: st.DataObject) -> None:
        history, end = data.draw(histories())
        usage = usage_of(history, NOON, NOON + timedelta(seconds=end), 2, "ns")
        assert usage.queued_s + usage.startup_s + usage.run_s == pytest.approx(end, abs=1e-3)
        assert 0 <= usage.lost_s <= usage.run_s
        assert min(usage.queued_s, usage.startup_s, usage.run_s) >= 0


SECONDS = st.floats(0, 1000).map(lambda value: round(value, 3))


@st.composite
def histories(draw: Any, begin: float = 0.0, last: Ending | None = None) -> tuple[list[AttemptRecord], float]:
    """Attempts one after another, whatever they say of themselves; and when the last one ended, or later."""
    history, clock = [], begin
    for number in range(draw(st.integers(0, 5))):
        start = clock + draw(SECONDS)
        clock = start + draw(SECONDS)
        began = draw(st.none() | SECONDS)
        history.append(
            attempt(
                start,
                clock,
                draw(st.sampled_from(list(Ending))),
                began=None if began is None else start + began,
                saved=draw(st.none() | SECONDS),
                on_from=draw(st.none() | SECONDS),
                amount=draw(st.none() | SECONDS),
                saved_amount=draw(st.none() | SECONDS),
                host=draw(st.sampled_from([None, "n0"])),
            ).model_copy(update={"epoch": number + 1})
        )
    if last is not None and history:
        history[-1] = history[-1].model_copy(update={"ended": last})
    return history, clock + draw(SECONDS)
