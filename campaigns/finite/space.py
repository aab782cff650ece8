"""Planner and generator over an environment that can list all its candidates."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar

import numpy as np

from campaigns.components import Exhausted, Plan
from campaigns.environment import Environment, View
from campaigns.errors import refuse
from campaigns.stateful import Stateless

C = TypeVar("C")


def candidates_of(environment: Environment[C]) -> Sequence[C]:
    """All candidates of an environment that has them as ``candidates``.

    Raises:
        NotAcceptable: If it has not.
    """
    found = getattr(environment, "candidates", None)
    if found is None:
        hint = "Use it with an environment that has: campaigns.molecules.MoleculeEnvironment, say"
        raise refuse("environment", f"{type(environment).__name__} has no list of all candidates", hint)
    return found  # type: ignore[no-any-return]


def region_of(environment: Environment[C], candidate: C) -> str:
    """A candidate as a region of a plan: its JSON in one line, the same for equal candidates."""
    return json.dumps(environment.to_json(candidate), sort_keys=True, ensure_ascii=False)


class SpacePlanner(Generic[C]):
    """Looks at candidates that were not evaluated and are not being evaluated. Each is a region of its own.

    Args:
        num_candidates: How many of them at a time; None: all.
        selection_strategy: Which, if not all: ``in_order``, or ``random``.
        seed: Of random choices.

    Raises:
        NotAcceptable: If an argument is none of those.
    """

    def __init__(
        self,
        num_candidates: int | None = None,
        selection_strategy: Literal["in_order", "random"] = "random",
        seed: int | None = None,
    ) -> None:
        if num_candidates is not None and (isinstance(num_candidates, bool) or num_candidates < 1):
            raise refuse("num_candidates", f"is {num_candidates!r}", "A whole number from 1, or null for all")
        if selection_strategy not in ("in_order", "random"):
            raise refuse("selection_strategy", f"is {selection_strategy!r}", "in_order or random")
        self._num = num_candidates
        self._strategy = selection_strategy
        self._random = np.random.default_rng(seed)

    def propose(self, view: View[C]) -> Plan:
        """What is left.

        Raises:
            Exhausted: If nothing is.
            NotAcceptable: If the environment cannot list its candidates.
        """
        every = candidates_of(view.environment)
        taken = {observation.candidate for observation in view.observations} | set(view.pending)
        left = [candidate for candidate in every if candidate not in taken]
        if not left:
            raise Exhausted(f"all {len(every)} candidates were evaluated, or are being")
        details = {"left": len(left)}
        if self._num is not None and self._num < len(left):
            if self._strategy == "random":
                chosen = sorted(self._random.choice(len(left), self._num, replace=False).tolist())
                left = [left[index] for index in chosen]
            else:
                left = left[: self._num]
        regions = tuple(region_of(view.environment, candidate) for candidate in left)
        return Plan(regions=regions, num_candidates=1, details=details)

    def get_state(self) -> dict[str, Any]:
        """Its random generator."""
        return {"random": dict(self._random.bit_generator.state)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on with that random generator."""
        self._random.bit_generator.state = dict(state["random"])


class SpaceGenerator(Stateless, Generic[C]):
    """Gives the candidates that a plan names; of a plan without regions all of the space."""

    def generate(self, plan: Plan, view: View[C]) -> list[C]:
        """The candidates, in the order of the plan.

        Raises:
            NotAcceptable: If the environment cannot list its candidates, or a region is none of them.
        """
        every = candidates_of(view.environment)
        if not plan.regions:
            return list(every)
        named = {region_of(view.environment, candidate): candidate for candidate in every}
        unknown = [region for region in plan.regions if region not in named]
        if unknown:
            hint = "Use a planner over the same space, such as campaigns.finite.SpacePlanner"
            raise refuse("planner", f"planned {unknown[0]}, which is no candidate of this environment", hint)
        return [named[region] for region in plan.regions]
