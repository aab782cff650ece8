"""Formulas of crystals: that of a cell, ``Cu2Au2``, and that of its composition, ``CuAu``, which are kept apart."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from simulations.atomistic.names import ELEMENTS

_PART = re.compile(r"([A-Z][a-z]?)(\d*)")

Counts = Mapping[str, int]
"""Atoms of each element."""


def counts_of(species: Iterable[str]) -> dict[str, int]:
    """How many atoms of each element a list of symbols has."""
    counts: dict[str, int] = {}
    for symbol in species:
        counts[symbol] = counts.get(symbol, 0) + 1
    return counts


def write_formula(counts: Counts) -> str:
    """A formula by Hill's convention, as results of Tools have it: C and H first if there is C, else by alphabet.

    Args:
        counts: Atoms of each element; zeros are left out.
    """
    present = sorted(symbol for symbol, count in counts.items() if count)
    if "C" in present:
        present.sort(key=lambda symbol: (symbol != "C", symbol != "H", symbol))
    return "".join(f"{symbol}{counts[symbol] if counts[symbol] > 1 else ''}" for symbol in present)


def read_formula(formula: str) -> dict[str, int]:
    """The atoms that a formula such as ``Cu3Au`` or ``LiMn2O4`` names.

    Raises:
        ValueError: If it is no formula, or names an element that does not exist.
    """
    if not isinstance(formula, str) or not re.fullmatch(r"(?:[A-Z][a-z]?(?:[1-9]\d{0,4})?)+", formula):
        raise ValueError(f"{formula!r} is no formula such as Cu3Au: symbols of elements, each with a whole number")
    counts: dict[str, int] = {}
    for symbol, count in _PART.findall(formula):
        if symbol not in ELEMENTS:
            raise ValueError(f"formula {formula!r}: {symbol!r} is no chemical element")
        counts[symbol] = counts.get(symbol, 0) + int(count or 1)
    return counts


def reduced(counts: Counts) -> dict[str, int]:
    """The smallest whole numbers in the same ratio: Cu2Au2 is Cu1 Au1."""
    divisor = math.gcd(*counts.values())
    return {symbol: count // divisor for symbol, count in counts.items() if count}


def reduced_formula(formula: str) -> str:
    """The formula of a composition: ``CuAu`` for ``Au2Cu2``, as Hill's convention writes it, ``AuCu``."""
    return write_formula(reduced(read_formula(formula)))


def canonical(formula: str) -> str:
    """The same formula as Hill's convention writes it: ``Au2Cu2`` for ``Cu2Au2``."""
    return write_formula(read_formula(formula))


def fractions(counts: Counts, elements: Sequence[str]) -> tuple[float, ...]:
    """The share of each element's atoms, in the order of ``elements``. They add up to 1.

    Raises:
        ValueError: If there is another element.
    """
    strange = sorted(symbol for symbol, count in counts.items() if count and symbol not in elements)
    if strange:
        raise ValueError(f"{write_formula(counts)} contains {', '.join(strange)}, not of {', '.join(elements)}")
    total = sum(counts.values())
    return tuple(counts.get(symbol, 0) / total for symbol in elements)


def enumerate_formulas(elements: Sequence[str], max_stoichiometry: int, *, include_elements: bool) -> list[str]:
    """All formulas of cells with at most so many atoms.

    Args:
        elements: Symbols.
        max_stoichiometry: Most atoms in a cell.
        include_elements: Whether cells of one element alone belong to them.

    Returns:
        Formulas by Hill's convention, those of few atoms first, then by the alphabet.
    """
    found = []
    for total in range(1, max_stoichiometry + 1):
        here = [
            dict(zip(elements, parts, strict=True))
            for parts in _partitions(total, len(elements))
            if include_elements or sum(part > 0 for part in parts) > 1
        ]
        found += sorted(write_formula(counts) for counts in here)
    return found


def _partitions(total: int, places: int) -> Iterator[tuple[int, ...]]:
    """All ways to share a number between places, by bars between stars."""
    for bars in itertools.combinations(range(total + places - 1), places - 1):
        edges = (-1, *bars, total + places - 1)
        yield tuple(after - before - 1 for before, after in itertools.pairwise(edges))
