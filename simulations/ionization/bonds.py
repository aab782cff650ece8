"""Whether a relaxed geometry is still the molecule that was asked for. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BROKEN = 1.5
FORMED = 1.15
"""Two atoms count as no longer bonded beyond ``BROKEN`` times the sum of their covalent radii, and as newly bonded
within ``FORMED`` times. Between the two lie hydrogen bonds (1.6 times and more), bent bonds and small bicycles."""


def changed_bonds(
    bonds: Sequence[tuple[int, int]], positions: NDArray[np.float64], radii: NDArray[np.float64]
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Compares the bonds of a molecule with the distances of its atoms.

    Args:
        bonds: Indices of the atoms of each bond.
        positions: n × 3, in Å.
        radii: Covalent radius of each atom, in Å.

    Returns:
        The bonds that are broken, and those that have formed; each pair in rising order.
    """
    distances = np.linalg.norm(positions[:, None, :] - positions[None, :, :], axis=-1)
    ratio = distances / (radii[:, None] + radii[None, :])
    wanted = {(min(pair), max(pair)) for pair in bonds}
    broken = sorted(pair for pair in wanted if ratio[pair] > BROKEN)
    close = np.argwhere(np.triu(ratio < FORMED, k=1))
    formed = [(int(i), int(j)) for i, j in close if (int(i), int(j)) not in wanted]
    return broken, formed
