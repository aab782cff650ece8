from hypothesis import given
from hypothesis import strategies as st

from director.restarts import MOST_RESTARTS, WITHIN_S, restart_pause_s


def test_the_first_restart_is_at_once_and_each_later_one_within_the_hour_waits_longer():
    assert [restart_pause_s([0.0] * times, 60.0) for times in range(6)] == [0.0, 1.0, 2.0, 4.0, 8.0, None]


def test_what_is_an_hour_ago_counts_no_longer():
    assert restart_pause_s([0.0] * MOST_RESTARTS, WITHIN_S - 1) is None
    assert restart_pause_s([0.0] * MOST_RESTARTS, WITHIN_S) == 0.0


@given(st.lists(st.floats(0, 1e6), max_size=60))
def test_no_hour_sees_more_than_the_bound(looks):
    restarts = []
    for now in sorted(looks):
        if restart_pause_s(restarts, now) is not None:
            restarts.append(now)
    assert all(sum(at <= other < at + WITHIN_S for other in restarts) <= MOST_RESTARTS for at in restarts)
