"""Filling values into arguments."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partitions.filling import filled, names_in


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{host}:{port}", "h:1"),
        ("--x={port}", "--x=1"),
        ('{"temperature": 0.3}', '{"temperature": 0.3}'),
        ("{{host}}", "{{host}}"),
        ("{}", "{}"),
        ("{Host}", "{Host}"),
        ("$(rm -rf {host})", "$(rm -rf h)"),
    ],
)
def test_names_in_single_braces_are_filled_in_and_all_else_stays(text, expected):
    assert filled(text, {"host": "h", "port": "1"}) == expected


def test_what_is_put_in_is_not_looked_through_again():
    assert filled("{host}", {"host": "{port}", "port": "1"}) == "{port}"


def test_a_name_without_a_value_is_an_error():
    with pytest.raises(KeyError, match="model"):
        filled("{model}", {})


@settings(max_examples=50)
@given(st.text(alphabet='{}hostpr :"', max_size=30))
def test_a_text_without_names_stays_as_it_is(text):
    if not names_in(text):
        assert filled(text, {}) == text
