"""Parts of a campaign's space that a model names, checked before anybody looks there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from campaigns.environment import Environment
from campaigns.llm.decide import Unusable


def region_check(environment: Environment[Any], max_stoichiometry: int | None) -> Callable[[str], str]:
    """How a region is checked: the environment's own ``check_region``, or for crystals the formula.

    Args:
        environment: With a method ``check_region`` that gives the region's proper name or raises a ValueError with the
            reason, or with ``elements``: symbols.
        max_stoichiometry: Most atoms in a formula; None: what the environment says.

    Returns:
        A function that gives a region's proper name, or raises `Unusable`.

    Raises:
        ValueError: If the environment says nothing of its regions.
    """
    own = getattr(environment, "check_region", None)
    elements = getattr(environment, "elements", None)
    limit = max_stoichiometry if max_stoichiometry is not None else getattr(environment, "max_stoichiometry", None)
    if own is None and elements is None:
        raise ValueError(
            f"{type(environment).__name__} has neither check_region nor elements, so nothing that a model proposes "
            "could be checked: give it a method check_region, or use a planner that needs none"
        )

    def check(region: str) -> str:
        try:
            name: str = region
            if elements is not None:
                name = _formula(region, list(elements), limit)
            return own(name) if own is not None else name
        except ValueError as error:
            raise Unusable(f"{region!r}: {error}") from None

    return check


def _formula(text: str, elements: Sequence[str], max_stoichiometry: int | None) -> str:
    from campaigns.crystals.formulas import read_formula, write_formula

    counts = read_formula(text)
    strange = sorted(set(counts) - set(elements))
    if strange:
        raise ValueError(f"{', '.join(strange)} is not of {', '.join(elements)}")
    total = sum(counts.values())
    if max_stoichiometry is not None and total > max_stoichiometry:
        raise ValueError(f"has {total} atoms, and at most {max_stoichiometry} are allowed")
    return write_formula(counts)
