"""When a Director that has nothing left to run may end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.lingering import Idleness, reason_to_end

DRAINED = "drained: all is done, and fetched"
IDLE = "nothing left to run for 5 s"


@pytest.mark.parametrize(
    ("now", "linger_s", "reason"),
    [
        # (open, idle_s, draining, unread)
        ((1, 1e6, False, 0), 5, None),
        ((1, 1e6, True, 0), 5, None),
        ((0, 4.9, False, 0), 5, None),
        ((0, 5.0, False, 0), 5, IDLE),
        ((0, 5.0, False, 7), 5, IDLE),
        ((0, 0.0, False, 0), 0, "nothing left to run for 0 s"),
        ((0, 1e6, False, 0), None, None),
        ((0, 1e6, False, 7), None, None),
        ((0, 0.0, True, 0), None, DRAINED),
        ((0, 0.0, True, 0), 5, DRAINED),
        ((0, 0.0, True, 7), 5, None),
        ((0, 5.0, True, 7), 5, IDLE),
        ((0, 1e6, True, 7), None, None),
    ],
)
def test_a_director_ends_when_it_is_drained_and_fetched_or_has_been_idle_for_long_enough(now, linger_s, reason):
    assert reason_to_end(Idleness(*now), linger_s) == reason


SITUATIONS = st.builds(
    Idleness,
    open=st.integers(0, 5),
    idle_s=st.floats(0, 1e7),
    draining=st.booleans(),
    unread=st.integers(0, 5),
)


@given(SITUATIONS, st.none() | st.floats(0, 1e6))
def test_no_director_ends_with_something_open_nor_without_being_asked(now, linger_s):
    reason = reason_to_end(now, linger_s)
    if now.open or (linger_s is None and not now.draining):
        assert reason is None
    if reason is not None:
        later = Idleness(now.open, now.idle_s * 2 + 1, now.draining, now.unread)
        assert reason_to_end(later, linger_s) is not None
