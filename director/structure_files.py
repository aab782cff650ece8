"""Structures among the files that Outcomes leave: which file holds it, and reading that as ASE's Atoms."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import read

from director.report.traces import is_inside

SUFFIXES = (".extxyz", ".xyz", ".pdb", ".cif")
PREFERRED = ("final_structure", "relaxed_structure", "structure")
STARTS = ("topology", "initial_structure")
"""Artifacts with a structure that is where a simulation began, not where it ended."""

MAX_BYTES = 256 * 1024 * 1024


class StructureError(ValueError):
    """A structure cannot be read; the text says why."""


def structure_artifact(artifacts: Mapping[str, str]) -> str | None:
    """Name of the artifact that holds the structure in which a simulation ended.

    Files are told by their suffix (``.extxyz``, ``.xyz``, ``.pdb``, ``.cif``). Of several, `PREFERRED` names come
    first, in that order, then others in order of the alphabet, and those of `STARTS` last.

    Args:
        artifacts: Of an Outcome.
    """
    names = [name for name, path in artifacts.items() if Path(path).suffix.lower() in SUFFIXES]
    return min(names, key=_rank, default=None)


def _rank(name: str) -> tuple[int, str]:
    if name in PREFERRED:
        return PREFERRED.index(name), name
    return len(PREFERRED) + (name in STARTS), name


def confined(folder: Path, path: str) -> Path:
    """The file of an artifact, if it may be read.

    Args:
        folder: The run folder.
        path: As the Outcome has it, relative to the run folder.

    Raises:
        StructureError: If it lies outside the run folder, also by a symbolic link, is not there, or is too large.
    """
    root = folder.resolve()
    file = (root / path).resolve() if is_inside(path) else Path()
    if not file.is_relative_to(root):
        raise StructureError(f"its path {path!r} leads out of the run folder, so it was not opened")
    if not file.is_file():
        raise StructureError(f"{path} is not there")
    if file.stat().st_size > MAX_BYTES:
        raise StructureError(f"{path} is larger than {MAX_BYTES // 1024**2} MiB")
    return file


def read_structure(file: Path) -> Atoms:
    """Reads a structure; of several the last one.

    PDB files and mmCIF files are read with OpenMM, as ``md`` writes them; virtual sites become ASE's dummy atoms (X).

    Args:
        file: Its format is told by its suffix; of ``.cif`` by its content.

    Returns:
        Positions and cell in Å, with energy, forces and stress in ASE's units where the file has them.

    Raises:
        StructureError: If it cannot be read, or has no atoms.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on what a file leaves out, such as occupancies
            atoms = _read(file)
    except Exception as error:  # readers raise what they like at a file that is damaged
        raise StructureError(f"{file.name} cannot be read: {type(error).__name__}: {error}") from error
    if not len(atoms) or not np.isfinite(atoms.positions).all():
        raise StructureError(f"{file.name} has {'positions that are no numbers' if len(atoms) else 'no atoms'}")
    return atoms


def _read(file: Path) -> Atoms:
    suffix = file.suffix.lower()
    if suffix == ".pdb":
        from openmm.app import PDBFile

        return _from_openmm(PDBFile(str(file)))
    if suffix == ".cif" and "\n_atom_site." in file.read_text():
        from openmm.app import PDBxFile

        return _from_openmm(PDBxFile(str(file)))
    found = read(file, index=-1, format="cif" if suffix == ".cif" else _xyz_format(file))
    if not isinstance(found, Atoms):
        raise StructureError(f"{file.name} holds {type(found).__name__}")
    return found


def _xyz_format(file: Path) -> str:
    """A comment of plain XYZ may be any text, which extended XYZ would take for values: a word ``energy`` for one."""
    with file.open() as stream:
        comment = "".join(islice(stream, 2)).partition("\n")[2]
    return "extxyz" if re.search(r"\b(Properties|Lattice)=", comment) else "xyz"


def _from_openmm(parsed: Any) -> Atoms:
    from openmm import unit

    frame = parsed.getNumFrames() - 1
    numbers = [atom.element.atomic_number if atom.element else 0 for atom in parsed.topology.atoms()]
    box = parsed.topology.getPeriodicBoxVectors()
    return Atoms(
        numbers=numbers,
        positions=parsed.getPositions(asNumpy=True, frame=frame).value_in_unit(unit.angstrom),
        cell=None if box is None else np.array(box.value_in_unit(unit.angstrom)),
        pbc=box is not None,
    )
