"""Inputs and results as one level of names and plain values, for tables. Pure."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping
from typing import Any

from simulations.records import Outcome

Flat = dict[str, str | int | float | bool]

INPUT_PREFIX = "input_"


def flatten(document: Mapping[str, Any]) -> Flat:
    """Plain values of nested JSON, each under its names joined by ``_``.

    Units stay where they are, in the names: ``temperature_k: {mean, std}`` becomes ``temperature_k_mean`` and
    ``temperature_k_std``.

    Args:
        document: JSON values. Lists, nulls and numbers that are not finite have no place in a table, and are left out.
    """
    found: Flat = {}
    for name, value in _walk("", document):
        found[free_name(name, found)] = value  # {"a": {"b": 1}, "a_b": 2}
    return found


def free_name(name: str, taken: Container[str]) -> str:
    """This name, with ``_2``, ``_3`` and so on behind it if it is taken."""
    unique, count = name, 2
    while unique in taken:
        unique, count = f"{name}_{count}", count + 1
    return unique


def flat_outcome(outcome: Outcome) -> Flat:
    """What a table says of an Outcome: its inputs, whose names begin with ``input_``, and its result."""
    inputs = {INPUT_PREFIX + name: value for name, value in flatten(outcome.inputs).items()}
    return {**inputs, **flatten(outcome.result or {})}


def _walk(prefix: str, document: Mapping[str, Any]) -> Iterator[tuple[str, str | int | float | bool]]:
    for name, value in document.items():
        full = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _walk(f"{full}_", value)
        elif isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
            yield full, value
