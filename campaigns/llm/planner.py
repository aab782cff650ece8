"""A planner that asks a language model where to look next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from campaigns.components import Plan
from campaigns.environment import View
from campaigns.language import LanguageModel, ToolFace
from campaigns.llm.access import LanguageAccess
from campaigns.llm.asking import Asking
from campaigns.llm.decide import Unusable
from campaigns.llm.prompts import context_config as read_context
from campaigns.llm.prompts import opening
from campaigns.llm.regions import region_check

C = TypeVar("C")

TOOL = "propose_compositions"


class LLMPlanner(Generic[C]):
    """Asks a language model for the next compositions, given what is known.

    What it proposes is checked: formulas must be of the environment's elements, with at most ``max_stoichiometry``
    atoms, each once, and no more than ``num_compositions``. What is not goes back to the model with the reason, at most
    ``max_corrections`` times, and is then an error: nothing is put in its place.

    Args:
        max_stoichiometry: Most atoms in a formula; None: what the environment says.
        num_compositions: Most compositions to propose at once.
        num_candidates: How many candidates to generate for each of them.
        llm_config: Fields of `campaigns.llm.LanguageSettings`: model, temperature, max_output_tokens, cache …
        context_config: What the model is told: objective_prompt, include_structure_info, include_composition_counter,
            include_recent_trial, previous_observations.
        max_corrections: How often a proposal goes back to the model.
        language: The environment's endpoint and key; given by the campaign.

    Raises:
        ValueError: If a setting is not acceptable, or no language model is configured.
    """

    def __init__(
        self,
        max_stoichiometry: int | None = None,
        num_compositions: int = 5,
        num_candidates: int = 10,
        llm_config: Mapping[str, Any] | None = None,
        context_config: Mapping[str, Any] | None = None,
        max_corrections: int = 3,
        language: LanguageAccess | LanguageModel | None = None,
    ) -> None:
        sizes = {
            "max_stoichiometry": max_stoichiometry,
            "num_compositions": num_compositions,
            "num_candidates": num_candidates,
        }
        for name, value in sizes.items():
            if value is not None and value < 1:
                raise ValueError(f"{name}: {value} is less than 1")
        self._max_stoichiometry = max_stoichiometry
        self._num_compositions = num_compositions
        self._num_candidates = num_candidates
        self._context = read_context(context_config)
        self._asking = Asking(type(self).__name__, llm_config, language, max_corrections)

    def propose(self, view: View[C]) -> Plan:
        """Asks the model.

        Raises:
            LanguageModelError: If it does not answer, or not with compositions that can be used.
        """
        check_region = region_check(view.environment, self._max_stoichiometry)

        def check(arguments: Mapping[str, Any]) -> tuple[str, ...]:
            regions = [check_region(text) for text in arguments["compositions"]]
            twice = sorted({region for region in regions if regions.count(region) > 1})
            if twice:
                raise Unusable(f"{', '.join(twice)}: named twice.")
            return tuple(regions)

        task = self._task(view)
        decision = self._asking.decide(opening(view, self._context, task), self._face(), check)
        details = {
            "reply": dict(decision.arguments),
            "corrections": list(decision.corrections),
            "observations_known": len(view.observations),
        }
        return Plan(decision.value, self._num_candidates, details=details, cost=decision.cost)

    def _task(self, view: View[C]) -> str:
        elements = getattr(view.environment, "elements", None)
        limit = self._max_stoichiometry or getattr(view.environment, "max_stoichiometry", None)
        of = f" Elements: {', '.join(elements)}." if elements else ""
        size = f" At most {limit} atoms in a formula." if elements and limit else ""
        return (
            f"Propose up to {self._num_compositions} compositions to look at next, the most promising first, by "
            f"calling {TOOL} once.{of}{size}"
        )

    def _face(self) -> ToolFace:
        names = {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": 200},
            "minItems": 1,
            "maxItems": self._num_compositions,
            "description": "Compositions, the most promising first, such as Cu3Au.",
        }
        reason = {"type": "string", "maxLength": 4000, "description": "Why these, in a few sentences."}
        return ToolFace(
            TOOL,
            "Says which compositions are looked at next.",
            {
                "type": "object",
                "properties": {"compositions": names, "reason": reason},
                "required": ["compositions", "reason"],
                "additionalProperties": False,
            },
        )

    def get_state(self) -> dict[str, Any]:
        """What it has asked and what that has cost."""
        return self._asking.get_state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `campaigns.stateful.Stateful`."""
        self._asking.load_state(state)
