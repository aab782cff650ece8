"""Crystals, environments and Outcomes for tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from campaigns import Observation, View
from campaigns.crystals import Crystal, CrystalEnvironment
from simulations.errors import ToolError
from simulations.records import ErrorInfo, Outcome, Request, Status
from simulations.tool import find_tools
from simulations.workspace import Resources, Workspace

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def cube(formula_species: Sequence[str], a: float = 4.0, shift: float = 0.0) -> Crystal:
    """Up to four atoms on the sites of an fcc cube."""
    sites = ((0.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))
    moved = tuple((x + shift, y + shift, z + shift) for x, y, z in sites[: len(formula_species)])
    return Crystal(((a, 0, 0), (0, a, 0), (0, 0, a)), tuple(formula_species), moved)


AUCU3 = cube(["Au", "Cu", "Cu", "Cu"], 3.75)
AU3CU = cube(["Cu", "Au", "Au", "Au"], 3.95)


def outcome(name: str, status: Status = Status.OK, result: dict[str, Any] | None = None, why: str = "") -> Outcome:
    """An Outcome of that result."""
    error = None if status is Status.OK else ErrorInfo(type="NotConverged", message=why or "it has not", hint="none")
    return Outcome(
        id=name, key="0", tool="relax", tool_version="2", status=status, inputs={}, result=result, error=error,
        director=0, partition=[], submitted_at=WHEN, finished_at=WHEN,
    )  # fmt: skip


def relaxed(crystal: Crystal, energy_per_atom_ev: float, converged: bool = True) -> dict[str, Any]:
    """What ``relax`` would say of a crystal that is relaxed as it is."""
    atoms = crystal.to_ase()
    return {
        "converged": converged,
        "energy_ev": energy_per_atom_ev * len(crystal),
        "energy_per_atom_ev": energy_per_atom_ev,
        "structure": {
            "symbols": list(crystal.species),
            "positions_angstrom": atoms.positions.tolist(),
            "cell_angstrom": atoms.cell.array.tolist(),
        },
    }


def given(environment: CrystalEnvironment, crystal: Crystal, formation_ev: float, name: str) -> Observation[Crystal]:
    """An observation of a crystal with that formation energy per atom."""
    energies = [reference.energy_ev_per_atom for reference in environment.references]
    fractions = environment.fractions_of(crystal.formula)
    elements = sum(share * energy for share, energy in zip(fractions, energies, strict=True))
    return environment.observe(crystal, outcome(name, result=relaxed(crystal, formation_ev + elements)))


def failed(environment: CrystalEnvironment, crystal: Crystal, name: str) -> Observation[Crystal]:
    """An observation of a crystal whose evaluation failed."""
    return environment.observe(crystal, outcome(name, Status.FAILED))


def view(
    environment: CrystalEnvironment,
    observations: Sequence[Observation[Crystal]] = (),
    pending: Sequence[Crystal] = (),
) -> View[Crystal]:
    """What components see."""
    return View(environment, list(observations), list(pending), 10)


def run(request: Request, folder: Path) -> Outcome:
    """Runs a Request's Tool in this process."""
    tool = find_tools()[request.tool]
    workspace = Workspace(
        folder / "work" / request.id,
        folder,
        Resources("here", "here/0"),
        inputs={"structure": folder / request.inputs["structure"]},
    )
    try:
        result = tool.run(tool.request(**request.inputs), workspace).model_dump(mode="json")
    except ToolError as error:
        return outcome(request.id, Status.FAILED, why=error.message)
    return outcome(request.id, result=result)
