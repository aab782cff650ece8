"""Whether two crystals are the same structure, as pymatgen's StructureMatcher sees it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from campaigns.crystals.candidate import Crystal
from campaigns.crystals.extras import needed

MOST_KEPT = 4096
"""Reduced structures that are kept, the least recently used are forgotten first: about 5 kB each."""


class Matcher:
    """Compares crystals by pymatgen's StructureMatcher (S. P. Ong et al., Comput. Mater. Sci. 2013, 68, 314).

    Both are brought to the same volume per atom first. Reduced cells are kept, so that each is made once.

    Args:
        ltol: Tolerance of lengths, as a fraction.
        stol: Tolerance of sites, as a fraction of the mean distance between atoms, the cube root of volume per atom.
        angle_tol: Tolerance of angles in degrees.
        primitive_cell: Whether primitive cells are compared; else a supercell is another structure.

    Raises:
        MissingExtraError: If pymatgen is not installed.
        ValueError: If a tolerance is not positive.
    """

    def __init__(
        self, ltol: float = 0.2, stol: float = 0.3, angle_tol: float = 5.0, primitive_cell: bool = True
    ) -> None:
        for name, value in (("ltol", ltol), ("stol", stol), ("angle_tol", angle_tol)):
            if not value > 0:
                raise ValueError(f"{name} must be positive, not {value}")
        module = needed("pymatgen.analysis.structure_matcher", "materials", "comparing structures")
        self._primitive_cell = primitive_cell
        self._matcher = module.StructureMatcher(
            ltol=ltol, stol=stol, angle_tol=angle_tol, primitive_cell=primitive_cell, scale=True
        )
        self._reduced: OrderedDict[str, Any] = OrderedDict()

    def same(self, one: Crystal, other: Crystal) -> bool:
        """Whether they are the same structure."""
        if one.reduced_formula != other.reduced_formula:
            return False
        if one.key == other.key:
            return True
        first, second = self._reduce(one), self._reduce(other)
        if len(first) != len(second):
            return False
        return bool(self._matcher.fit(first, second, skip_structure_reduction=True))

    def rms(self, one: Crystal, other: Crystal) -> float | None:
        """Root mean square of the sites' displacements, as a fraction as `stol` is; None: they are not the same."""
        found = self._matcher.get_rms_dist(one.to_pymatgen(), other.to_pymatgen())
        return None if found is None else float(found[0])

    def _reduce(self, crystal: Crystal) -> Any:
        if crystal.key in self._reduced:
            self._reduced.move_to_end(crystal.key)
            return self._reduced[crystal.key]
        reduced = crystal.to_pymatgen().get_reduced_structure(reduction_algo="niggli")
        if self._primitive_cell:
            reduced = reduced.get_primitive_structure()
        self._reduced[crystal.key] = reduced
        if len(self._reduced) > MOST_KEPT:
            self._reduced.popitem(last=False)
        return reduced
