"""The environment of crystals: a convex hull, and a Tool that computes energies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from campaigns.crystals.candidate import Crystal
from campaigns.crystals.checks import check_calculator, check_numbers, checked_elements
from campaigns.crystals.energies import Entry, ScoreFunction
from campaigns.crystals.evaluating import ToolSettings, relaxed_crystal
from campaigns.crystals.formulas import (
    counts_of,
    fractions,
    read_formula,
    reduced_formula,
)
from campaigns.crystals.hull import Hull, formation_energy
from campaigns.crystals.matching import Matcher
from campaigns.crystals.references import Reference, references_for
from campaigns.crystals.smact_rules import SmactRules
from campaigns.crystals.space import Space
from campaigns.environment import Observation, View
from simulations.atomistic.results import MOST_INLINE
from simulations.records import Outcome, Request, Status


class CrystalEnvironment:
    """Looks for stable crystals of some elements: those on the convex hull of formation energies.

    A success is a crystal whose energy converged, that is within ``stability_tolerance`` of the hull of all that is
    known, itself included, and is no structure that was known before. With ``relax``, hull and comparison take the
    relaxed structure; with ``single_point``, that which was proposed. An energy of one is never taken for the other.

    An evaluation that failed, or has not converged, has a status and no score.

    Args:
        elements: Symbols, such as ``[Cu, Au]``.
        tool: ``relax`` or ``single_point``.
        calculator: As the Tools name it: emt, lj, gfn1, gfn2, chgnet, mace.
        inputs: Further inputs of the Tool, such as ``{max_steps: 200}`` or what the calculator needs. ``relax`` relaxes
            the cell too and uses the optimizer fire, unless this says otherwise.
        max_stoichiometry: Most atoms in a candidate's cell.
        stability_tolerance: How far above the hull still counts as stable, in eV/atom.
        score_function: What a score is the negative of: ``e_above_hull`` (in eV/atom, when it was observed),
            ``formation_energy_per_atom`` or ``energy_per_atom``.
        references: Energies of the elements: ``shipped`` with md-director, ``computed`` by the Tool when the
            environment is made, or given in eV/atom by element.
        smact_validity: Whether only compositions that pass SMACT's rules belong to the space. Extra ``materials``.
        include_elements: Whether cells of one element alone belong to the space.
        ltol: Of the comparison with what is known: see `Matcher`.
        stol: Likewise.
        angle_tol: Likewise, in degrees.
        primitive_cell: Likewise.
        timeout_s: Longest time that an evaluation may run, in s; None: no limit.

    Attributes:
        elements: The elements, in the order given; fractions are in this order.
        compositions: Formulas of all cells that belong to the space, those of few atoms first.
        max_stoichiometry: Most atoms in a cell.
        goal: What is looked for.
        hull: The convex hull of all that is known.
        entries: All converged evaluations, in the order of the record.

    Raises:
        ValueError: If there is nothing that could be evaluated; it says why, and what to do.
    """

    def __init__(
        self,
        elements: Sequence[str],
        tool: Literal["relax", "single_point"] = "relax",
        calculator: str = "emt",
        inputs: Mapping[str, Any] | None = None,
        max_stoichiometry: int = 8,
        stability_tolerance: float = 0.001,
        score_function: ScoreFunction = "e_above_hull",
        references: Literal["shipped", "computed"] | Mapping[str, float] = "shipped",
        smact_validity: bool = False,
        include_elements: bool = False,
        ltol: float = 0.2,
        stol: float = 0.3,
        angle_tol: float = 5.0,
        primitive_cell: bool = True,
        timeout_s: float | None = None,
    ) -> None:
        self.elements = checked_elements(elements)
        check_numbers(max_stoichiometry, stability_tolerance, score_function, timeout_s)
        self.max_stoichiometry = max_stoichiometry
        self.stability_tolerance = stability_tolerance
        self.score_function = score_function
        self.include_elements = include_elements
        self.settings = ToolSettings(tool, calculator, inputs, type(self).__name__)
        if self.settings.relaxes and max_stoichiometry > MOST_INLINE:
            raise ValueError(f"max_stoichiometry: relaxed structures of more than {MOST_INLINE} atoms are not kept")
        check_calculator(self.elements, calculator)
        rules = SmactRules(f"{type(self).__name__}: smact_validity") if smact_validity else None
        self._space = Space(self.elements, max_stoichiometry, include_elements, rules)
        self.compositions = self._space.formulas
        self._references_source = references
        self.references: list[Reference] = references_for(self.elements, self.settings, references)
        self._matcher = Matcher(ltol, stol, angle_tol, primitive_cell)
        self._timeout_s = timeout_s
        self._fractions: dict[str, tuple[float, ...]] = {}
        self.goal = (
            f"stable crystals of {', '.join(self.elements)}: at most {stability_tolerance:g} eV/atom above the convex "
            f"hull, by {tool} with {calculator}"
        )
        self.hull = Hull(len(self.elements))
        self.entries: list[Entry] = []

    def check_region(self, region: str) -> str:
        """The formula of a cell as `compositions` writes it.

        Raises:
            ValueError: If it is none of them; it says why.
        """
        return self._space.check(region)

    # Evaluations

    def request(self, candidate: Crystal, name: str, folder: Path) -> Request:
        """The Request that evaluates a candidate; its structure is written as extended XYZ.

        Raises:
            ValueError: If the candidate is not of this space.
        """
        self.check_region(candidate.formula)
        path = folder / f"{name}.extxyz"
        path.write_text(candidate.to_extxyz())
        inputs = {"structure": path.name, **self.settings.inputs}
        return Request(id=name, tool=self.settings.tool.name, inputs=inputs, timeout_s=self._timeout_s)

    def observe(self, candidate: Crystal, outcome: Outcome) -> Observation[Crystal]:
        """Takes an Outcome into account: a converged energy becomes part of the hull."""
        result = dict(outcome.result or {})
        known = {
            "formula": candidate.formula,
            "reduced_formula": candidate.reduced_formula,
            "geometry": "relaxed" if self.settings.relaxes else "as proposed",
        }
        final, why_not = self._final(candidate, outcome.status, result)
        if final is None:
            details = {**known, "converged": False, "reason": why_not}
            return Observation.of(candidate, outcome, None, details=details)
        entry = self._entry(outcome.id, final, float(result["energy_ev"]))
        before = self.hull.above(entry.fractions, entry.formation_energy_ev_per_atom)
        same = self._same_as(final)
        self._add(entry)
        above = self.hull.above(entry.fractions, entry.formation_energy_ev_per_atom)
        details = {
            **known,
            "converged": True,
            "energy_per_atom_ev": entry.energy_ev_per_atom,
            "formation_energy_ev_per_atom": entry.formation_energy_ev_per_atom,
            "e_above_hull_ev_per_atom": above,
            "e_above_earlier_hull_ev_per_atom": before,
            "new": same is None,
            "same_as": same,
            "volume_per_atom_angstrom3": final.volume / len(final),
            "structure": final.to_json(),
        }
        success = above <= self.stability_tolerance and same is None
        score = 0.0 - entry.value(self.score_function, above)
        return Observation.of(candidate, outcome, score, success=success, details=details)

    def _final(self, candidate: Crystal, status: Status, result: Mapping[str, Any]) -> tuple[Crystal | None, str]:
        """The crystal that the energy belongs to; None, and why, if there is no energy that counts."""
        if status is not Status.OK:
            return None, f"the evaluation ended as {status.value}"
        if result.get("converged") is not True:
            return None, "the evaluation has not converged"
        energy = result.get("energy_ev")
        if not isinstance(energy, int | float) or not math.isfinite(energy):
            return None, "the result has no finite energy_ev"
        final = relaxed_crystal(result) if self.settings.relaxes else candidate
        if final is None:
            return None, "the result has no relaxed structure"
        if final.formula != candidate.formula:
            return None, f"the result is of {final.formula}, not of {candidate.formula}"
        return final, ""

    def _entry(self, name: str, crystal: Crystal, energy_ev: float) -> Entry:
        counts = counts_of(crystal.species)
        formation = formation_energy(
            energy_ev,
            [counts.get(symbol, 0) for symbol in self.elements],
            [reference.energy_ev_per_atom for reference in self.references],
        )
        return Entry(name, crystal, fractions(counts, self.elements), energy_ev / len(crystal), formation)

    def _add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.hull.add(entry.fractions, entry.formation_energy_ev_per_atom)

    def _same_as(self, crystal: Crystal) -> str | None:
        """Name of the first known structure that this is, if there is one."""
        for reference in self.references:
            if reference.crystal is not None and self._matcher.same(crystal, reference.crystal):
                return f"reference {reference.element}"
        found = (entry.name for entry in self.entries if self._matcher.same(crystal, entry.crystal))
        return next(found, None)

    # What components look at

    @cached_property
    def reference_fractions(self) -> tuple[tuple[float, ...], ...]:
        """The pure elements as points in composition space."""
        n = len(self.elements)
        return tuple(tuple(float(row == column) for column in range(n)) for row in range(n))

    def fractions_of(self, formula: str) -> tuple[float, ...]:
        """The composition of a formula, as a point: shares of `elements`."""
        if formula not in self._fractions:
            self._fractions[formula] = fractions(read_formula(formula), self.elements)
        return self._fractions[formula]

    def stable(self) -> list[str]:
        """Reduced formulas on the hull, elements first, then in the order in which they were found."""
        n = len(self.elements)
        names = [
            self.elements[index] if index < n else reduced_formula(self.entries[index - n].crystal.formula)
            for index in self.hull.stable()
        ]
        return list(dict.fromkeys(names))

    def summary(self) -> dict[str, Any]:
        """The hull in plain values, for components that tell a language model of it: energies in eV per atom."""
        n = len(self.elements)
        found: list[dict[str, Any]] = []
        for index in self.hull.stable():
            entry = None if index < n else self.entries[index - n]
            found.append(
                {
                    "composition": self.elements[index] if entry is None else reduced_formula(entry.crystal.formula),
                    "formation_energy_ev_per_atom": 0.0 if entry is None else entry.formation_energy_ev_per_atom,
                    "outcome": None if entry is None else entry.name,
                }
            )
        return {
            "elements": list(self.elements),
            "max_stoichiometry": self.max_stoichiometry,
            "stability_tolerance_ev_per_atom": self.stability_tolerance,
            "score_is_minus": self.score_function,
            "on_the_hull": found,
        }

    # State and JSON

    def get_state(self) -> dict[str, Any]:
        """References and entries; the hull is made of them anew."""
        return {
            "references": {reference.element: reference.to_json() for reference in self.references},
            "entries": [entry.packed for entry in self.entries],
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `campaigns.stateful.Stateful`."""
        self.references = [Reference.from_json(element, state["references"][element]) for element in self.elements]
        self.hull, self.entries = Hull(len(self.elements)), []
        for document in state["entries"]:
            self._add(Entry.unpack(document))

    def to_json(self, candidate: Crystal) -> dict[str, Any]:
        """See `campaigns.environment.Environment`."""
        return candidate.to_json()

    def from_json(self, document: Mapping[str, Any]) -> Crystal:
        """See `campaigns.environment.Environment`."""
        return Crystal.from_json(document)


def crystals_of(view: View[Crystal], who: str) -> CrystalEnvironment:
    """The environment of a view, for a component that works with crystals only.

    Raises:
        ValueError: If it is another one.
    """
    if not isinstance(view.environment, CrystalEnvironment):
        raise ValueError(f"{who} works with a CrystalEnvironment, not with {type(view.environment).__name__}")
    return view.environment
