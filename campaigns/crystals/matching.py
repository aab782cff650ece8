"""Whether two crystals are the same structure, as pymatgen's StructureMatcher sees it."""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property
from typing import Any

from campaigns.crystals.candidate import Crystal
from campaigns.crystals.extras import needed
from campaigns.crystals.supercells import may_be_supercell

MOST_KEPT = 4096
"""Reduced structures that are kept, the least recently used are forgotten first: about 5 kB each."""

TOLERANCE_ANGSTROM = 0.25
"""By how much, along each cell vector, atoms may be away from where a translation puts them: pymatgen's default."""

TRANSLATION_ANGSTROM = 3 * TOLERANCE_ANGSTROM + 1e-6
"""That, along three vectors in whatever directions, is less than this."""


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
        self._kept: OrderedDict[str, _Reduced] = OrderedDict()

    def same(self, one: Crystal, other: Crystal) -> bool:
        """Whether they are the same structure."""
        if one.reduced_formula != other.reduced_formula:
            return False
        if one.key == other.key:
            return True
        first, second = self._reduced_of(one), self._reduced_of(other)
        if first.size != second.size:
            return False
        return bool(self._matcher.fit(first.structure, second.structure, skip_structure_reduction=True))

    def rms(self, one: Crystal, other: Crystal) -> float | None:
        """Root mean square of the sites' displacements, as a fraction as `stol` is; None: they are not the same."""
        found = self._matcher.get_rms_dist(one.to_pymatgen(), other.to_pymatgen())
        return None if found is None else float(found[0])

    def _reduced_of(self, crystal: Crystal) -> _Reduced:
        if crystal.key in self._kept:
            self._kept.move_to_end(crystal.key)
            return self._kept[crystal.key]
        reduced = _Reduced(crystal, self._primitive_cell)
        self._kept[crystal.key] = reduced
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return reduced


class _Reduced:
    """A crystal, and its reduced cell as soon as it is asked for: often its size alone tells two crystals apart.

    Args:
        crystal: The crystal.
        primitive_cell: Whether the reduced cell is the primitive one.
    """

    def __init__(self, crystal: Crystal, primitive_cell: bool) -> None:
        self._crystal = crystal
        self._smaller = primitive_cell and may_be_supercell(crystal, TRANSLATION_ANGSTROM)

    @property
    def size(self) -> int:
        """How many atoms the reduced cell has."""
        return len(self.structure) if self._smaller else len(self._crystal)

    @cached_property
    def structure(self) -> Any:
        """The reduced cell, pymatgen's Structure."""
        reduced = self._crystal.to_pymatgen().get_reduced_structure(reduction_algo="niggli")
        return reduced.get_primitive_structure(TOLERANCE_ANGSTROM) if self._smaller else reduced
