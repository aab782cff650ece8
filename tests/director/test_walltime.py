from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.service import walltime_of
from director.spec import WalltimeSpec
from director.walltime import LEAST_S, Walltime, may_start
from tests.helpers import NOON

KNOWN = st.none() | st.floats(0, 10_000)


def test_nothing_starts_when_the_time_is_over_or_almost():
    for left_s in (-5, 0, LEAST_S - 0.1):
        assert not may_start(left_s, checkpoints=True, startup_s=0, expected_s=0)


def test_what_saves_its_work_needs_time_for_its_start_up_and_what_does_not_needs_time_for_all_of_it():
    assert may_start(100, checkpoints=True, startup_s=20, expected_s=10_000)
    assert not may_start(20, checkpoints=True, startup_s=20, expected_s=10_000)
    assert not may_start(100, checkpoints=False, startup_s=20, expected_s=101)
    assert may_start(100, checkpoints=False, startup_s=20, expected_s=100)


def test_what_ends_in_time_may_start_however_long_its_start_up():
    assert may_start(100, checkpoints=True, startup_s=90, expected_s=95)


def test_what_is_not_known_may_start_since_nothing_would_ever_be_known_otherwise():
    assert may_start(10, checkpoints=True, startup_s=None, expected_s=None)
    assert may_start(10, checkpoints=False, startup_s=None, expected_s=None)


@given(st.floats(-100, 10_000), st.floats(0, 1000), st.booleans(), KNOWN, KNOWN)
def test_more_time_never_forbids(left_s, more_s, checkpoints, startup_s, expected_s):
    if may_start(left_s, checkpoints=checkpoints, startup_s=startup_s, expected_s=expected_s):
        assert may_start(left_s + more_s, checkpoints=checkpoints, startup_s=startup_s, expected_s=expected_s)


def test_without_any_end_there_is_no_walltime():
    assert walltime_of(WalltimeSpec(), None, NOON) is None


def test_the_earlier_end_counts():
    soon, late = NOON + timedelta(minutes=3), NOON + timedelta(hours=1)
    assert walltime_of(WalltimeSpec(deadline=late), soon, NOON).deadline == soon
    assert walltime_of(WalltimeSpec(deadline=soon), late, NOON).deadline == soon
    assert walltime_of(WalltimeSpec(deadline=soon), None, NOON).deadline == soon


@pytest.mark.parametrize(("left_s", "reserve_s"), [(60, 10), (180, 18), (600, 60), (86_400, 60)])
def test_the_reserve_is_a_tenth_of_the_time_within_bounds(left_s, reserve_s):
    found = walltime_of(WalltimeSpec(), NOON + timedelta(seconds=left_s), NOON)
    assert found == Walltime(NOON + timedelta(seconds=left_s), reserve_s)
    assert found.left_s(NOON) == left_s - reserve_s


def test_a_reserve_that_was_asked_for_counts():
    assert walltime_of(WalltimeSpec(reserve_s=5), NOON + timedelta(hours=1), NOON).reserve_s == 5
