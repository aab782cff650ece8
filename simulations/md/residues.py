"""Why a force field does not fit a structure, in words that lead on."""

from __future__ import annotations

from typing import Any

from simulations.errors import ToolError
from simulations.md.forcefields import FORCE_FIELDS
from simulations.md.models import MdRequest
from simulations.md.structure import WATER_NAMES, Source

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
            hint="mend the structure with a tool such as PDBFixer, or choose another force_field",
            kind="BadStructure",
        )
    more = f" and {len(unmatched) - SHOWN} more" if len(unmatched) > SHOWN else ""
    named = ", ".join(residue_name(residue) for residue in unmatched[:SHOWN]) + more
    return ToolError(
        f"{request.force_field} with solvent {request.solvent} has no parameters for {named} of structure "
        f"{source.label!r}: {_reason(unmatched, error)}",
        hint=f"{_remedy(unmatched, topology, request)} The md tool repairs nothing by itself. Force fields: "
        + ", ".join(FORCE_FIELDS),
        kind="UnknownResidue",
        details={"residue": residue_name(unmatched[0]), "unknown_residues": len(unmatched)},
    )


def residue_name(residue: Any) -> str:
    """Names a residue as people look for it in a file: ``LIG 42 (chain B)``."""
    return f"{residue.name} {residue.id}{residue.insertionCode.strip()} (chain {residue.chain.id})"


def _has_hydrogen(residues: Any) -> bool:
    return any(
        atom.element is not None and atom.element.symbol == "H" for residue in residues for atom in residue.atoms()
    )


def _reason(unmatched: list[Any], error: Exception) -> str:
    if not _has_hydrogen(unmatched):
        return "no hydrogens in it" if len(unmatched) == 1 else "no hydrogens in them"
    # OpenMM counts residues from one through all chains, which nobody can find in the file: drop that part.
    _, found, told = str(error).partition(").")
    return told.strip() if found else str(error)


def _remedy(unmatched: list[Any], topology: Any, request: MdRequest) -> str:
    if request.solvent != "explicit" and all(residue.name in WATER_NAMES for residue in unmatched):
        return f"Remove the water, which solvent {request.solvent} does not have, or use solvent explicit."
    if not _has_hydrogen(topology.residues()):
        return "Add hydrogens at your pH, for example with PDBFixer or openmm.app.Modeller.addHydrogens."
    return (
        "Add missing hydrogens, atoms and chain ends (for example with PDBFixer), rename residues to the force field's "
        "names, or remove ligands and modified residues, which no shipped force field knows."
    )
