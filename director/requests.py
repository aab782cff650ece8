"""Many Requests from few words."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from simulations.records import Request


def sweep(tool: str, **inputs: Any) -> list[Request]:
    """Makes one Request for each combination of values.

    Args:
        tool: Name of the Tool.
        inputs: Its inputs. A list, tuple, set or range stands for each of its values in turn.

    Returns:
        The Requests; the last input varies fastest.

    Example:
        >>> len(sweep("md", structure="ala10", steps=1000, temperature_k=[280, 300], seed=range(1, 4)))
        6
    """
    names = list(inputs)
    choices = [_values(inputs[name]) for name in names]
    return [Request(tool=tool, inputs=dict(zip(names, values, strict=True))) for values in itertools.product(*choices)]


def _values(value: Any) -> list[Any]:
    many = isinstance(value, Iterable) and not isinstance(value, str | bytes | dict)
    return list(value) if many else [value]
