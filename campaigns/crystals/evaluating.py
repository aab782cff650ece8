"""Runs a Tool on crystals in this process: for references of elements, and for oracles that rank candidates."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from campaigns.crystals.candidate import Crystal
from simulations.atomistic import RELAX, SINGLE_POINT
from simulations.tool import AnyTool
from simulations.workspace import Resources, Workspace

TOOLS: Mapping[str, AnyTool] = {tool.name: tool for tool in (RELAX, SINGLE_POINT)}

RELAXATION: Mapping[str, Any] = {"relax_cell": "full", "optimizer": "fire", "fmax_ev_per_angstrom": 0.01}
"""Inputs of ``relax`` that are used where nothing else is given. ``fire`` comes to an end far from the minimum, too."""

PLACEHOLDER = "candidate.extxyz"

TAKEN = ("calculator", "structure", "molecule", "bulk", "smiles", "frame", "supercell")
"""Inputs that are said elsewhere, or follow from the candidate."""

METHOD_FIELDS = (
    "calculator",
    "lj_epsilon_ev",
    "lj_sigma_angstrom",
    "lj_cutoff_angstrom",
    "lj_smooth_from_angstrom",
    "charge",
    "multiplicity",
    "spin_polarized",
    "electronic_temperature_k",
    "scf_max_iterations",
    "model",
    "model_sha256",
    "precision",
)
"""Inputs that decide what energies mean. Energies of different methods are never compared."""


class ToolSettings:
    """A Tool that computes energies of crystals, and its inputs but for the structure.

    Args:
        tool: ``relax`` or ``single_point``.
        calculator: As the Tools name it.
        inputs: Further inputs of the Tool; for ``relax`` they come on top of `RELAXATION`.
        who: Component that is told of, should something be wrong.

    Raises:
        ValueError: If the Tool does not take these inputs; it says which and why.
    """

    def __init__(self, tool: str, calculator: str, inputs: Mapping[str, Any] | None, who: str) -> None:
        if tool not in TOOLS:
            raise ValueError(f"{who}: tool {tool!r} computes no energies of crystals: choose {' or '.join(TOOLS)}")
        given = dict(inputs or {})
        taken = [name for name in TAKEN if name in given]
        if taken:
            raise ValueError(f"{who}: inputs: {taken[0]} is not for inputs to say: leave it out")
        self._name = tool
        base = RELAXATION if tool == "relax" else {}
        try:
            request = self.tool.request(structure=PLACEHOLDER, calculator=calculator, **{**base, **given})
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "inputs"
            raise ValueError(f"{who}: {tool} does not take these inputs: {place}: {first['msg']}") from error
        dumped = request.model_dump(mode="json", exclude_none=True)
        dumped.pop("structure")
        self.inputs: dict[str, Any] = dumped
        """All inputs but ``structure``, with defaults filled in."""

    @property
    def tool(self) -> AnyTool:
        """The Tool."""
        return TOOLS[self._name]  # by its name, since settings travel to other processes, and Tools do not

    @property
    def calculator(self) -> str:
        """Name of the calculator."""
        return str(self.inputs["calculator"])

    @property
    def method(self) -> dict[str, Any]:
        """What decides what an energy means."""
        return {name: self.inputs[name] for name in METHOD_FIELDS if name in self.inputs}

    @property
    def relaxes(self) -> bool:
        """Whether an energy is of the relaxed structure, and not of that which was given."""
        return self.tool is RELAX


def evaluate_here(settings: ToolSettings, crystal: Crystal) -> dict[str, Any]:
    """Runs the Tool on one crystal, now and in this process; nothing is left on disk.

    Returns:
        The Tool's result as JSON has it.

    Raises:
        ToolError: What the Tool raises.
    """
    with tempfile.TemporaryDirectory(prefix="crystal-") as name:
        folder = Path(name)
        path = folder / PLACEHOLDER
        path.write_text(crystal.to_extxyz())
        workspace = Workspace(folder / "work", folder, Resources("here", "here/0"), inputs={"structure": path})
        request = settings.tool.request(structure=PLACEHOLDER, **settings.inputs)
        result: dict[str, Any] = settings.tool.run(request, workspace).model_dump(mode="json")
        return result


def relaxed_crystal(result: Mapping[str, Any]) -> Crystal | None:
    """The crystal that a result of ``relax`` ends with; None if it is too large to stand in a result."""
    geometry = result.get("structure")
    if geometry is None or geometry["cell_angstrom"] is None:
        return None
    from ase import Atoms

    return Crystal.from_ase(
        Atoms(geometry["symbols"], positions=geometry["positions_angstrom"], cell=geometry["cell_angstrom"], pbc=True)
    )
