"""A scorer that asks a language model which candidates to evaluate next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from campaigns.components import ScoreResult
from campaigns.environment import View
from campaigns.language import LanguageModel, ToolFace
from campaigns.llm.access import LanguageAccess
from campaigns.llm.asking import Asking
from campaigns.llm.decide import Unusable
from campaigns.llm.prompts import context_config as read_context
from campaigns.llm.prompts import data, listed, opening

C = TypeVar("C")

TOOL = "rank_candidates"


class LLMScorer(Generic[C]):
    """Asks a language model to rank candidates, balancing what is likely to be good against what is new.

    The model must name as many different indices as it was asked for, and each must be a candidate's; otherwise its
    reply goes back with the reason, at most ``max_corrections`` times, and is then an error: no candidate is taken in
    its place. The best one's score is 1, and the score falls evenly to 1/n for the last of n. What was not to be
    ranked has score 0, and its details say so.

    Args:
        num_ranked: How many candidates the model is to rank; None: all. Give at least as many as are evaluated at once.
        llm_config: Fields of `campaigns.llm.LanguageSettings`: model, temperature, max_output_tokens, cache …
        context_config: What the model is told: objective_prompt, include_structure_info, include_composition_counter,
            include_recent_trial, previous_observations.
        max_corrections: How often a reply goes back to the model.
        language: The environment's endpoint and key; given by the campaign.

    Raises:
        ValueError: If a setting is not acceptable, or no language model is configured.
    """

    def __init__(
        self,
        num_ranked: int | None = None,
        llm_config: Mapping[str, Any] | None = None,
        context_config: Mapping[str, Any] | None = None,
        max_corrections: int = 3,
        language: LanguageAccess | LanguageModel | None = None,
    ) -> None:
        if num_ranked is not None and num_ranked < 1:
            raise ValueError(f"num_ranked: {num_ranked} is less than 1")
        self._num_ranked = num_ranked
        self._context = read_context(context_config)
        self._asking = Asking(type(self).__name__, llm_config, language, max_corrections)

    def score(self, candidates: Sequence[C], view: View[C]) -> list[ScoreResult]:
        """Asks the model to rank; one candidate alone needs no question.

        Raises:
            LanguageModelError: If it does not answer, or not with a ranking that can be used.
        """
        name = type(self).__name__
        if len(candidates) < 2:
            return [ScoreResult(1.0, name, {"rank": 1, "of": 1, "asked": False}) for _ in candidates]
        wanted = min(self._num_ranked or len(candidates), len(candidates))

        def check(arguments: Mapping[str, Any]) -> dict[int, int]:
            ranking = [int(index) for index in arguments["ranking"]]
            strange = sorted({index for index in ranking if not 0 <= index < len(candidates)})
            if strange:
                raise Unusable(f"there is no candidate {strange[0]}: indices go from 0 to {len(candidates) - 1}.")
            if len(set(ranking)) != len(ranking) or len(ranking) != wanted:
                raise Unusable(f"the ranking has {len(set(ranking))} different indices, and {wanted} are needed.")
            return {index: place for place, index in enumerate(ranking)}

        shown = data(listed(view, candidates, full=self._context.include_structure_info))
        task = (
            f"These are the candidates:\n{shown}\nRank the {wanted} best of them for the next evaluation, best first, "
            f"by calling {TOOL} once."
        )
        decision = self._asking.decide(opening(view, self._context, task), _face(wanted), check)
        said = {
            "reason": decision.arguments["reason"],
            "corrections": list(decision.corrections),
            "observations_known": len(view.observations),
        }
        return [
            _result(name, decision.value.get(index), wanted, said, decision.cost if index == 0 else {})
            for index in range(len(candidates))
        ]

    def get_state(self) -> dict[str, Any]:
        """What it has asked and what that has cost."""
        return self._asking.get_state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `campaigns.stateful.Stateful`."""
        self._asking.load_state(state)


def _result(
    name: str, place: int | None, wanted: int, said: Mapping[str, Any], cost: Mapping[str, float]
) -> ScoreResult:
    if place is None:
        return ScoreResult(0.0, name, {"rank": None, "of": wanted, "asked": True}, cost)
    return ScoreResult((wanted - place) / wanted, name, {"rank": place + 1, "of": wanted, "asked": True, **said}, cost)


def _face(wanted: int) -> ToolFace:
    ranking = {
        "type": "array",
        "items": {"type": "integer"},
        "minItems": 1,
        "description": f"Indices of {wanted} different candidates, the one to evaluate first at the beginning.",
    }
    reason = {"type": "string", "maxLength": 4000, "description": "Why, in a few sentences."}
    return ToolFace(
        TOOL,
        "Says in which order candidates are to be evaluated.",
        {
            "type": "object",
            "properties": {"ranking": ranking, "reason": reason},
            "required": ["ranking", "reason"],
            "additionalProperties": False,
        },
    )
