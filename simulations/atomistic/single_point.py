"""``single_point``: one evaluation of a structure as it is."""

from __future__ import annotations

from simulations.atomistic.calculators import make_engine
from simulations.atomistic.evaluation import cell_of, common, evaluate, max_norm, pressure_gpa, stress_gpa
from simulations.atomistic.extxyz import frame_bytes
from simulations.atomistic.models import SinglePointRequest
from simulations.atomistic.results import SinglePointResult
from simulations.atomistic.structures import build_atoms
from simulations.workspace import Workspace

STRUCTURE = ("structure", "structure.extxyz")


def run(request: SinglePointRequest, workspace: Workspace) -> SinglePointResult:
    """Computes energy, forces and stress.

    Args:
        request: Validated inputs.
        workspace: Where the artifact ``structure`` goes: the structure with its energy, forces and stress.

    Raises:
        ToolError: What `build_atoms`, `make_engine` and `evaluate` raise; ``DiskFull`` or ``DiskFailed``.
        Cancelled: If it was asked to stop for good.
    """
    atoms = build_atoms(request, workspace)
    engine = make_engine(request, atoms, workspace)
    atoms.calc = engine.calculator
    workspace.raise_if_cancelled()
    workspace.begin()
    found = evaluate(atoms, engine)
    info = {"method": engine.method}
    workspace.write(
        STRUCTURE[1],
        frame_bytes(atoms, info, energy_ev=found.energy_ev, forces=found.forces, stress=found.stress),
    )
    workspace.artifact(*STRUCTURE)
    workspace.reached(1.0)
    return SinglePointResult(
        **common(atoms, engine),
        energy_ev=found.energy_ev,
        energy_per_atom_ev=found.energy_ev / len(atoms),
        max_force_ev_per_angstrom=max_norm(found.forces),
        stress_gpa=stress_gpa(found.stress),
        pressure_gpa=pressure_gpa(found.stress),
        cell=cell_of(atoms),
        converged=True,
    )
