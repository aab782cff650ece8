"""Whether a crystal can have a smaller cell at all: quick to say, where finding that cell takes long."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from campaigns.crystals.candidate import Crystal
from campaigns.crystals.geometry import heights, lattice_shifts

Array = NDArray[np.float64]

PRIMES = (2, 3, 5, 7)
"""There are p³ - 1 translations to look at, so larger ones are left to those who look for the cell itself."""


def may_be_supercell(crystal: Crystal, tolerance_angstrom: float) -> bool:
    """Whether the crystal may have a smaller cell; if not, it surely has none. Pure.

    If g of the smaller cells make up this one, g divides the number of atoms of each element. Then there is a prime p
    that divides g, and a translation by a p-th of a lattice vector that brings each atom near to one of its element; or
    else two atoms of an element are so close that both are near to where one atom is brought.

    Args:
        crystal: The crystal.
        tolerance_angstrom: How far from where a translation brings them atoms may be, in Å.
    """
    _, kind, counts = np.unique(crystal.species, return_inverse=True, return_counts=True)
    parts = math.gcd(*counts.tolist())
    if parts == 1:
        return False
    left = parts
    for prime in PRIMES:
        while left % prime == 0:
            left //= prime
    if left > 1:
        return True
    cell, places = np.array(crystal.cell), np.array(crystal.positions)
    apart = places[None, :, :] - places[:, None, :]
    alike = kind[:, None] == kind[None, :]
    reach = tolerance_angstrom / heights(cell)
    if any(parts % prime == 0 and _maps(apart, alike, prime, reach) for prime in PRIMES):
        return True
    np.fill_diagonal(alike, False)
    return _closest(apart[alike], cell, 2 * tolerance_angstrom) < 2 * tolerance_angstrom


def _maps(apart: Array, alike: NDArray[np.bool_], prime: int, reach: Array) -> bool:
    """Whether a translation by such a part of a lattice vector brings each atom near to one like it.

    Args:
        apart: Fractional coordinates from each atom to each, shape (atoms, atoms, 3).
        alike: Which are of one element, shape (atoms, atoms).
        prime: The part.
        reach: What is near, along each cell vector.
    """
    translations = np.indices((prime, prime, prime)).reshape(3, -1).T[1:] / prime
    # Most are ruled out by one atom alone: one of an element that there are few of.
    rare = int(np.argmin(alike.sum(axis=1)))
    fitting = _near(apart[rare][alike[rare]] - translations[:, None, :], reach).any(axis=1)
    return any(
        bool((_near(apart - translation, reach) & alike).any(axis=1).all()) for translation in translations[fitting]
    )


def _near(apart: Array, reach: Array) -> NDArray[np.bool_]:
    return np.asarray((np.abs(apart - np.round(apart)) <= reach).all(axis=-1))


def _closest(apart: Array, cell: Array, within_angstrom: float) -> float:
    """The least distance in Å, if it is less than that: fractional coordinates have shape (pairs, 3)."""
    vectors = ((apart - np.round(apart)) @ cell)[:, None, :] + lattice_shifts(cell, within_angstrom)
    return math.sqrt(float(np.einsum("psx,psx->ps", vectors, vectors).min()))
