"""Distances in periodic cells, for few atoms."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from campaigns.crystals.candidate import Crystal

Array = NDArray[np.float64]

MARGIN = 1e-9
"""More than rounding may change a distance by, as a fraction."""


def heights(cell: Array) -> Array:
    """How far apart the planes are in which the lattice repeats along each cell vector. Pure.

    Args:
        cell: Cell vectors as rows, in Å.

    Returns:
        Shape (3,), in Å.
    """
    return np.asarray(1 / np.linalg.norm(np.linalg.inv(cell), axis=0))


def lattice_shifts(cell: Array, reach_angstrom: float) -> Array:
    """Lattice vectors by which two atoms may come within reach, if they differ by at most half a cell vector. Pure.

    Args:
        cell: Cell vectors as rows, in Å.
        reach_angstrom: A distance in Å.

    Returns:
        Shape (shifts, 3), in Å; the one of length 0 is among them.
    """
    # Along a cell vector, one that is k times it leads to a plane that is at least k - 1/2 heights away.
    most = [math.ceil(reach_angstrom * (1 + MARGIN) / height + 0.5) - 1 for height in heights(cell).tolist()]
    steps = np.indices([2 * one + 1 for one in most]).reshape(3, -1).T - most
    return np.asarray(steps @ cell)


def closest_pair(crystal: Crystal, within_angstrom: float) -> tuple[int, int, float] | None:
    """The closest two atoms, periodic copies included, that are closer than a distance. Pure.

    Returns:
        Their numbers and their distance in Å; None if none are so close.
    """
    cell, places = np.array(crystal.cell), np.array(crystal.positions)
    if _all_apart(cell, places, within_angstrom):
        return None
    shifts = lattice_shifts(cell, within_angstrom)
    best: tuple[int, int, float] | None = None
    for first in range(len(places)):
        apart = places[first:] - places[first]
        vectors = ((apart - np.round(apart)) @ cell)[:, None, :] + shifts[None, :, :]
        square = np.einsum("psx,psx->ps", vectors, vectors)
        square[0, square[0] < 1e-18] = np.inf  # the atom itself
        place = int(np.argmin(square.min(axis=1)))
        distance = math.sqrt(float(square[place].min()))
        if distance < (within_angstrom if best is None else best[2]):
            best = (first, first + place, distance)
    return best


def _all_apart(cell: Array, places: Array, within_angstrom: float) -> bool:
    """Whether atoms are so far apart along one cell vector or another that a look at distances is not needed."""
    reach = within_angstrom * (1 + MARGIN) / heights(cell)
    if reach.max() >= 1:  # a copy of an atom may be that close to it
        return False
    apart = places[:, None, :] - places[None, :, :]
    apart -= np.round(apart)
    near = (np.abs(apart) <= reach).all(axis=2)
    return int(near.sum()) == len(places)  # each to itself
