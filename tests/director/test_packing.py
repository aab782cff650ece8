from hypothesis import given
from hypothesis import strategies as st

from director.packing import MAX_PACK, PACK_S, Durations, free_tasks, pack_size


def test_what_is_not_known_travels_alone():
    assert pack_size(None, 10_000, 2) == 1


def test_long_requests_travel_alone_and_short_ones_together():
    assert pack_size(1.0, 10_000, 2) == 1
    assert pack_size(0.01, 10_000, 2) == 5
    assert pack_size(0.0, 10_000, 2) == MAX_PACK


@given(st.floats(0, 100), st.integers(1, 100_000), st.integers(1, 10_000))
def test_a_pack_is_short_fair_and_bounded(longest_s, queued, workers):
    size = pack_size(longest_s, queued, workers)
    assert 1 <= size <= MAX_PACK
    if size > 1:
        assert size * longest_s <= PACK_S * (1 + 1e-9)
        assert (size - 1) * workers < queued


@given(st.lists(st.floats(0, 10), min_size=1, max_size=200))
def test_only_the_latest_durations_count(samples):
    durations = Durations()
    for seconds in samples:
        durations.add(seconds)
    assert durations.longest_s == max(samples[-32:])


def test_nothing_is_known_before_the_first():
    assert Durations().longest_s is None
    assert Durations().mean_s is None


def test_one_task_runs_on_each_worker_and_one_waits():
    assert free_tasks(4, 0) == 8
    assert free_tasks(4, 8) == 0
    assert free_tasks(4, 9) == 0
