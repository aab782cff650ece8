"""How far each composition is from those that were tried, brought up to date at each decision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from campaigns.crystals.distances import distances
from campaigns.crystals.statistics import Statistics

Array = NDArray[np.float64]

AT_ONCE = 64
"""So many tried compositions are compared with all at a time: for 200,000 compositions that takes 0.1 GB."""


class Apart:
    """Distance of each composition from the nearest one that was tried or is a pure element.

    What it has found is kept, so that a decision looks only at compositions that were tried since the one before. It
    follows from what is known, so it belongs to no state: it is found anew where it is missing.

    Args:
        metric: See `distances`.
        mask: Whether compositions of one reduced formula are not compared with each other.
    """

    def __init__(self, metric: str, mask: bool) -> None:
        self._metric = metric
        self._mask = mask
        self._fractions: Array | None = None
        self._tried = np.zeros(0, dtype=bool)
        self._nearest = np.zeros(0)

    def from_tried(self, known: Statistics) -> Array:
        """These distances, shape (compositions,); infinite where there is nothing to compare with."""
        tried = known.attempts > 0
        if self._metric == "cosine":  # a product of matrices: how many there are may decide its last digit
            return self._anew(known, np.flatnonzero(tried))
        if self._fractions is not known.fractions or (self._tried & ~tried).any():
            self._fractions, self._tried = known.fractions, np.zeros(len(known), dtype=bool)
            self._nearest = self._anew(known, np.zeros(0, dtype=np.int64))
        new = np.flatnonzero(tried & ~self._tried)
        for start in range(0, len(new), AT_ONCE):
            places = new[start : start + AT_ONCE]
            apart = distances(known.fractions, known.fractions[places], self._metric)
            apart[same_ones(known, places, self._mask)] = np.inf
            self._nearest = np.minimum(self._nearest, apart.min(axis=1))
        self._tried = tried
        return self._nearest

    def _anew(self, known: Statistics, tried: NDArray[np.int64]) -> Array:
        apart = distances(known.fractions, np.vstack([known.fractions[tried], known.references]), self._metric)
        apart[:, : len(tried)][same_ones(known, tried, self._mask)] = np.inf
        if self._mask:
            apart[:, len(tried) :][known.fractions @ known.references.T == 1.0] = np.inf  # elements, and themselves
        return np.asarray(apart.min(axis=1))


def same_ones(known: Statistics, places: NDArray[np.int64], mask: bool) -> NDArray[np.bool_]:
    """Which compositions are not compared with those at some places. Pure.

    Args:
        known: The compositions.
        places: Places among them.
        mask: Whether those of one reduced formula are not; else a composition is not compared with itself only.

    Returns:
        Shape (compositions, places).
    """
    if mask:
        return np.asarray(known.reduced[:, None] == known.reduced[places][None, :])
    return np.asarray(np.arange(len(known))[:, None] == places[None, :])
