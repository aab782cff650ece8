import json

from hypothesis import given
from hypothesis import strategies as st

from director.link import LETTER_BYTES, LETTER_REQUESTS, Rate, letters, window


@given(st.lists(st.integers(0, 60_000), max_size=60))
def test_letters_keep_all_requests_in_order_and_fit_the_exchange(lengths):
    requests = [{"id": str(index), "inputs": "x" * length} for index, length in enumerate(lengths)]
    split = letters(requests)
    assert [request for letter in split for request in letter] == requests
    for letter in split:
        assert len(letter) <= LETTER_REQUESTS
        assert len(letter) <= 1 or sum(len(json.dumps(request)) for request in letter) <= LETTER_BYTES


def test_many_small_requests_are_several_letters():
    assert [len(letter) for letter in letters([{}] * (LETTER_REQUESTS + 1))] == [LETTER_REQUESTS, 1]


@given(st.floats(0, 1e6), st.integers(1, 10_000))
def test_a_window_keeps_workers_busy(rate, workers):
    assert window(rate, workers) >= 3 * workers
    assert window(rate, workers) >= rate * 0.25


def test_the_rate_forgets():
    now = [0.0]
    rate = Rate(lambda: now[0])
    assert rate.per_s == 0.0
    rate.add(100)
    now[0] = 1.0
    assert rate.per_s == 100.0
    now[0] = 10.0
    assert rate.per_s == 0.0
