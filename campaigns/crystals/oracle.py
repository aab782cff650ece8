"""An oracle: a Tool that says what energy a crystal has, for those who rank candidates by it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from campaigns.crystals.candidate import Crystal
from campaigns.crystals.evaluating import ToolSettings, evaluate_here
from campaigns.crystals.formulas import counts_of
from campaigns.crystals.hull import formation_energy
from campaigns.crystals.references import references_for
from campaigns.stateful import Stateless
from simulations.errors import ToolError


@dataclass(frozen=True)
class Verdict:
    """What an oracle says of a crystal.

    Attributes:
        energy_ev_per_atom: Its energy; None if it could not be computed, or has not converged.
        reason: Why there is none; empty: there is.
    """

    energy_ev_per_atom: float | None
    reason: str = ""


class ToolOracle(Stateless):
    """Runs a Tool on candidates, where the campaign decides.

    What it costs is not part of the campaign's budget, but stands in the record. Let it be a cheap method beside that
    of the environment: ``single_point`` beside ``relax``, or EMT beside CHGNet.

    Args:
        tool: ``relax`` or ``single_point``. With ``relax``, an energy is of the relaxed structure.
        calculator: As the Tools name it.
        inputs: Further inputs of the Tool.
        references: Energies of the elements by this method: ``shipped``, ``computed``, or given in eV/atom by element.
        processes: How many candidates are computed at the same time. 1: one after another, in this process.

    Raises:
        ValueError: If the Tool does not take these inputs.
    """

    def __init__(
        self,
        tool: Literal["relax", "single_point"] = "single_point",
        calculator: str = "emt",
        inputs: Mapping[str, Any] | None = None,
        references: Literal["shipped", "computed"] | Mapping[str, float] = "shipped",
        processes: int = 1,
    ) -> None:
        if processes < 1:
            raise ValueError(f"processes: {processes} must be at least 1")
        self.settings = ToolSettings(tool, calculator, inputs, type(self).__name__)
        self._source = references
        self._processes = processes
        self._references: dict[tuple[str, ...], list[float]] = {}

    def evaluate(self, crystals: Sequence[Crystal]) -> list[Verdict]:
        """What the Tool says of each; equal ones are computed once."""
        different = {crystal.key: crystal for crystal in crystals}
        if self._processes > 1 and len(different) > 1:
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(min(self._processes, len(different)), mp_context=context) as pool:
                found = list(pool.map(_verdict, [self.settings] * len(different), different.values()))
        else:
            found = [_verdict(self.settings, crystal) for crystal in different.values()]
        verdicts = dict(zip(different, found, strict=True))
        return [verdicts[crystal.key] for crystal in crystals]

    def formation_energy(self, crystal: Crystal, energy_ev_per_atom: float, elements: Sequence[str]) -> float:
        """Formation energy per atom in eV, from references of this oracle's own method.

        Raises:
            ValueError: If there is no reference for an element.
        """
        name = tuple(elements)
        if name not in self._references:
            found = references_for(elements, self.settings, self._source)
            self._references[name] = [reference.energy_ev_per_atom for reference in found]
        counts = counts_of(crystal.species)
        total = energy_ev_per_atom * len(crystal)
        return formation_energy(total, [counts.get(symbol, 0) for symbol in elements], self._references[name])


def _verdict(settings: ToolSettings, crystal: Crystal) -> Verdict:
    try:
        result = evaluate_here(settings, crystal)
    except ToolError as error:
        return Verdict(None, f"{error.kind}: {error.message}")
    if result.get("converged") is not True:
        return Verdict(None, "NotConverged: the result says so")
    return Verdict(float(result["energy_per_atom_ev"]))
