"""Candidates that are generated once, and handed out until all of them have been selected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from campaigns.components import Exhausted, Generator, Plan
from campaigns.crystals.candidate import Crystal
from campaigns.crystals.energies import crystal_of, pack, unpack
from campaigns.environment import Observation, View

EVERYWHERE = "*"
"""Name of the one cache, if there is not one for each composition."""


class CachedGenerator:
    """Generates once and keeps the candidates, for generators that are slow and planners that come back.

    What was selected already, evaluated or being evaluated, is not handed out again; equal candidates are kept once.
    When all of a composition's are selected, it gives none for that. When nothing is left that any composition of the
    environment could give, the campaign ends and says so.

    Args:
        base_generator: Makes the candidates.
        num_initial_candidates: How many to make: for each composition, or in all with a single cache.
        cache_by_composition: Whether each composition has candidates of its own, made when it is first planned. If
            false, they are made once, for the first plan, and every plan gets what is left of them.

    Raises:
        ValueError: If ``num_initial_candidates`` is less than 1.
    """

    def __init__(
        self,
        base_generator: Generator[Crystal],
        num_initial_candidates: int = 10,
        cache_by_composition: bool = True,
    ) -> None:
        if num_initial_candidates < 1:
            raise ValueError(f"num_initial_candidates: {num_initial_candidates} must be at least 1")
        self._base = base_generator
        self._number = num_initial_candidates
        self._by_composition = cache_by_composition
        self._kept: dict[str, list[Crystal]] = {}
        self._packed: dict[str, str] = {}

    def generate(self, plan: Plan, view: View[Crystal]) -> list[Crystal]:
        """All that is kept for the plan and was not selected.

        Raises:
            Exhausted: If nothing will ever be left for any plan.
        """
        selected = {one.candidate.key for one in view.observations} | {one.key for one in view.pending}
        found: dict[str, Crystal] = {}
        for name, smaller in self._parts(plan, view):
            if name not in self._kept:
                self._fill(name, smaller, view)
            found |= {one.key: one for one in self._kept[name] if one.key not in selected}
        if not found:
            self._look_for_the_end(selected, view)
        return list(found.values())

    def _parts(self, plan: Plan, view: View[Crystal]) -> list[tuple[str, Plan]]:
        if not self._by_composition:
            each = max(1, -(-self._number // max(1, len(plan.regions))))
            return [(EVERYWHERE, replace(plan, num_candidates=each))]
        if not plan.regions:
            return [(EVERYWHERE, replace(plan, num_candidates=self._number))]
        return [(region, replace(plan, regions=(region,), num_candidates=self._number)) for region in plan.regions]

    def _fill(self, name: str, plan: Plan, view: View[Crystal]) -> None:
        made = {one.key: one for one in self._base.generate(plan, view)}
        most = self._number if name == EVERYWHERE else len(made)
        self._keep(name, list(made.values())[:most])

    def _keep(self, name: str, crystals: list[Crystal]) -> None:
        self._kept[name] = crystals
        # Packed at once, as the state is asked for at each step.
        self._packed[name] = pack([[one.cell, one.species, one.positions] for one in crystals])

    def _look_for_the_end(self, selected: set[str], view: View[Crystal]) -> None:
        names = [EVERYWHERE] if EVERYWHERE in self._kept else getattr(view.environment, "compositions", ())
        if not names or not all(name in self._kept for name in names):
            return
        if all(one.key in selected for name in names for one in self._kept[name]):
            total = sum(len(self._kept[name]) for name in names)
            raise Exhausted(
                f"{type(self).__name__}: all {total} candidates that were generated have been selected: raise "
                "num_initial_candidates"
            )

    def observe(self, observation: Observation[Crystal]) -> None:
        """Tells the base generator, if it wants to know."""
        listen = getattr(self._base, "observe", None)
        if listen is not None:
            listen(observation)

    def get_state(self) -> dict[str, Any]:
        """All that is kept, packed, and the state of the base generator."""
        return {"kept": dict(self._packed), "base_generator": self._base.get_state()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `campaigns.stateful.Stateful`."""
        self._packed = dict(state["kept"])
        self._kept = {name: [crystal_of(one) for one in unpack(text)] for name, text in self._packed.items()}
        self._base.load_state(state["base_generator"])
