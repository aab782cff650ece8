"""Why a force field does not fit a structure, in words that lead on."""

from __future__ import annotations

from typing import Any

from simulations.errors import ToolError
from simulations.md.forcefields import FORCE_FIELDS
from simulations.md.models import MdRequest
from simulations.md.structure import WATER_NAMES, Source, residue_name

SHOWN = 5
FORMULA_ORDER = "CHNOPS"


def parametrisation_error(
    error: Exception, force_field: Any, topology: Any, request: MdRequest, source: Source
) -> ToolError:
    """Explains what OpenMM said when it could not parametrise a topology.

    Args:
        error: What OpenMM raised.
        force_field: The `openmm.app.ForceField` that was used.
        topology: The topology it was used on.
        request: For the names of the fields that might be changed.
        source: For the structure's name.

    Returns:
        ``UnknownResidue``, naming the residues that no template fits, if there are any; else ``BadStructure``.
    """
    try:
        unmatched = force_field.getUnmatchedResidues(topology)
    except Exception:  # it fails as createSystem did where several templates fit one residue
        unmatched = []
    if not unmatched:
        return ToolError(
            f"structure {source.label!r} cannot be parametrised with {request.force_field}: {error}",
            hint="mend the structure (see the input repair), or choose another force_field",
            kind="BadStructure",
        )
    more = f" and {len(unmatched) - SHOWN} more" if len(unmatched) > SHOWN else ""
    named = ", ".join(residue_name(residue) for residue in unmatched[:SHOWN]) + more
    lacking = _lacking(unmatched, source)
    return ToolError(
        f"{request.force_field} with solvent {request.solvent} has no parameters for {named} of structure "
        f"{source.label!r}: {_reason(unmatched, error, lacking)}",
        hint=_remedy(unmatched, topology, request, lacking)
        + " The md tool repairs nothing unless it is asked to. Force fields: "
        + ", ".join(FORCE_FIELDS),
        kind="UnknownResidue",
        details={"residue": residue_name(unmatched[0]), "unknown_residues": len(unmatched)},
    )


def _has_hydrogen(residues: Any) -> bool:
    return any(
        atom.element is not None and atom.element.symbol == "H" for residue in residues for atom in residue.atoms()
    )


def _lacking(unmatched: list[Any], source: Source) -> list[str]:
    """Heavy atoms that these residues lack, by residue."""
    if not source.suffix.startswith("."):
        return []
    # Only where something is wrong is it worth its time to load.
    from simulations.md.repair import missing_heavy_atoms

    try:
        missing = missing_heavy_atoms(source)
    except Exception:  # what is wrong is told without it too
        return []
    names = [residue_name(residue) for residue in unmatched]
    return [f"{name} lacks {', '.join(missing[name])}" for name in names if name in missing]


def _reason(unmatched: list[Any], error: Exception, lacking: list[str]) -> str:
    if lacking:
        return "; ".join(lacking[:SHOWN])
    if not _has_hydrogen(unmatched):
        return "no hydrogens in it" if len(unmatched) == 1 else "no hydrogens in them"
    # OpenMM counts residues from one through all chains, which nobody can find in the file: drop that part.
    _, found, told = str(error).partition(").")
    return told.strip() if found else str(error)


def _remedy(unmatched: list[Any], topology: Any, request: MdRequest, lacking: list[str]) -> str:
    if request.solvent != "explicit" and all(residue.name in WATER_NAMES for residue in unmatched):
        return (
            f"Remove the water, which solvent {request.solvent} does not have (heterogens remove), or use solvent "
            "explicit."
        )
    if lacking:
        return "Add missing heavy atoms and hydrogens with repair missing_atoms, and your ph."
    if not _has_hydrogen(topology.residues()):
        return "Add hydrogens with repair hydrogens, and your ph."
    return (
        "Add missing hydrogens, atoms and chain ends (repair missing_atoms), rename residues to the force field's "
        "names, remove ligands (heterogens remove) or replace modified residues (nonstandard replace): no shipped "
        "force field knows them."
    )
