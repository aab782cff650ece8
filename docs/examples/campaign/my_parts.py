"""A generator of one's own: atoms of a composition, shared out at random over the sites of an fcc lattice."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from campaigns import Plan, View
from campaigns.crystals import Crystal
from campaigns.crystals.formulas import read_formula


class Decorated:
    """Decorates the four sites of a cubic fcc cell.

    Args:
        edge_angstrom: Length of the cell's edge in Å.
        seed: Of the order of the atoms.
    """

    def __init__(self, edge_angstrom: float = 3.9, seed: int | None = None) -> None:
        if edge_angstrom <= 0:
            raise ValueError(f"edge_angstrom: {edge_angstrom} must be positive, in Å")
        self.edge = edge_angstrom
        self.random = np.random.default_rng(seed)

    def generate(self, plan: Plan, view: View[Crystal]) -> list[Crystal]:
        """Candidates for each composition of a plan that has one atom for each of the four sites, or two, or four."""
        found = []
        for formula in plan.regions:
            counts = read_formula(formula)
            species = [symbol for symbol, count in counts.items() for _ in range(count)]
            if 4 % len(species):
                continue
            found += [self.decorate(species * (4 // len(species))) for _ in range(plan.num_candidates)]
        return found

    def decorate(self, species: list[str]) -> Crystal:
        """The cell, its sites taken in random order."""
        edge = self.edge
        sites = ((0.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))
        order = self.random.permutation(4)
        cell = ((edge, 0.0, 0.0), (0.0, edge, 0.0), (0.0, 0.0, edge))
        return Crystal(cell, tuple(species[place] for place in order), sites)

    def get_state(self) -> dict[str, Any]:
        """All that changes: the random generator."""
        return {"random": self.random.bit_generator.state}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from there."""
        self.random.bit_generator.state = dict(state["random"])
