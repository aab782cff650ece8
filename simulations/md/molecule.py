"""From the inputs to a topology with coordinates of all atoms of the solute, or of nothing where water is all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from openmm import app, unit

from simulations.errors import ToolError
from simulations.md.analysis import Array
from simulations.md.hydrogens import with_hydrogens
from simulations.md.models import MdRequest
from simulations.md.molecule_inputs import DEFAULT_PH
from simulations.md.peptide import CONFORMATIONS, heavy_atoms, residue_names, topology_of
from simulations.md.repairs import RepairReport
from simulations.md.structure import Source, parse, residue_name

LONGEST_PEPTIDE_BOND_NM = 0.25
"""It is 0.133 nm long; the ends of a gap of one residue are 0.35 nm apart at least."""


@dataclass(frozen=True)
class Molecule:
    """What goes into the solvent.

    Attributes:
        topology: OpenMM Topology, with the box of the file if it has one.
        positions: Coordinates in nm, shape (atoms, 3).
        repairs: What was changed in the user's structure; None if nothing was to be.
    """

    topology: Any
    positions: Array
    repairs: RepairReport | None = None


def find_molecule(request: MdRequest, source: Source) -> Molecule:
    """Reads and repairs the structure, or builds the sequence.

    Raises:
        ToolError: ``BadStructure``, ``MissingResidues`` or ``MissingAtoms``.
    """
    if request.water_box_nm is not None:
        return Molecule(app.Topology(), np.empty((0, 3)))
    if request.sequence is not None:
        return Molecule(*_peptide(request, source))
    molecule = _structure(request, source)
    _refuse_gaps(molecule, request, source)
    return molecule


def _peptide(request: MdRequest, source: Source) -> tuple[Any, Array]:
    names = residue_names(str(request.sequence), request.n_terminus, request.c_terminus)
    topology, positions = topology_of(names, heavy_atoms(names, *CONFORMATIONS[request.conformation]))
    return with_hydrogens(topology, positions, DEFAULT_PH if request.ph is None else request.ph, source.key)


def _structure(request: MdRequest, source: Source) -> Molecule:
    topology, positions = parse(source)  # also where it is read again, for its words on what cannot be read
    if request.repair == "none" and request.heterogens == "keep":
        return Molecule(topology, positions)
    # Most requests need none of it, and it takes a while to load.
    from simulations.md.repair import repair

    repaired = repair(source, request)
    if repaired.topology.getNumAtoms() == 0:
        raise ToolError(
            f"structure {source.label!r} has no atoms left when its heterogens are removed",
            hint="set heterogens keep or keep_water",
            kind="BadStructure",
        )
    return Molecule(repaired.topology, repaired.positions, repaired.report)


def _refuse_gaps(molecule: Molecule, request: MdRequest, source: Source) -> None:
    """Refuses chains whose residues are joined by a bond that spans a gap, as readers of PDB files make it.

    Raises:
        ToolError: ``MissingResidues``.
    """
    bonds = [
        (first, second) if first.name == "C" else (second, first)
        for first, second in molecule.topology.bonds()
        if first.residue is not second.residue and {first.name, second.name} == {"C", "N"}
    ]
    if not bonds:
        return
    ends = np.array([(first.index, second.index) for first, second in bonds])
    offsets = molecule.positions[ends[:, 1]] - molecule.positions[ends[:, 0]]
    vectors = molecule.topology.getPeriodicBoxVectors()
    if vectors is not None and request.solvent == "explicit":
        box = np.array(vectors.value_in_unit(unit.nanometer))
        offsets -= np.round(offsets @ np.linalg.inv(box)) @ box
    lengths = np.linalg.norm(offsets, axis=1)
    wide = [
        f"{residue_name(first.residue)} and {residue_name(second.residue)} ({length:.2f} nm)"
        for (first, second), length in zip(bonds, lengths, strict=True)
        if length > LONGEST_PEPTIDE_BOND_NM
    ]
    if wide:
        raise ToolError(
            f"structure {source.label!r} has gaps: no peptide bond can join {'; '.join(wide[:5])}"
            f"{f' and {len(wide) - 5} pairs more' if len(wide) > 5 else ''}",
            hint="residues are missing there: with a file that tells its sequence (SEQRES), set repair missing_atoms "
            "and missing_residues loops; or separate the pieces by TER; or make molecules whole that their box cuts",
            kind="MissingResidues",
            details={"gaps": len(wide)},
        )
