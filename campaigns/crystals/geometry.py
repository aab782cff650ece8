"""Distances in periodic cells, for few atoms."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from campaigns.crystals.candidate import Crystal

Array = NDArray[np.float64]


def lattice_shifts(cell: Array, reach_angstrom: float) -> Array:
    """Lattice vectors by which two atoms may come within reach, if they differ by at most half a cell vector. Pure.

    Args:
        cell: Cell vectors as rows, in Å.
        reach_angstrom: A distance in Å.

    Returns:
        Shape (shifts, 3), in Å; the one of length 0 is among them.
    """
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    most = [math.ceil(reach_angstrom / height + 0.5) for height in heights]
    steps = np.array(np.meshgrid(*(np.arange(-one, one + 1) for one in most), indexing="ij")).reshape(3, -1).T
    return np.asarray(steps @ cell)


def closest_pair(crystal: Crystal, within_angstrom: float) -> tuple[int, int, float] | None:
    """The closest two atoms, periodic copies included, that are closer than a distance. Pure.

    Returns:
        Their numbers and their distance in Å; None if none are so close.
    """
    cell, places = np.array(crystal.cell), np.array(crystal.positions)
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
