"""Numbers in a text, and whether they stand in what the text is about. Pure.

A number may be rounded, as long as three digits of it are left. Its sign counts. Digits within names, such as amber14
or C-alpha1, are no numbers; thousands may be grouped by commas or narrow spaces; 1.5×10^3 and 1.5e3 are the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

WORDS = {
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "eleven": 11,
    "twelve": 12,
    "thirteen": 13,
    "fourteen": 14,
    "fifteen": 15,
    "sixteen": 16,
    "seventeen": 17,
    "eighteen": 18,
    "nineteen": 19,
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
    "dozen": 12,
    "hundred": 100,
    "thousand": 1000,
    "million": 10**6,
    "billion": 10**9,
}
"""Words that are numbers. ``one`` is left out: it is a pronoun more often."""

LEAST_DIGITS = 3
"""Significant digits that a rounded number must have."""

LARGEST_EXPONENT = 400

_NUMBER = re.compile(
    r"(?P<sign>(?<![\w.)\]])[-+])?(?<![\w.])(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"(?:[eE](?P<e>[-+]?\d{1,6})(?!\w)|\s?[×x*·]\s?10\s?\^?\s?\{?(?P<ten>[-+]?\d{1,6})\}?(?!\w))?"
)
_NAME = re.compile(r"[^\W\d_][\w]*(?:[-/][\w]*[^\W_][\w]*)*")
_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")


def numbers_in(text: str) -> list[str]:
    """The numbers of a text, in order, as they are written; words such as ``twenty`` included."""
    return [written for written, _ in _found(text)]


def not_in(text: str, known: Iterable[Any]) -> list[str]:
    """Numbers of a text that are none of the known ones, in order, each once.

    Args:
        text: The text.
        known: Documents as JSON has them; every number in them counts, also those in their texts.
    """
    values = set(_values(list(known)))
    strange = [written for written, number in _found(text) if not _stands(number, values)]
    return list(dict.fromkeys(strange))


def _found(text: str) -> Iterator[tuple[str, Decimal]]:
    plain = _plain(text)
    inside = [match.span() for match in _NAME.finditer(plain)]
    places: list[tuple[int, str, Decimal]] = []
    for match in _NUMBER.finditer(plain):
        start = match.start("digits")
        if any(a < start < b for a, b in inside):
            continue
        number = _decimal(match)
        if number is not None:
            places.append((match.start(), match.group().strip(), number))
    words = [(match.start(), match.group()) for match in re.finditer(r"[a-z]+", plain.lower())]
    places += [(start, word, Decimal(WORDS[word])) for start, word in words if word in WORDS]
    yield from ((written, number) for _, written, number in sorted(places, key=lambda place: place[0]))


def _plain(text: str) -> str:
    """The same with one kind of minus, no narrow spaces between digits, and raised digits written as powers."""
    text = text.replace("−", "-").replace("\N{EN DASH}", " to ").replace("\N{EM DASH}", " - ")
    text = re.sub(r"(?<=\d)[\u2009\u202f\u00a0](?=\d{3}(?!\d))", "", text)
    return re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+", lambda match: "^" + match.group().translate(_SUPERSCRIPT), text)


def _decimal(match: re.Match[str]) -> Decimal | None:
    exponent = int(match["e"] or match["ten"] or 0)
    try:
        number = Decimal((match["sign"] or "") + match["digits"].replace(",", ""))
        # One that is out of all bounds stands in no document, and must not be worked out.
        return number.scaleb(exponent) if abs(exponent) <= LARGEST_EXPONENT else Decimal("NaN")
    except InvalidOperation:
        return Decimal("NaN")


def _values(document: Any) -> Iterator[Decimal]:
    if isinstance(document, bool) or document is None:
        return
    if isinstance(document, int | float):
        yield Decimal(str(document))
    elif isinstance(document, str):
        yield from (number for _, number in _found(document))
    elif isinstance(document, dict):
        for value in document.values():
            yield from _values(value)
    else:
        for value in document:
            yield from _values(value)


def _stands(number: Decimal, values: set[Decimal]) -> bool:
    if number.is_nan():
        return False
    if any(number == value for value in values):
        return True
    if len(number.as_tuple().digits) < LEAST_DIGITS or not number:
        return False
    last = Decimal(1).scaleb(int(number.as_tuple().exponent))
    return any(_rounds_to(value, number, last) for value in values)


def _rounds_to(value: Decimal, number: Decimal, last: Decimal) -> bool:
    if value.is_nan() or value.is_infinite() or abs(value - number) > last:
        return False
    try:
        return any(value.quantize(last, rounding=how) == number for how in (ROUND_HALF_EVEN, ROUND_HALF_UP))
    except InvalidOperation:  # it has more digits than could be told apart
        return False
