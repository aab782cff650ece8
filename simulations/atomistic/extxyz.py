"""Structures as extended XYZ, which ASE, OVITO and others read."""

from __future__ import annotations

import io
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.typing import NDArray


def frame_bytes(
    atoms: Atoms,
    info: dict[str, Any],
    *,
    energy_ev: float,
    forces: NDArray[np.float64] | None = None,
    stress: NDArray[np.float64] | None = None,
    momenta: bool = False,
) -> bytes:
    """One structure.

    Args:
        atoms: Positions in Å and cell; they are not changed.
        info: Numbers and words for its comment line, by name.
        energy_ev: Potential energy in eV.
        forces: In eV/Å, shape (atoms, 3), if they are to be written.
        stress: In eV/Å³, Voigt order, if it is to be written.
        momenta: Whether momenta are written, in ASE's unit.
    """
    frame = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    if atoms.has("masses"):
        frame.set_masses(atoms.get_masses())
    if momenta:
        frame.set_momenta(atoms.get_momenta())
    frame.set_constraint([constraint for constraint in atoms.constraints if type(constraint).__name__ == "FixAtoms"])
    frame.info.update(info)
    results = {"energy": energy_ev, "forces": forces, "stress": stress}
    frame.calc = SinglePointCalculator(frame, **{name: value for name, value in results.items() if value is not None})
    stream = io.StringIO()
    ase.io.write(stream, frame, format="extxyz")
    return stream.getvalue().encode()
