"""Numbers that may be undefined, and how they spread over episodes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Undefined:
    """A number that does not exist.

    Attributes:
        reason: Why not.
        at_most: What it is known to be less than, if anything.
    """

    reason: str
    at_most: float | None = None


Value = float | Undefined


def as_json(value: Value) -> dict[str, Any]:
    """A number as JSON has it: ``value``, which is null with a ``reason`` if it is undefined."""
    if isinstance(value, Undefined):
        bound = {} if value.at_most is None else {"at_most": value.at_most}
        return {"value": None, "reason": value.reason, **bound}
    return {"value": value}


@dataclass(frozen=True)
class Spread:
    """How a number spreads over episodes.

    Attributes:
        mean: Arithmetic mean of those that are defined.
        std: Sample standard deviation, divided by n - 1.
        sem: Standard error of the mean: std / sqrt(n).
        n: How many are defined.
        undefined: How many are not, by the reason.
    """

    mean: Value
    std: Value
    sem: Value
    n: int
    undefined: tuple[tuple[str, int], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As JSON has it: null for what is undefined, and the reasons."""
        numbers = {"mean": self.mean, "std": self.std, "sem": self.sem}
        plain: dict[str, Any] = {
            name: None if isinstance(value, Undefined) else value for name, value in numbers.items()
        }
        reasons = {name: value.reason for name, value in numbers.items() if isinstance(value, Undefined)}
        return {**plain, "n": self.n, "undefined": dict(self.undefined), **({"reasons": reasons} if reasons else {})}


def spread(values: Iterable[Value]) -> Spread:
    """Mean, sample standard deviation and standard error of what is defined among some values."""
    every = list(values)
    found = [value for value in every if not isinstance(value, Undefined)]
    reasons = Counter(value.reason for value in every if isinstance(value, Undefined))
    undefined = tuple(sorted(reasons.items()))
    n = len(found)
    if n == 0:
        nothing = Undefined("there are no episodes" if not every else "it is undefined in every episode")
        return Spread(nothing, nothing, nothing, 0, undefined)
    # A mean of equal numbers is that number, to the last digit.
    mean = found[0] + math.fsum(value - found[0] for value in found) / n
    if n == 1:
        alone = Undefined("one episode has no spread")
        return Spread(mean, alone, alone, 1, undefined)
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in found) / (n - 1))
    return Spread(mean, std, std / math.sqrt(n), n, undefined)
