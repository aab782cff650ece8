import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.door import Refused
from director.durations import LONGEST_S, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("180s", 180.0),
        ("3m", 180.0),
        ("1.5h", 5400.0),
        ("2d", 172_800.0),
        (" 90 s ", 90.0),
        ("00:03:00", 180.0),
        ("01:30:05", 5405.0),
        ("100:00:00", 360_000.0),
    ],
)
def test_durations_as_users_write_them(text, seconds):
    assert seconds_of(text, "--walltime") == seconds


@pytest.mark.parametrize(
    "text",
    ["", "180", "3 minutes", "-3m", "1e3s", "3:00", "00:60:00", "00:00:99", "0s", "00:00:00", "400d", "٣m", "nan"],
)
def test_what_is_no_duration_is_refused_and_so_is_a_bare_number(text):
    with pytest.raises(Refused) as caught:
        seconds_of(text, "--walltime")
    assert caught.value.problems[0].where == "--walltime"


@given(st.integers(1, 99_999), st.integers(0, 59), st.integers(0, 59))
def test_a_clock_and_seconds_say_the_same(hours, minutes, seconds):
    total = 3600 * hours + 60 * minutes + seconds
    if total <= LONGEST_S:
        assert seconds_of(f"{hours}:{minutes:02}:{seconds:02}", "x") == seconds_of(f"{total}s", "x") == total


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(Refused):
        assert 0 < seconds_of(text, "x") <= LONGEST_S
