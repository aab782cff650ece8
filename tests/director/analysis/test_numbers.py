"""A text may hold no number that does not stand in what it is about."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.analysis.numbers import not_in, numbers_in

KNOWN = {"mean": -1234.5678, "steps": 5000, "small": 0.000123456, "k": 299.871, "note": "at step 17", "yes": True}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("at 300 K, -12.5 kJ/mol and 1,234.5", ["300", "-12.5", "1,234.5"]),
        ("from 280-300 K or 280–300 K", ["280", "300", "280", "300"]),
        ("run-1 with amber14 and GFN2-xTB, H2O", []),
        ("1.5×10^3, 1.5e3 and 1.5 x 10^-3", ["1.5×10^3", "1.5e3", "1.5 x 10^-3"]),
        ("300K", ["300"]),
        ("twenty runs of a dozen", ["twenty", "dozen"]),
        ("one of them", []),
        ("E = −3.2 (−4)", ["-3.2", "-4"]),
        ("12\u202f345 atoms", ["12345"]),
    ],
)
def test_numbers_are_found_and_names_are_not(text: str, found: list[str]) -> None:
    assert numbers_in(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "-1234.5678",
        "-1234.57",
        "-1235",
        "−1234.6",
        "5000 steps",
        "5,000",
        "1.23×10^-4",
        "0.000123",
        "299.9",
        "300",
        "17",
    ],
)
def test_numbers_that_stand_there_or_are_rounded_pass(text: str) -> None:
    assert not_in(text, [KNOWN]) == []


@pytest.mark.parametrize(
    "text",
    [
        "1234.57",  # another sign
        "-1234.58",  # not how it is rounded
        "-1e3",  # too few digits are left
        "0.0001",
        "299",
        "18",
        "1",  # true is no number
        "five thousand",
        "99999999999999999999999999999999999999.5",
        "1e999999",
        "5 000",  # with a plain space these are two numbers, and neither stands there
    ],
)
def test_numbers_that_do_not_stand_there_are_named(text: str) -> None:
    assert not_in(text, [KNOWN])


@given(st.floats(-1e12, 1e12, allow_subnormal=False), st.integers(3, 9))
def test_every_rounding_to_three_digits_or_more_passes(value: float, digits: int) -> None:
    assert not_in(f"It is {value:.{digits - 1}e} in all.", [{"deep": [{"value": value}]}]) == []
    assert not_in(f"It is {value!r}.", [json.loads(json.dumps({"value": value}))]) == []


@given(st.integers(1000, 10**9), st.integers(1, 9))
def test_a_changed_digit_does_not_pass(value: int, change: int) -> None:
    changed = value - value % 10 + (value % 10 + change) % 10
    assert not_in(f"{changed}", [value]) == ([] if changed == value else [str(changed)])


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    assert not_in(text, [text]) == []
