"""Holding atoms near their places by harmonic potentials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import openmm as mm

from simulations.errors import ToolError
from simulations.md.start import Start

BACKBONE = ("N", "CA", "C", "O")


def restrained_atoms(start: Start, selection: str) -> list[int]:
    """Indices of the atoms of a selection, ``heavy``, ``backbone`` or ``calpha``, all of them of the solute.

    Backbone and C-alpha atoms are those of residues that have N, CA and C, so that a calcium ion is none.

    Raises:
        ToolError: ``BadStructure`` if there are none.
    """
    prepared = start.prepared
    if selection == "heavy":
        found = [int(index) for index in prepared.heavy]
    else:
        names = ("CA",) if selection == "calpha" else BACKBONE
        found = [
            atom.index
            for residue in prepared.topology.residues()
            if {"N", "CA", "C"} <= {atom.name for atom in residue.atoms()}
            for atom in residue.atoms()
            if atom.name in names
        ]
    if not found:
        raise ToolError(
            f"restraint {selection} holds nothing: the structure has no such atoms",
            hint="leave restraint out, or choose heavy",
            kind="BadStructure",
        )
    return found


def restraint_force(start: Start, selection: str, kj_mol_nm2: float) -> Any:
    """An OpenMM force with k/2 r² for each atom of a selection, r its distance from its place at the start.

    In a periodic box it is the distance to the nearest copy of that place.

    Raises:
        ToolError: ``BadStructure`` if the selection is empty.
    """
    atoms: Sequence[int] = restrained_atoms(start, selection)
    square = "(x-x0)^2+(y-y0)^2+(z-z0)^2" if start.prepared.box is None else "periodicdistance(x,y,z,x0,y0,z0)^2"
    force = mm.CustomExternalForce(f"0.5*restraint_k*({square})")
    force.addGlobalParameter("restraint_k", kj_mol_nm2)
    for name in ("x0", "y0", "z0"):
        force.addPerParticleParameter(name)
    for index in atoms:
        force.addParticle(index, [float(value) for value in start.positions[index]])
    return force
