"""What a plot of phases needs of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Phase:
    """A crystal that was evaluated.

    Attributes:
        formula: Reduced formula.
        fractions: Share of atoms of each element, which add up to 1.
        formation_energy_ev_per_atom: From the elements, in eV/atom.
        policy: Which policy found it.
    """

    formula: str
    fractions: Mapping[str, float]
    formation_energy_ev_per_atom: float
    policy: str = ""
