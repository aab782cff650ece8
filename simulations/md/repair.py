"""Adding to a user's structure what it lacks, as far as was asked for, with an account of every change.

PDBFixer (Eastman et al., https://github.com/openmm/pdbfixer) finds and builds heavy atoms. It is never let onto the
network: it would look up residues that it does not know.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import openmm as mm
from openmm import app, unit
from pdbfixer import PDBFixer

from simulations.errors import ToolError
from simulations.md.analysis import Array
from simulations.md.hydrogens import with_hydrogens
from simulations.md.models import MdRequest
from simulations.md.repairs import RepairReport
from simulations.md.structure import WATER_NAMES, Source, residue_name

CAPS = frozenset({"ACE", "NME", "NMA", "NH2", "FOR"})
BACKBONES = (frozenset({"N", "CA", "C"}), frozenset({"C1'", "C4'", "C3'"}))
"""Atoms that amino acids and nucleotides have, modified ones too."""
NAMED = 5


class _OfflineFixer(PDBFixer):  # type: ignore[misc]
    """A PDBFixer that knows nothing but what it comes with."""

    def _downloadCCDDefinition(self, residueName: str) -> None:  # noqa: N802, N803  (PDBFixer's names)
        return None


@dataclass(frozen=True)
class Repaired:
    """A structure with what was added.

    Attributes:
        topology: OpenMM Topology.
        positions: Coordinates in nm, shape (atoms, 3).
        report: What was done.
    """

    topology: Any
    positions: Array
    report: RepairReport


def repair(source: Source, request: MdRequest) -> Repaired:
    """Removes and adds what the request asks for.

    Args:
        source: A file that can be read; see `simulations.md.structure.parse`.
        request: The inputs.

    Raises:
        ToolError: ``MissingResidues`` if the chain has a gap that is not to be built, ``MissingAtoms`` if heavy atoms
            are missing that are not to be built, ``BadStructure`` if PDBFixer cannot do it.
    """
    try:
        fixer = _fixer(source)
        vectors = fixer.topology.getPeriodicBoxVectors()
        report = _replace(fixer, request, RepairReport())
        report = _remove(fixer, request, report)
        if request.repair != "none":
            report = _find_residues(fixer, request, source, report)
            report = _add_heavy_atoms(fixer, request, source, report)
    except ToolError:
        raise
    except Exception as error:  # PDBFixer raises whatever its search trips over
        raise _failed(source, error) from error
    fixer.topology.setPeriodicBoxVectors(vectors)  # PDBFixer forgets the angles of a cell
    positions = np.array(fixer.positions.value_in_unit(unit.nanometer), dtype=np.float64)
    if request.repair == "none" or request.ph is None:
        return Repaired(fixer.topology, positions, report)
    try:
        topology, positions = with_hydrogens(fixer.topology, positions, request.ph, source.key)
    except Exception as error:  # likewise
        raise _failed(source, error) from error
    return Repaired(topology, positions, _hydrogens(fixer.topology, topology, report))


def missing_heavy_atoms(source: Source) -> dict[str, list[str]]:
    """Heavy atoms that standard residues of a structure lack: atom names by residue, named as in the file.

    Raises:
        Exception: Whatever PDBFixer trips over.
    """
    fixer = _fixer(source)
    fixer.missingResidues = {}
    fixer.findMissingAtoms()
    return _missing(fixer)


def _fixer(source: Source) -> Any:
    text = io.StringIO(source.content.decode())
    reference = mm.Platform.getPlatformByName("Reference")
    if source.suffix == ".pdb":
        return _OfflineFixer(pdbfile=text, platform=reference)
    return _OfflineFixer(pdbxfile=text, platform=reference)


def _failed(source: Source, error: Exception) -> ToolError:
    return ToolError(
        f"structure {source.label!r} cannot be repaired: {type(error).__name__}: {error}",
        hint="open it in a molecular viewer; take out what is no standard residue, or repair it by hand and set repair "
        "none",
        kind="BadStructure",
    )


def _replace(fixer: Any, request: MdRequest, report: RepairReport) -> RepairReport:
    fixer.findNonstandardResidues()
    found = [(residue_name(residue), standard) for residue, standard in fixer.nonstandardResidues]
    if request.nonstandard == "keep":
        return replace(report, kept=tuple(f"{name}: kept, not replaced by {standard}" for name, standard in found))
    fixer.replaceNonstandardResidues()
    return replace(report, replaced=tuple(f"{name}: replaced by {standard}" for name, standard in found))


def is_heterogen(residue: Any) -> bool:
    """Whether a residue is no part of a protein or nucleic acid: a ligand, an ion or water."""
    names = {atom.name for atom in residue.atoms()}
    return residue.name not in CAPS and not any(backbone <= names for backbone in BACKBONES)


def _remove(fixer: Any, request: MdRequest, report: RepairReport) -> RepairReport:
    heterogens = [residue for residue in fixer.topology.residues() if is_heterogen(residue)]
    if request.heterogens == "keep":
        kept = [f"{residue_name(residue)}: kept" for residue in heterogens if residue.name not in WATER_NAMES]
        return replace(report, kept=(*report.kept, *kept))
    gone = [r for r in heterogens if request.heterogens == "remove" or r.name not in WATER_NAMES]
    if gone:
        modeller = app.Modeller(fixer.topology, fixer.positions)
        modeller.delete(gone)
        fixer.topology, fixer.positions = modeller.topology, modeller.positions
    lines = [f"{residue_name(residue)}: removed" for residue in gone if residue.name not in WATER_NAMES]
    waters = len(gone) - len(lines)
    return replace(report, removed=(*lines, *_of_water(waters, "removed")), n_removed=len(gone))


def _of_water(count: int, what: str) -> list[str]:
    """One line for all water, which nobody tells apart."""
    return [f"water: {what} ({count})"] if count else []


def _find_residues(fixer: Any, request: MdRequest, source: Source, report: RepairReport) -> RepairReport:
    fixer.findMissingResidues()
    chains = list(fixer.topology.chains())
    gaps, built, left_out = [], [], []
    n_built = n_left_out = 0
    for (chain_index, place), names in sorted(fixer.missingResidues.items()):
        residues = list(chains[chain_index].residues())
        inside = 0 < place < len(residues)
        line = f"{'-'.join(names)} {_between(residues, place)}"
        if inside and request.missing_residues == "refuse":
            gaps.append(line)
        elif inside or request.missing_residues == "all":
            built.append(f"{line}: built")
            n_built += len(names)
        else:
            left_out.append(f"{line}: not in the coordinates, left out")
            n_left_out += len(names)
            del fixer.missingResidues[chain_index, place]
    if gaps:
        raise ToolError(
            f"structure {source.label!r} has gaps: its sequence has {'; '.join(gaps[:NAMED])}"
            f"{f' and {len(gaps) - NAMED} more' if len(gaps) > NAMED else ''}, its coordinates have not",
            hint="set repair missing_atoms and missing_residues loops to have them built, which is a guess, or give a "
            "structure that has them",
            kind="MissingResidues",
            details={"gaps": len(gaps)},
        )
    return replace(report, built=tuple(built), left_out=tuple(left_out), n_built=n_built, n_left_out=n_left_out)


def _between(residues: list[Any], place: int) -> str:
    if place == 0:
        return f"before {residue_name(residues[0])}"
    if place == len(residues):
        return f"after {residue_name(residues[-1])}"
    return f"between {residue_name(residues[place - 1])} and {residue_name(residues[place])}"


def _missing(fixer: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for residue, atoms in sorted(fixer.missingAtoms.items(), key=lambda item: item[0].index):
        found[residue_name(residue)] = [atom.name for atom in atoms]
    for residue, names in sorted(fixer.missingTerminals.items(), key=lambda item: item[0].index):
        found.setdefault(residue_name(residue), []).extend(names)
    return found


def _add_heavy_atoms(fixer: Any, request: MdRequest, source: Source, report: RepairReport) -> RepairReport:
    fixer.findMissingAtoms()
    missing = _missing(fixer)
    if missing and request.repair == "hydrogens":
        raise missing_atoms_error(missing, source)
    if missing or fixer.missingResidues:
        # PDBFixer moves what it built by Langevin dynamics if it still clashes.
        seed = int.from_bytes(hashlib.sha256(source.key.encode()).digest()[:4], "big") % (2**31 - 1) + 1
        fixer.addMissingAtoms(seed=seed)
    lines = tuple(f"{name}: heavy atoms {', '.join(atoms)} added" for name, atoms in missing.items())
    return replace(report, heavy_atoms=lines, n_heavy_atoms=sum(map(len, missing.values())))


def missing_atoms_error(missing: dict[str, list[str]], source: Source) -> ToolError:
    """The error of a structure that lacks heavy atoms, which names them and the option that adds them."""
    named = "; ".join(f"{name}: {', '.join(atoms)}" for name, atoms in list(missing.items())[:NAMED])
    more = f" and {len(missing) - NAMED} residues more" if len(missing) > NAMED else ""
    return ToolError(
        f"structure {source.label!r} lacks heavy atoms of {named}{more}",
        hint="set repair missing_atoms to have them added, which the result then lists",
        kind="MissingAtoms",
        details={"residues": len(missing), "atoms": sum(map(len, missing.values()))},
    )


def _hydrogens(before: Any, after: Any, report: RepairReport) -> RepairReport:
    """Compares residue by residue: adding hydrogens changes no others."""
    lines, count, waters = [], 0, 0
    for old, new in zip(before.residues(), after.residues(), strict=True):
        had = Counter(atom.name for atom in old.atoms())
        added = list((Counter(atom.name for atom in new.atoms()) - had).elements())
        count += len(added)
        if added and new.name in WATER_NAMES:
            waters += 1
        elif added:
            lines.append(f"{residue_name(new)}: hydrogens {', '.join(added)} added")
    lines += _of_water(waters, "completed with hydrogens")
    return replace(report, hydrogens=tuple(lines), n_hydrogens=count)
