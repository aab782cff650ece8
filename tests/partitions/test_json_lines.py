import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partitions.json_lines import MAX_LINE_BYTES, NotOursError, Unread, line_of

OBJECTS = st.dictionaries(st.text(max_size=20), st.none() | st.integers() | st.text(max_size=50), max_size=4)


@given(st.lists(OBJECTS, max_size=8), st.lists(st.integers(1, 40)))
def test_whatever_is_sent_arrives_in_order_however_the_network_cuts_it(objects, cuts):
    stream = b"".join(line_of(item) for item in objects)
    unread, arrived = Unread(), []
    while stream:
        size = cuts.pop() if cuts else len(stream)
        arrived += unread.lines(stream[:size])
        stream = stream[size:]
    assert arrived == objects


@pytest.mark.parametrize(
    "noise", [b"hello\n", b"[]\n", b"1\n", b"\xff\xfe\n", b"\n", b'{"a": 1\n', b"[" * 60_000 + b"\n"]
)
def test_what_is_no_json_object_is_refused(noise):
    with pytest.raises(NotOursError):
        Unread().lines(noise)


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory():
    unread = Unread()
    assert unread.lines(b"x" * MAX_LINE_BYTES) == []
    with pytest.raises(NotOursError):
        unread.lines(b"x")


def test_a_line_that_is_just_short_enough_is_taken():
    said = {"a": "x" * 60_000}
    assert Unread().lines(line_of(said)) == [json.loads(line_of(said))]
