"""One ``ionization_energy`` request from SMILES to result."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from numpy.typing import NDArray

from simulations.checkpoints import Checkpoint
from simulations.errors import Paused, ToolError
from simulations.ionization.bonds import changed_bonds
from simulations.ionization.models import METHOD, IonizationRequest, IonizationResult
from simulations.ionization.molecule import FirstGeometry, Molecule, first_geometries, read_molecule
from simulations.ionization.xtb import Progress, Relaxed, decode, energy_ev, extended_xyz, load, relax
from simulations.workspace import Workspace

GEOMETRY = ("relaxed_structure", "relaxed.xyz")


def run(request: IonizationRequest, workspace: Workspace) -> IonizationResult:
    """Reads, embeds and relaxes a molecule, and takes the energies of it and of its cation at that geometry.

    Args:
        request: Validated inputs.
        workspace: Where it writes.

    Returns:
        The result; the geometry is the artifact ``relaxed_structure``.

    Raises:
        ToolError: What `read_molecule`, `first_geometries` and `relax` raise; ``Rearranged``, ``DiskFull`` or
            ``DiskFailed``.
        Cancelled: If it was asked to stop for good.
        Paused: If it was asked to pause.
        Superseded: If a later attempt has the folder.
    """
    molecule = read_molecule(request.smiles, request.max_atoms)
    load(workspace.resources.threads)
    if workspace.pause_asked():
        raise Paused("it was asked to pause before it began")
    start = _start(request, molecule, workspace)
    relaxed = relax(molecule.numbers, start, request, workspace)
    positions = relaxed.progress.positions
    workspace.raise_if_cancelled()
    neutral_ev = energy_ev(molecule.numbers, positions, charge=0)
    geometry = extended_xyz(molecule.numbers, positions, neutral_ev, smiles=molecule.smiles, method="GFN2-xTB")
    workspace.write(GEOMETRY[1], geometry)
    workspace.artifact(*GEOMETRY)
    _check_bonds(molecule, positions)
    workspace.raise_if_cancelled()
    cation_ev = energy_ev(molecule.numbers, positions, charge=1)
    return _result(request, molecule, relaxed, neutral_ev, cation_ev)


def _start(request: IonizationRequest, molecule: Molecule, workspace: Workspace) -> Progress:
    checkpoint: Checkpoint | None = None
    for checkpoint in workspace.load():
        saved = decode(checkpoint, request, len(molecule.numbers))
        if saved is not None:
            workspace.adopt(checkpoint)
            workspace.begin(checkpoint, exact=False)
            return saved
        workspace.note(f"checkpoint {checkpoint.number} of attempt {checkpoint.epoch} was passed over: not of use here")
    found = first_geometries(molecule, request)
    first = found[0] if len(found) == 1 else _lowest(molecule, found, workspace)
    workspace.begin()
    return Progress(first.positions, steps=0, resumed=0, conformers=len(found), force_field_converged=first.converged)


def _lowest(molecule: Molecule, found: Sequence[FirstGeometry], workspace: Workspace) -> FirstGeometry:
    energies_ev = []
    for one in found:
        if workspace.pause_asked():
            raise Paused("it was asked to pause before it began")
        energies_ev.append(energy_ev(molecule.numbers, one.positions, charge=0))
    return found[int(np.argmin(energies_ev))]


def _check_bonds(molecule: Molecule, positions: NDArray[np.float64]) -> None:
    broken, formed = changed_bonds(molecule.bonds, positions, covalent_radii[list(molecule.numbers)])
    if not broken and not formed:
        return

    def named(pairs: Sequence[tuple[int, int]]) -> str:
        return (
            ", ".join("-".join(f"{chemical_symbols[molecule.numbers[i]]}{i}" for i in pair) for pair in pairs) or "none"
        )

    raise ToolError(
        f"{molecule.smiles} became another molecule when it was relaxed: bonds broken: {named(broken)}; "
        f"bonds formed: {named(formed)}",
        hint="it is in the artifact relaxed_structure; zwitterions for example are no minimum in vacuum: give the "
        "molecule that it became, or begin elsewhere with another seed",
        kind="Rearranged",
        details={"broken": len(broken), "formed": len(formed)},
    )


def _result(
    request: IonizationRequest, molecule: Molecule, relaxed: Relaxed, neutral_ev: float, cation_ev: float
) -> IonizationResult:
    return IonizationResult(
        ionization_energy_ev=cation_ev - neutral_ev,
        smiles=molecule.smiles,
        method=METHOD,
        converged=True,
        neutral_energy_ev=neutral_ev,
        cation_energy_ev=cation_ev,
        neutral_multiplicity=1,
        cation_multiplicity=2,
        formula=molecule.formula,
        n_atoms=len(molecule.numbers),
        relaxation_steps=relaxed.progress.steps,
        max_force_ev_per_angstrom=relaxed.max_force_ev_per_angstrom,
        conformers=relaxed.progress.conformers,
        force_field=request.force_field,
        force_field_converged=relaxed.progress.force_field_converged,
        unspecified_stereo=molecule.unspecified_stereo,
        resumed=relaxed.progress.resumed,
    )
