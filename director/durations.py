"""Durations as users write them. Pure."""

from __future__ import annotations

import re

from director.door import Problem, Refused

UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
LONGEST_S = 31_536_000.0
_WITH_UNIT = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([smhd])", re.ASCII)
_CLOCK = re.compile(r"(\d{1,6}):([0-5]\d):([0-5]\d)", re.ASCII)


def seconds_of(text: str, where: str) -> float:
    """Reads ``180s``, ``3m``, ``1.5h``, ``2d`` or ``HH:MM:SS``.

    Args:
        text: What the user wrote.
        where: Name of the option.

    Returns:
        The duration in s, greater than 0.

    Raises:
        Refused: If it is none of them. A number alone is refused too: schedulers take it for minutes or for seconds.
    """
    word = text.strip()
    if found := _WITH_UNIT.fullmatch(word):
        seconds = float(found[1]) * UNITS_S[found[2]]
    elif found := _CLOCK.fullmatch(word):
        seconds = 3600.0 * int(found[1]) + 60.0 * int(found[2]) + int(found[3])
    else:
        raise Refused([Problem(where, f"{text!r} is not a duration", "Write 180s, 3m, 1.5h, 2d or HH:MM:SS")])
    if not 0 < seconds <= LONGEST_S:
        raise Refused([Problem(where, f"{text!r} is not greater than 0 and at most 365 days", "Correct the duration")])
    return seconds
