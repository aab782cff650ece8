"""Random crystals of given compositions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from campaigns.components import Plan
from campaigns.crystals.candidate import Crystal
from campaigns.crystals.environment import crystals_of
from campaigns.crystals.formulas import read_formula, write_formula
from campaigns.crystals.geometry import lattice_shifts
from campaigns.environment import View

Array = NDArray[np.float64]

DRAWN_AT_ONCE = 512
MOST_DRAWS = 32
"""So often are so many cells drawn, before it is said that none fits."""

PLACES_AT_ONCE = 8
PLACES_DRAWS = 16
"""So often are so many places drawn for an atom, before its cell is given up."""

SMALLEST_RADIUS_ANGSTROM = 1.0
"""Smaller atoms, hydrogen say, still need the room of one of this radius in a crystal."""

ROOM = (1.0, 4.0)
"""Volume of a cell, from and to, as a multiple of its atoms' as spheres of their covalent radii. In crystals at ambient
pressure this is 1.2 (Cu) to 4.6 (quartz)."""


class RandomGenerator:
    """Draws a lattice, and places atoms in it at random.

    Lengths and angles are drawn evenly from their ranges until the cell's volume suits its atoms (see `ROOM`), and
    atoms are placed evenly, one after another, none closer to another or to a periodic copy than ``closest`` times the
    sum of their covalent radii (B. Cordero et al., Dalton Trans. 2008, 2832). Random search for crystals: C. J. Pickard
    and R. J. Needs, J. Phys.: Condens. Matter 2011, 23, 053201.

    A plan without compositions gives crystals with one atom of each element.

    Args:
        seed: Of all draws.
        lattice_length_range: Lengths of cell vectors, from and to, in Å.
        lattice_angle_range: Angles between them, from and to, in degrees.
        closest: See above.
        max_tries: How many cells are tried for a candidate; if atoms find no place in any, there is one candidate less.

    Raises:
        ValueError: If a range is none.
    """

    def __init__(
        self,
        seed: int | None = None,
        lattice_length_range: Sequence[float] = (3.0, 15.0),
        lattice_angle_range: Sequence[float] = (60.0, 120.0),
        closest: float = 0.6,
        max_tries: int = 20,
    ) -> None:
        self._lengths = _range("lattice_length_range", lattice_length_range, 0.0, 1000.0)
        self._angles = _range("lattice_angle_range", lattice_angle_range, 0.0, 180.0)
        if not 0 <= closest <= 1:
            raise ValueError(f"closest: {closest} must be from 0 to 1")
        if max_tries < 1:
            raise ValueError(f"max_tries: {max_tries} must be at least 1")
        self._closest = closest
        self._max_tries = max_tries
        self._random = np.random.default_rng(seed)

    def generate(self, plan: Plan, view: View[Crystal]) -> list[Crystal]:
        """See `campaigns.components.Generator`.

        Raises:
            ValueError: If no cell within the ranges has room for a composition's atoms.
        """
        environment = crystals_of(view, type(self).__name__)
        regions = plan.regions or (write_formula(dict.fromkeys(environment.elements, 1)),)
        drawn = [self._candidate(region) for region in regions for _ in range(plan.num_candidates)]
        return [crystal for crystal in drawn if crystal is not None]

    def _candidate(self, formula: str) -> Crystal | None:
        counts = read_formula(formula)
        species = [symbol for symbol in sorted(counts) for _ in range(counts[symbol])]
        radii = _radii(species)
        for _ in range(self._max_tries):
            cell = self._cell(formula, radii)
            positions = self._positions(cell, radii)
            if positions is not None:
                rows = tuple(tuple(row) for row in cell.tolist())
                return Crystal(rows, tuple(species), tuple(tuple(row) for row in positions.tolist()))  # type: ignore[arg-type]
        return None

    def _cell(self, formula: str, radii: Array) -> Array:
        """A cell whose volume suits atoms of these radii, shape (3, 3), in Å."""
        spheres = float((4 / 3 * math.pi * np.maximum(radii, SMALLEST_RADIUS_ANGSTROM) ** 3).sum())
        least, most = ROOM[0] * spheres, ROOM[1] * spheres
        for _ in range(MOST_DRAWS):
            lengths = self._random.uniform(*self._lengths, size=(DRAWN_AT_ONCE, 3))
            angles = self._random.uniform(*self._angles, size=(DRAWN_AT_ONCE, 3))
            volumes = _volumes(lengths, angles)
            fitting = np.flatnonzero((volumes >= least) & (volumes <= most))
            if len(fitting):
                return _cell(lengths[fitting[0]], angles[fitting[0]])
        (shortest, longest), (sharpest, widest) = self._lengths, self._angles
        raise ValueError(
            f"{type(self).__name__}: none of {MOST_DRAWS * DRAWN_AT_ONCE} cells has room for {formula}, which is "
            f"{least:.0f} to {most:.0f} Å³: change lattice_length_range ({shortest:g} to {longest:g} Å) or "
            f"lattice_angle_range ({sharpest:g} to {widest:g} degrees)"
        )

    def _positions(self, cell: Array, radii: Array) -> Array | None:
        """Fractional positions, shape (atoms, 3); None if an atom finds no place, or its copies are too close."""
        shifts = lattice_shifts(cell, 2 * self._closest * float(radii.max()))
        lengths = np.linalg.norm(shifts, axis=1)
        if lengths[lengths > 0].min(initial=np.inf) < 2 * self._closest * float(radii.max()):
            return None
        placed = np.empty((len(radii), 3))
        for number, radius in enumerate(radii):
            place = self._place(placed[:number], self._closest * (radius + radii[:number]), cell, shifts)
            if place is None:
                return None
            placed[number] = place
        return placed

    def _place(self, placed: Array, least_angstrom: Array, cell: Array, shifts: Array) -> Array | None:
        """A fractional position that is far enough from those placed; None if none was found in a number of draws."""
        for _ in range(PLACES_DRAWS):
            trial = self._random.random((PLACES_AT_ONCE, 3))
            if not len(placed):
                return np.asarray(trial[0])
            apart = trial[:, None, :] - placed[None, :, :]
            apart -= np.round(apart)
            vectors = (apart @ cell)[:, :, None, :] + shifts
            square = np.einsum("tpsx,tpsx->tps", vectors, vectors)  # (trials, placed, shifts)
            free = (square >= least_angstrom[None, :, None] ** 2).all(axis=(1, 2))
            if free.any():
                return np.asarray(trial[int(np.argmax(free))])
        return None

    def get_state(self) -> dict[str, Any]:
        """Its random numbers."""
        return {"random": dict(self._random.bit_generator.state)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `campaigns.stateful.Stateful`."""
        self._random.bit_generator.state = dict(state["random"])


def _range(name: str, given: Sequence[float], least: float, most: float) -> tuple[float, float]:
    values = tuple(float(value) for value in given)
    if len(values) != 2 or not least < values[0] <= values[1] < most:
        raise ValueError(f"{name}: {list(given)} must be two numbers, from and to, between {least:g} and {most:g}")
    return values[0], values[1]


def _radii(species: Sequence[str]) -> Array:
    from ase.data import atomic_numbers, covalent_radii

    return np.array([covalent_radii[atomic_numbers[symbol]] for symbol in species])


def _volumes(lengths: Array, angles_degree: Array) -> Array:
    """Volumes of cells, shape (cells,), in Å³; 0 where three angles make none."""
    cosines = np.cos(np.radians(angles_degree))
    square = 1 - (cosines**2).sum(axis=1) + 2 * cosines.prod(axis=1)
    return np.asarray(lengths.prod(axis=1) * np.sqrt(np.maximum(square, 0.0)))


def _cell(lengths: Array, angles_degree: Array) -> Array:
    """The cell with a along x and b in the plane of x and y."""
    alpha, beta, gamma = np.radians(angles_degree)
    a, b, c = lengths
    cx = math.cos(beta)
    cy = (math.cos(alpha) - math.cos(beta) * math.cos(gamma)) / math.sin(gamma)
    cz = math.sqrt(max(1 - cx**2 - cy**2, 0.0))
    return np.array([[a, 0, 0], [b * math.cos(gamma), b * math.sin(gamma), 0], [c * cx, c * cy, c * cz]])
