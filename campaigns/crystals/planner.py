"""A planner over all compositions of some elements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from campaigns.components import Exhausted, Plan
from campaigns.crystals.candidate import Crystal
from campaigns.crystals.energies import SCORE_FUNCTIONS, ScoreFunction
from campaigns.crystals.environment import CrystalEnvironment, crystals_of
from campaigns.crystals.formulas import read_formula, reduced_formula
from campaigns.crystals.smact_rules import SmactRules
from campaigns.crystals.statistics import Statistics, count
from campaigns.crystals.strategies import SelectionStrategy, make_strategy
from campaigns.environment import View


class GridSearchPlanner:
    """Enumerates all compositions of the environment's elements, and chooses some by a strategy at each step.

    What is being evaluated counts as an attempt. The pipeline and its parameters are those of MADE (arXiv:2601.20996).

    Args:
        max_stoichiometry: Most atoms in a cell; None: the environment's. More than that is refused.
        num_compositions: How many compositions a plan has.
        num_candidates: How many candidates to generate for each of them.
        seed: Of what is left to chance.
        selection_strategy: ``random``, ``ucb``, ``unexplored``, ``iterative``, ``diversity``, or one's own.
        selection_strategy_kwargs: Parameters of a strategy that is named.
        score_function: By what compositions are compared, with ``ucb_reward: best_score``: ``energy_per_atom``,
            ``formation_energy_per_atom`` or ``e_above_hull``.
        filter_by_smact_validity: Whether only compositions that pass SMACT's rules are enumerated. Extra ``materials``.
        return_all_compositions: Whether every plan has all compositions, whatever the strategy says; goes with
            `CachedGenerator`.

    Raises:
        ValueError: If a parameter is none, or the strategy does not take its parameters.
    """

    def __init__(
        self,
        max_stoichiometry: int | None = None,
        num_compositions: int = 8,
        num_candidates: int = 1,
        seed: int | None = None,
        selection_strategy: str | SelectionStrategy = "random",
        selection_strategy_kwargs: Mapping[str, Any] | None = None,
        score_function: ScoreFunction = "e_above_hull",
        filter_by_smact_validity: bool = False,
        return_all_compositions: bool = False,
    ) -> None:
        numbers = {
            "max_stoichiometry": max_stoichiometry,
            "num_compositions": num_compositions,
            "num_candidates": num_candidates,
        }
        for name, value in numbers.items():
            if value is not None and value < 1:
                raise ValueError(f"{name}: {value} must be at least 1")
        if score_function not in SCORE_FUNCTIONS:
            raise ValueError(f"score_function: {score_function!r} is none of {', '.join(SCORE_FUNCTIONS)}")
        if isinstance(selection_strategy, str):
            self.name = selection_strategy
            self._strategy = make_strategy(selection_strategy, dict(selection_strategy_kwargs or {}))
        elif selection_strategy_kwargs:
            raise ValueError("selection_strategy_kwargs belong to a strategy that is named; this one was made already")
        else:
            self.name = type(selection_strategy).__name__
            self._strategy = selection_strategy
        self._max_stoichiometry = max_stoichiometry
        self._num_compositions = num_compositions
        self._num_candidates = num_candidates
        self._random = np.random.default_rng(seed)
        self._score_function = score_function
        self._rules = (
            SmactRules(f"{type(self).__name__}: filter_by_smact_validity") if filter_by_smact_validity else None
        )
        self._all = return_all_compositions
        self._grid: _Grid | None = None

    def propose(self, view: View[Crystal]) -> Plan:
        """See `campaigns.components.Planner`.

        Raises:
            Exhausted: If the strategy has ruled out all compositions.
            ValueError: If there is no composition.
        """
        environment = crystals_of(view, type(self).__name__)
        grid = self._grid_of(environment)
        if self._all:
            details = {"strategy": "all", "compositions": len(grid.formulas)}
            return Plan(tuple(grid.formulas), self._num_candidates, details=details)
        known = grid.count(view, environment, self._score_function)
        chosen = self._strategy.select(known, self._num_compositions, self._random)
        if not chosen:
            raise Exhausted(f"strategy {self.name} chose none of {len(grid.formulas)} compositions")
        details = {
            "strategy": self.name,
            "compositions": len(grid.formulas),
            "never_tried": int((known.attempts == 0).sum()),
            "attempts": [int(known.attempts[place]) for place in chosen],
            "successes": [int(known.successes[place]) for place in chosen],
        }
        return Plan(tuple(grid.formulas[place] for place in chosen), self._num_candidates, details=details)

    def _grid_of(self, environment: CrystalEnvironment) -> _Grid:
        if self._grid is None or self._grid.environment is not environment:
            self._grid = _Grid(environment, self._formulas(environment))
        return self._grid

    def _formulas(self, environment: CrystalEnvironment) -> list[str]:
        most = environment.max_stoichiometry if self._max_stoichiometry is None else self._max_stoichiometry
        if most > environment.max_stoichiometry:
            raise ValueError(
                f"{type(self).__name__}: max_stoichiometry {most} is more than the environment's "
                f"{environment.max_stoichiometry}, which would refuse what comes of it"
            )
        found = [
            formula
            for formula in environment.compositions
            if sum(read_formula(formula).values()) <= most and (self._rules is None or self._rules.passes(formula))
        ]
        if not found:
            smact = " that pass SMACT's rules" if self._rules else ""
            further = ", or leave filter_by_smact_validity out" if smact else ""
            raise ValueError(
                f"{type(self).__name__}: there are no compositions of {', '.join(environment.elements)} with at most "
                f"{most} atoms{smact}: raise max_stoichiometry{further}"
            )
        return found

    def get_state(self) -> dict[str, Any]:
        """Random numbers and the strategy's state; what is known is in the view."""
        return {"random": dict(self._random.bit_generator.state), "strategy": self._strategy.get_state()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `campaigns.stateful.Stateful`."""
        self._random.bit_generator.state = dict(state["random"])
        self._strategy.load_state(state["strategy"])


class _Grid:
    """The compositions of one environment, as arrays."""

    def __init__(self, environment: CrystalEnvironment, formulas: list[str]) -> None:
        self.environment = environment
        self.formulas = formulas
        self._index = {formula: place for place, formula in enumerate(formulas)}
        self._fractions: NDArray[np.float64] = np.array([environment.fractions_of(formula) for formula in formulas])
        numbers: dict[str, int] = {}
        self._reduced: NDArray[np.int64] = np.array(
            [numbers.setdefault(reduced_formula(formula), len(numbers)) for formula in formulas], dtype=np.int64
        )

    def count(self, view: View[Crystal], environment: CrystalEnvironment, score_function: str) -> Statistics:
        """What a view says of them."""
        return count(self.formulas, self._index, self._fractions, self._reduced, view, environment, score_function)
