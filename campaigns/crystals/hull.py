"""The convex hull of formation energies: which compositions are stable, and how far above it others are.

The hull at a composition is the lowest energy of any mixture of known phases of that composition (the common-tangent
construction; see S. P. Ong et al., Chem. Mater. 2008, 20, 1798). Qhull finds its facets (Barber et al., ACM Trans.
Math. Softw. 1996, 22, 469).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

SAME_COMPOSITION = 1e-9
"""Fractions that differ by less are equal: those of cells with up to 10,000 atoms differ by more."""

FLAT_EV_PER_ATOM = 1e-11
"""Whatever is less far below the plane of the elements is on it."""

VERTICAL = 1e-8
"""A facet whose unit normal has less than this along the energy, scaled to be from -1 to 0, is vertical."""


@dataclass(frozen=True)
class _Facets:
    """Lower facets: the hull is the highest of these planes. ``slopes`` has shape (facets, elements)."""

    slopes: Array


class Hull:
    """The convex hull over compositions of n elements. It is kept, and made anew only by a phase that lowers it.

    Energies are formation energies per atom in eV; a pure element in its reference has 0, and is part of every hull.

    Args:
        n_elements: How many elements there are, at least one.
    """

    def __init__(self, n_elements: int) -> None:
        if n_elements < 1:
            raise ValueError(f"a hull needs at least one element, not {n_elements}")
        self._n = n_elements
        self._fractions = np.eye(n_elements)
        self._energies = np.zeros(n_elements)
        self._facets = _facets(self._fractions, self._energies)
        self.updates = 0
        """How often it was made anew."""

    def __len__(self) -> int:
        """How many phases it is made of, the elements' references included."""
        return len(self._energies)

    def add(self, fractions: ArrayLike, energy_ev_per_atom: float) -> bool:
        """Takes a phase into account.

        Args:
            fractions: Share of each element's atoms, shape (elements,).
            energy_ev_per_atom: Its formation energy.

        Returns:
            Whether the hull is lower now.

        Raises:
            ValueError: If the fractions are no composition, or the energy is no finite number.
        """
        point = self._checked(fractions)
        if not np.isfinite(energy_ev_per_atom):
            raise ValueError(f"a formation energy must be a finite number, not {energy_ev_per_atom}")
        above = float(energy_ev_per_atom) - self.energy(point)
        self._fractions = np.vstack([self._fractions, point])
        self._energies = np.append(self._energies, float(energy_ev_per_atom))
        if above >= -FLAT_EV_PER_ATOM:
            return False
        self._facets = _facets(self._fractions, self._energies)
        self.updates += 1
        return True

    def energy(self, fractions: ArrayLike) -> float:
        """Height of the hull at a composition, in eV/atom."""
        return float(self.energies(self._checked(fractions)[None, :])[0])

    def energies(self, fractions: Array) -> Array:
        """Height of the hull at many compositions.

        Args:
            fractions: Shape (compositions, elements), each a composition.

        Returns:
            Shape (compositions,), in eV/atom.
        """
        return np.asarray((fractions @ self._facets.slopes.T).max(axis=1))

    def above(self, fractions: ArrayLike, energy_ev_per_atom: float) -> float:
        """How far a phase is above the hull, in eV/atom; negative if the hull without it is above the phase."""
        return float(energy_ev_per_atom) - self.energy(fractions)

    def stable(self, tolerance_ev_per_atom: float = 1e-9) -> list[int]:
        """Which phases are on the hull: their numbers in the order in which they were added, the elements first.

        Of several with the same composition the lowest counts, and of equal ones the first.

        Args:
            tolerance_ev_per_atom: How far above it still counts as on it.
        """
        above = self._energies - self.energies(self._fractions)
        lowest = _lowest(self._fractions, self._energies)
        return [index for index in lowest if above[index] <= tolerance_ev_per_atom]

    def _checked(self, fractions: ArrayLike) -> Array:
        point = np.asarray(fractions, dtype=np.float64)
        if point.shape != (self._n,) or not np.isfinite(point).all() or point.min() < 0 or abs(point.sum() - 1) > 1e-9:
            raise ValueError(f"a composition of {self._n} elements has as many fractions, which add up to 1: {point}")
        return point


def _lowest(fractions: Array, energies: Array) -> list[int]:
    """For each composition the phase of the lowest energy, the first of equal ones, in the order of the phases."""
    seen: dict[tuple[int, ...], int] = {}
    names = np.rint(fractions / SAME_COMPOSITION).astype(np.int64)
    for index, name in enumerate(map(tuple, names.tolist())):
        if name not in seen or energies[index] < energies[seen[name]]:
            seen[name] = index
    return sorted(seen.values())


def _facets(fractions: Array, energies: Array) -> _Facets:
    """The lower facets, each as the energies at the pure elements of the plane that it lies in."""
    n = fractions.shape[1]
    pure = np.array([energies[fractions[:, column] == 1.0].min() for column in range(n)])
    below = energies - fractions @ pure  # measured from the plane of the pure elements
    lowest = [index for index in _lowest(fractions, energies) if below[index] < -FLAT_EV_PER_ATOM]
    plane = pure[None, :]
    if n == 1 or not lowest:
        return _Facets(plane)
    scale = float(-below[lowest].min())
    points = np.vstack([np.eye(n), fractions[lowest]])[:, 1:]
    heights = np.concatenate([np.zeros(n), below[lowest] / scale])
    slopes = _binary(points[:, 0], heights) if n == 2 else _many(points, heights)
    return _Facets(np.asarray(slopes * scale + pure[None, :]))


def _binary(share: Array, heights: Array) -> Array:
    """Andrew's monotone chain (Inf. Process. Lett. 1979, 9, 216): heights of each edge's line at the two elements."""
    order = np.lexsort((heights, share))
    chain: list[int] = []
    for index in order.tolist():
        while len(chain) > 1 and _turn(share, heights, chain[-2], chain[-1], index) <= 0:
            chain.pop()
        chain.append(index)
    lines = []
    for left, right in itertools.pairwise(chain):
        slope = (heights[right] - heights[left]) / (share[right] - share[left])
        at_zero = heights[left] - slope * share[left]
        lines.append((at_zero, at_zero + slope))
    return np.array(lines)


def _turn(share: Array, heights: Array, a: int, b: int, c: int) -> float:
    """Positive if b lies below the line from a to c."""
    return float((share[b] - share[a]) * (heights[c] - heights[a]) - (heights[b] - heights[a]) * (share[c] - share[a]))


def _many(points: Array, heights: Array) -> Array:
    """The same for three elements and more, by Qhull. The pure elements are the first points, in order."""
    from scipy.spatial import ConvexHull

    # Qhull may join facets that are almost in one plane, and then none of the planes is exactly right; cut into
    # simplices (Qt), each has corners, through which its plane is laid anew.
    hull = ConvexHull(np.column_stack([points, heights]), qhull_options="Qt")
    lower = hull.simplices[hull.equations[:, -2] < -VERTICAL]
    corners = np.column_stack([1 - points.sum(axis=1), points])[lower]  # (facets, corners, elements)
    size = np.abs(np.linalg.det(corners))
    flat = size < SAME_COMPOSITION  # seen from above, it has no area: its neighbours say the same
    return np.asarray(np.linalg.solve(corners[~flat], heights[lower[~flat]][..., None])[..., 0])


def formation_energy(energy_ev: float, counts: Sequence[int], references_ev_per_atom: Sequence[float]) -> float:
    """Formation energy per atom from the elements in their references, in eV.

    Args:
        energy_ev: Of the whole cell.
        counts: Atoms of each element.
        references_ev_per_atom: Energy per atom of each element's reference, by the same method.
    """
    total = sum(counts)
    elements = sum(count * energy for count, energy in zip(counts, references_ev_per_atom, strict=True))
    return (energy_ev - elements) / total
