"""The space of compositions that a campaign on crystals looks at."""

from __future__ import annotations

import math
from collections.abc import Sequence

from campaigns.crystals.formulas import enumerate_formulas, fractions, read_formula, write_formula
from campaigns.crystals.smact_rules import SmactRules

MOST_COMPOSITIONS = 200_000
"""More than these would take minutes to look through at each decision."""


class Space:
    """All formulas of cells of some elements, up to a size.

    Args:
        elements: Symbols.
        max_stoichiometry: Most atoms in a cell.
        include_elements: Whether cells of one element alone belong to it.
        rules: Leave some out; None: none is left out.

    Attributes:
        formulas: By Hill's convention, those of few atoms first.

    Raises:
        ValueError: If there is none, or there are too many; it says what to do.
    """

    def __init__(
        self, elements: Sequence[str], max_stoichiometry: int, include_elements: bool, rules: SmactRules | None
    ) -> None:
        self._elements = tuple(elements)
        self._most = max_stoichiometry
        self._include_elements = include_elements
        found = self._all()
        passed = [formula for formula in found if rules is None or rules.passes(formula)]
        if not passed:
            raise ValueError(
                f"none of the {len(found)} compositions of {', '.join(elements)} with at most {max_stoichiometry} "
                "atoms passes SMACT's rules: set smact_validity: false, raise max_stoichiometry, or take other elements"
            )
        self.formulas = tuple(passed)
        self._known = frozenset(passed)

    def _all(self) -> list[str]:
        n, most = len(self._elements), self._most
        count = math.comb(most + n, n) - 1
        if count > MOST_COMPOSITIONS:
            raise ValueError(
                f"{n} elements with max_stoichiometry {most} have {count} compositions; at most {MOST_COMPOSITIONS} "
                "are looked through: lower max_stoichiometry, or take fewer elements"
            )
        found = enumerate_formulas(self._elements, most, include_elements=self._include_elements)
        if not found:
            raise ValueError(
                f"there is no composition of {', '.join(self._elements)} with at most {most} atoms and two elements: "
                "raise max_stoichiometry, give more elements, or set include_elements: true"
            )
        return found

    def check(self, region: str) -> str:
        """A formula as `formulas` has it.

        Raises:
            ValueError: If it is none of them; it says why.
        """
        counts = read_formula(region)
        name = write_formula(counts)
        if name in self._known:
            return name
        fractions(counts, self._elements)
        total = sum(counts.values())
        if total > self._most:
            raise ValueError(f"{name} has {total} atoms, and max_stoichiometry is {self._most}")
        if len(counts) == 1 and not self._include_elements:
            raise ValueError(f"{name} is an element, and include_elements is false")
        raise ValueError(f"{name} does not pass SMACT's rules")
