"""Where the atoms come from; and from a PDB or mmCIF file to a topology, or a plain word on why not."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from openmm import app, unit

from simulations.errors import ToolError
from simulations.md.analysis import Array
from simulations.md.models import MdRequest
from simulations.md.molecule_inputs import SHIPPED

STRUCTURES = Path(__file__).parent.parent / "structures"
PDB_SUFFIXES = (".pdb", ".ent")
CIF_SUFFIXES = (".cif", ".mmcif", ".pdbx")
PDB_MOST_ATOMS = 99_999
PDB_LEAST_NM = -99.9
PDB_MOST_NM = 999.9
WATER_NAMES = frozenset({"HOH", "WAT", "H2O", "SOL", "TIP", "TIP3", "TIP4", "SPC", "DOD"})


@dataclass(frozen=True)
class Source:
    """What decides which atoms there are.

    Attributes:
        label: How messages name it.
        suffix: ``.pdb`` or ``.cif``, lower case; what is built from inputs alone has a word without a point.
        content: The file, or those inputs.
    """

    label: str
    suffix: str
    content: bytes

    @property
    def key(self) -> str:
        """Hash that names format and content completely."""
        return hashlib.sha256(self.suffix.encode() + b"\0" + self.content).hexdigest()


def source_of(request: MdRequest, inputs: Mapping[str, Path]) -> Source:
    """The request's structure, sequence or water box.

    Raises:
        ToolError: As of `find_source`.
    """
    if request.structure is not None:
        return find_source(request.structure, inputs)
    kind = "water" if request.sequence is None else "sequence"
    said = request.model_dump_json(include={"sequence", "conformation", "n_terminus", "c_terminus", "water_box_nm"})
    return Source(request.source_name, kind, said.encode())


def find_source(structure: str, inputs: Mapping[str, Path]) -> Source:
    """Reads the user's file, or the shipped structure of that name.

    Args:
        structure: The request's field.
        inputs: Paths of the user's files, by field.

    Raises:
        ToolError: ``BadStructure`` if there is neither, or the file's suffix tells no format.
    """
    path = inputs.get("structure")
    if path is None:
        if structure not in SHIPPED:
            raise ToolError(
                f"structure {structure!r} is no shipped structure, and no file came with the request",
                hint=f"give the path of a PDB or mmCIF file, or one of: {', '.join(SHIPPED)}",
                kind="BadStructure",
            )
        path = STRUCTURES / f"{structure}.pdb"
    suffix = path.suffix.lower()
    if suffix not in PDB_SUFFIXES + CIF_SUFFIXES:
        raise ToolError(
            f"structure {structure!r} ends in {suffix or 'no suffix'}, which tells no format",
            hint=f"name it {', '.join(PDB_SUFFIXES)} (PDB) or {', '.join(CIF_SUFFIXES)} (mmCIF)",
            kind="BadStructure",
        )
    return Source(structure, ".pdb" if suffix in PDB_SUFFIXES else ".cif", path.read_bytes())


def parse(source: Source) -> tuple[Any, Array]:
    """Reads the first model.

    Returns:
        The OpenMM Topology and the coordinates in nm, shape (atoms, 3).

    Raises:
        ToolError: ``BadStructure`` if it cannot be read, has no atoms or has coordinates that are no numbers.
    """
    reader = app.PDBFile if source.suffix == ".pdb" else app.PDBxFile
    kind = "PDB" if source.suffix == ".pdb" else "mmCIF"
    try:
        parsed = reader(io.StringIO(source.content.decode()))
        positions = np.array(parsed.getPositions(asNumpy=True).value_in_unit(unit.nanometer), dtype=np.float64)
    except Exception as error:  # OpenMM's readers raise whatever their parsing trips over
        raise ToolError(
            f"structure {source.label!r} is no readable {kind} file: {type(error).__name__}: {error}",
            hint="open it in a molecular viewer; its suffix must match its format",
            kind="BadStructure",
        ) from error
    if parsed.topology.getNumAtoms() == 0 or len(positions) == 0:
        raise ToolError(
            f"structure {source.label!r} has no atoms that can be read as {kind}",
            hint="it needs ATOM or HETATM records, or an _atom_site table; its suffix must match its format",
            kind="BadStructure",
        )
    if len(positions) != parsed.topology.getNumAtoms() or not np.isfinite(positions).all():
        raise ToolError(
            f"structure {source.label!r} has atoms without finite coordinates",
            hint="write the file again from the program that made it",
            kind="BadStructure",
        )
    return parsed.topology, positions


def residue_name(residue: Any) -> str:
    """Names a residue as people look for it in a file: ``LIG 42 (chain B)``."""
    return f"{residue.name} {residue.id}{residue.insertionCode.strip()} (chain {residue.chain.id})"


def is_solvent(residue: Any) -> bool:
    """Whether a residue is water or a single-atom ion, and so no part of the solute."""
    atoms = [atom for atom in residue.atoms() if atom.element is not None]
    return residue.name in WATER_NAMES or len(atoms) <= 1


def fitting_suffix(positions: Array) -> str:
    """``.pdb`` if coordinates in nm, shape (atoms, 3), fit into the columns of a PDB file, else ``.cif``.

    PDB numbers atoms in five digits and has eight columns for a coordinate in Å. Molecules are not wrapped into the
    box, so in a long run some may diffuse beyond -100 nm.
    """
    fits = len(positions) <= PDB_MOST_ATOMS and positions.min() > PDB_LEAST_NM and positions.max() < PDB_MOST_NM
    return ".pdb" if fits else ".cif"


def structure_text(topology: Any, positions: Array, box: Array | None, suffix: str) -> bytes:
    """Writes coordinates in nm as PDB or mmCIF, with residue numbers and chains as they were read.

    Args:
        topology: OpenMM Topology; it is not changed.
        positions: Shape (atoms, 3), in nm.
        box: Box vectors in nm, shape (3, 3), or None.
        suffix: ``.pdb`` or ``.cif``.
    """
    boxed = app.Topology()
    boxed.__dict__.update(topology.__dict__)  # the cached topology is shared, so the box goes on a shallow copy
    boxed.setPeriodicBoxVectors(None if box is None else box * unit.nanometer)
    stream = io.StringIO()
    writer = app.PDBFile if suffix == ".pdb" else app.PDBxFile
    writer.writeFile(boxed, positions * unit.nanometer, stream, keepIds=True)
    return stream.getvalue().encode()
