"""A crystal as a candidate: cell, species and fractional positions."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from campaigns.crystals.formulas import counts_of, reduced, write_formula
from simulations.atomistic.names import ELEMENTS

Vector: TypeAlias = tuple[float, float, float]

_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True)
class Crystal:
    """A unit cell with atoms, periodic in all directions.

    Two crystals are equal if they are written down the same way; whether they are the same structure, `Matcher` says.

    Attributes:
        cell: Three cell vectors in Å.
        species: Symbol of each atom's element.
        positions: Fractional coordinates of each atom, from 0 to below 1.
    """

    cell: tuple[Vector, Vector, Vector]
    species: tuple[str, ...]
    positions: tuple[Vector, ...]

    def __post_init__(self) -> None:
        """Checks and tidies what was given.

        Raises:
            ValueError: If it is no crystal.
        """
        cell = tuple(_vector(row, "a cell vector") for row in self.cell)
        positions = tuple(
            (_wrap(x), _wrap(y), _wrap(z)) for x, y, z in (_vector(row, "a position") for row in self.positions)
        )
        if len(cell) != 3:
            raise ValueError(f"a crystal has three cell vectors, not {len(cell)}")
        if not self.species or len(self.species) != len(positions):
            raise ValueError(f"a crystal needs one position for each atom: {len(self.species)} and {len(positions)}")
        strange = sorted(set(self.species) - ELEMENTS)
        if strange:
            raise ValueError(f"{', '.join(map(repr, strange))}: no chemical element")
        object.__setattr__(self, "cell", cell)
        object.__setattr__(self, "species", tuple(self.species))
        object.__setattr__(self, "positions", positions)
        if self.volume < 1e-6:
            raise ValueError("the cell vectors of a crystal must not lie in a plane: its volume is 0")

    @cached_property
    def formula(self) -> str:
        """Formula of the cell by Hill's convention, such as ``Au2Cu2``."""
        return write_formula(counts_of(self.species))

    @cached_property
    def reduced_formula(self) -> str:
        """Formula of the composition, such as ``AuCu``."""
        return write_formula(reduced(counts_of(self.species)))

    @cached_property
    def key(self) -> str:
        """Names this geometry: 64 hexadecimal digits, SHA-256 of cell, species and positions as they are."""
        return hashlib.sha256(_canonical([self.cell, self.species, self.positions]).encode()).hexdigest()

    @cached_property
    def volume(self) -> float:
        """Volume of the cell in Å³."""
        (ax, ay, az), (bx, by, bz), (cx, cy, cz) = self.cell
        return abs(ax * (by * cz - bz * cy) - ay * (bx * cz - bz * cx) + az * (bx * cy - by * cx))

    def __len__(self) -> int:
        """The number of atoms in the cell."""
        return len(self.species)

    # To and from others

    def to_json(self) -> dict[str, Any]:
        """The crystal as JSON has it, with its formulas for readers."""
        return {
            "formula": self.formula,
            "reduced_formula": self.reduced_formula,
            "cell_angstrom": [list(row) for row in self.cell],
            "species": list(self.species),
            "fractional_positions": [list(row) for row in self.positions],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Crystal:
        """The crystal of such a document.

        Raises:
            ValueError: If it is no such document, or its formulas are not those of its atoms.
        """
        try:
            cell, species, positions = (document[name] for name in ("cell_angstrom", "species", "fractional_positions"))
            crystal = cls(tuple(map(tuple, cell)), tuple(species), tuple(map(tuple, positions)))  # type: ignore[arg-type]
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is no crystal: {type(error).__name__}: {error}") from error
        for name in ("formula", "reduced_formula"):
            if document.get(name, getattr(crystal, name)) != getattr(crystal, name):
                raise ValueError(f"{name} says {document[name]}, but the atoms are {getattr(crystal, name)}")
        return crystal

    @classmethod
    def from_ase(cls, atoms: Any) -> Crystal:
        """The crystal that ASE's Atoms are.

        Raises:
            ValueError: If they are not periodic in all directions.
        """
        if not all(atoms.pbc) or atoms.cell.rank < 3:
            raise ValueError("these atoms are not periodic in all three directions: they are no crystal")
        return cls(
            tuple(map(tuple, atoms.cell.array.tolist())),  # type: ignore[arg-type]
            tuple(atoms.get_chemical_symbols()),
            tuple(map(tuple, atoms.get_scaled_positions(wrap=True).tolist())),
        )

    def to_ase(self) -> Any:
        """ASE's Atoms."""
        from ase import Atoms

        return Atoms(list(self.species), scaled_positions=self.positions, cell=self.cell, pbc=True)

    @classmethod
    def from_pymatgen(cls, structure: Any) -> Crystal:
        """The crystal that pymatgen's Structure is.

        Raises:
            ValueError: If it is disordered.
        """
        if not structure.is_ordered:
            raise ValueError("this structure has sites that are partly occupied: give an ordered one")
        return cls(
            tuple(map(tuple, structure.lattice.matrix.tolist())),  # type: ignore[arg-type]
            tuple(str(getattr(site.specie, "element", site.specie).symbol) for site in structure),
            tuple(map(tuple, structure.frac_coords.tolist())),
        )

    def to_pymatgen(self) -> Any:
        """Pymatgen's Structure. Needs the extra ``materials``."""
        from campaigns.crystals.extras import needed

        structure = needed("pymatgen.core", "materials", "Crystal.to_pymatgen").Structure
        return structure([list(row) for row in self.cell], list(self.species), [list(row) for row in self.positions])

    def to_extxyz(self) -> str:
        """Extended XYZ with as many digits as the numbers have: equal crystals give equal files."""
        lattice = " ".join(repr(value) for row in self.cell for value in row)
        lines = [str(len(self)), f'Lattice="{lattice}" Properties=species:S:1:pos:R:3 pbc="T T T"']
        for symbol, (a, b, c) in zip(self.species, self.positions, strict=True):
            place = (a * x + b * y + c * z for x, y, z in zip(*self.cell, strict=True))
            lines.append(f"{symbol} {' '.join(repr(value) for value in place)}")
        return "\n".join(lines) + "\n"


def _vector(row: Sequence[float], what: str) -> Vector:
    values = tuple(float(value) for value in row)
    if len(values) != 3 or not all(math.isfinite(value) for value in values):
        raise ValueError(f"{what} must be three finite numbers, not {list(row)}")
    return values[0], values[1], values[2]


def _wrap(value: float) -> float:
    wrapped = value % 1.0
    return 0.0 if wrapped >= 1.0 else wrapped + 0.0  # -1e-17 % 1 is 1; -0.0 is written otherwise than 0.0
