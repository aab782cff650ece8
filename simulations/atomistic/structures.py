"""From a request to atoms, or a plain word on why not."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import ase.build
import ase.io
import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms
from ase.neighborlist import neighbor_list

from simulations.atomistic.inputs import MAX_ATOMS, AtomisticInputs
from simulations.atomistic.smiles import molecule_from_smiles
from simulations.errors import ToolError
from simulations.workspace import Workspace

FORMATS = {
    ".cif": "cif",
    ".xyz": "extxyz",
    ".extxyz": "extxyz",
    ".vasp": "vasp",
    ".poscar": "vasp",
    ".contcar": "vasp",
    "": "vasp",
}
"""ASE's name of the format for each suffix. Plain XYZ is read by the reader of extended XYZ, too."""

CLOSEST_ANGSTROM = 0.1
"""No two nuclei are so close: such a structure has an atom twice."""


def build_atoms(request: AtomisticInputs, workspace: Workspace) -> Atoms:
    """Reads or builds the structure that a request names.

    Args:
        request: Validated inputs.
        workspace: ``inputs["structure"]`` is the user's file, if it was one.

    Returns:
        Atoms without a calculator: symbols, positions in Å, cell, periodicity, masses, momenta if the file has them,
        and which atoms are fixed.

    Raises:
        ToolError: ``BadStructure``, ``StructureTooLarge``, or what `molecule_from_smiles` raises.
    """
    unit = _unit(request, workspace)
    n_atoms = len(unit) * int(np.prod(request.supercell or [1]))
    most = MAX_ATOMS[request.calculator]
    if n_atoms > most:
        raise ToolError(
            f"the structure has {n_atoms} atoms; calculator {request.calculator} is offered for at most {most}",
            hint="make the supercell smaller, or choose a calculator that is made for so many atoms",
            kind="StructureTooLarge",
            details={"n_atoms": n_atoms, "max_atoms": most},
        )
    atoms = _repeated(unit, request)
    check_distances(atoms, _label(request))
    return atoms


def _label(request: AtomisticInputs) -> str:
    return f"structure {request.structure or request.molecule or request.bulk or request.smiles!r}"


def _unit(request: AtomisticInputs, workspace: Workspace) -> Atoms:
    if request.molecule is not None:
        return ase.build.molecule(request.molecule)
    if request.smiles is not None:
        return molecule_from_smiles(request.smiles, request.conformer_seed or 1, request.charge)
    if request.bulk is not None:
        return _crystal(request)
    return read_structure(request, workspace)


def _crystal(request: AtomisticInputs) -> Atoms:
    name = request.bulk or ""
    try:
        atoms = ase.build.bulk(
            name,
            request.crystal_structure,
            a=request.a_angstrom,
            c=request.c_angstrom,
            cubic=bool(request.cubic),
        )
    except (ValueError, RuntimeError, KeyError) as error:
        raise ToolError(
            f"bulk {name!r} cannot be built: {str(error).strip() or type(error).__name__}",
            hint="give crystal_structure and a_angstrom; leave out cubic if the crystal has no cubic cell",
            kind="BadStructure",
        ) from error
    # ASE adds reference magnetic moments, which none of the calculators here reads.
    return _plain(atoms)


def read_structure(request: AtomisticInputs, workspace: Workspace) -> Atoms:
    """Reads the user's file in the format that its suffix tells.

    Raises:
        ToolError: ``BadStructure``.
    """
    label = _label(request)
    path = workspace.inputs.get("structure")
    if path is None:
        raise ToolError(f"{label}: no file came with the request", hint="give the path of a file", kind="BadStructure")
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        known = ", ".join(item for item in FORMATS if item)
        raise ToolError(
            f"{label} ends in {suffix}, which tells no format that is read here",
            hint=f"name it {known}; a file without a suffix is read as POSCAR",
            kind="BadStructure",
        )
    frames = _frames(path, FORMATS[suffix], label)
    if request.frame is None and len(frames) > 1:
        raise ToolError(
            f"{label} holds {len(frames)} structures, and which of them is meant is not said",
            hint="give frame: 0 is the first, -1 the last",
            kind="BadStructure",
            details={"structures": len(frames)},
        )
    index = request.frame or 0
    if not -len(frames) <= index < len(frames):
        raise ToolError(
            f"{label} has no frame {index}: it holds {len(frames)}",
            hint="0 is the first, -1 the last",
            kind="BadStructure",
            details={"structures": len(frames)},
        )
    _refuse_disorder(frames[index], label)
    return _plain(frames[index], label)


def _frames(path: Path, form: str, label: str) -> list[Atoms]:
    kind = {"cif": "CIF", "extxyz": "XYZ", "vasp": "POSCAR"}[form]
    try:
        text = path.read_bytes().decode()
        # The format is always named: ASE's guess would also consider formats that are unpickled or evaluated.
        frames = ase.io.read(io.StringIO(text), index=":", format=form)
    except Exception as error:  # noqa: BLE001, RUF100  (ASE's readers raise whatever their parsing trips over)
        raise ToolError(
            f"{label} is no readable {kind} file: {type(error).__name__}: {error}",
            hint="open it with `ase gui` or another viewer; its suffix must match its format",
            kind="BadStructure",
        ) from error
    if not frames or not all(len(frame) for frame in frames):
        raise ToolError(
            f"{label} has no atoms that can be read as {kind}",
            hint="its suffix must match its format",
            kind="BadStructure",
        )
    return list(frames)


def _refuse_disorder(atoms: Atoms, label: str) -> None:
    """ASE keeps only the most frequent element of a site that is partly occupied: that would be another crystal."""
    for site, parts in (atoms.info.get("occupancy") or {}).items():
        if len(parts) > 1 or any(abs(part - 1) > 1e-3 for part in parts.values()):
            said = ", ".join(f"{symbol} {part:g}" for symbol, part in parts.items())
            raise ToolError(
                f"{label} is disordered: site {site} is occupied by {said}",
                hint="give an ordered structure, such as a supercell in which each site is occupied or not",
                kind="BadStructure",
            )


def _plain(atoms: Atoms, label: str = "the structure") -> Atoms:
    """The atoms without whatever else a file may bring: energies of other programs, magnetic moments, tags."""
    if (atoms.numbers == 0).any():
        raise ToolError(f"{label} has atoms of no element (X)", hint="remove or name them", kind="BadStructure")
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise ToolError(
            f"{label} has coordinates that are no finite numbers", hint="write it again", kind="BadStructure"
        )
    if atoms.pbc.any() and atoms.cell.rank < int(atoms.pbc.sum()):
        raise ToolError(
            f"{label} is periodic along a cell vector that has no length",
            hint="give the cell, or set its pbc to F along that vector",
            kind="BadStructure",
        )
    plain = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    if atoms.has("masses"):
        plain.set_masses(atoms.get_masses())
    plain.set_constraint(_fixed(atoms, label))
    if atoms.has("momenta"):
        plain.set_momenta(atoms.get_momenta())  # what is fixed does not move
    return plain


def _fixed(atoms: Atoms, label: str) -> list[Any]:
    for constraint in atoms.constraints:
        if not isinstance(constraint, FixAtoms):
            raise ToolError(
                f"{label} fixes single coordinates of atoms ({type(constraint).__name__}); whole atoms only can be",
                hint="fix all three coordinates of an atom, or none",
                kind="BadStructure",
            )
    fixed = sorted({int(index) for constraint in atoms.constraints for index in constraint.index})
    return [FixAtoms(indices=fixed)] if fixed else []


def _repeated(unit: Atoms, request: AtomisticInputs) -> Atoms:
    counts = request.supercell or [1, 1, 1]
    for count, vector in zip(counts, unit.cell.array, strict=True):
        if count > 1 and not vector.any():
            raise ToolError(
                f"supercell {counts} repeats {_label(request)} along a cell vector that has no length",
                hint="a molecule in vacuum has no cell: leave supercell out, or give a file with a cell",
                kind="BadStructure",
            )
    return unit if counts == [1, 1, 1] else unit.repeat(counts)


def check_distances(atoms: Atoms, label: str) -> None:
    """Refuses a structure in which two nuclei, or a nucleus and its periodic copy, are at the same place.

    Raises:
        ToolError: ``BadStructure``.
    """
    first, second, distance = neighbor_list("ijd", atoms, CLOSEST_ANGSTROM)
    if len(first):
        worst = int(np.argmin(distance))
        raise ToolError(
            f"{label}: atoms {first[worst]} and {second[worst]} (counted from 0) are {distance[worst]:.3f} Å apart",
            hint="remove what is there twice; check cell and units (Å)",
            kind="BadStructure",
        )


def n_fixed(atoms: Atoms) -> int:
    """How many atoms are fixed."""
    return sum(len(constraint.index) for constraint in atoms.constraints if isinstance(constraint, FixAtoms))
