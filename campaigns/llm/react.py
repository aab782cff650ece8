"""A policy in which a language model decides step by step what to do: generate, score, query, select (ReAct).

After S. Yao et al., ReAct: Synergizing Reasoning and Acting in Language Models, ICLR 2023.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from campaigns.components import Filter, Generator, Scorer
from campaigns.environment import Observation, View
from campaigns.language import LanguageModel
from campaigns.llm.access import LanguageAccess
from campaigns.llm.asking import Asking
from campaigns.llm.buffer import Buffer
from campaigns.llm.prompts import context_config as read_context
from campaigns.llm.steps import Parts, Steps
from campaigns.policy import Proposal
from campaigns.stages.filters import FilterChain, NoOpFilter

C = TypeVar("C")


class LLMReActOrchestrator(Generic[C]):
    """Lets a language model work with generators and scorers until it selects what is evaluated next.

    Candidates come into a buffer, if the filter lets them pass, and stay there over decisions; the filter is asked
    again when they are selected, since more is known then. A call that is not acceptable is answered with the reason,
    and costs a step. Where nothing is selected within ``max_steps`` replies, the proposal is empty and says so: no
    candidate is taken in its place.

    Args:
        generators: Generators, by the names that the model is told.
        scorers: Scorers, by the names that the model is told; none: it can only select.
        filter: Keeps candidates out; several are applied one after another; None: none is kept out.
        max_steps: Most replies of the model for one decision.
        max_candidates: Most candidates of one call to a generator, for each composition.
        buffer_size: How many candidates wait at most; the oldest leave when more come.
        max_stoichiometry: Most atoms in a formula that the model names; None: what the environment says.
        llm_config: Fields of `campaigns.llm.LanguageSettings`: model, temperature, max_output_tokens, cache …
        context_config: What the model is told: objective_prompt, include_structure_info, include_composition_counter,
            include_recent_trial, previous_observations.
        language: The environment's endpoint and key; given by the campaign.

    Raises:
        ValueError: If a setting is not acceptable, or no language model is configured.
    """

    def __init__(
        self,
        generators: Mapping[str, Generator[C]],
        scorers: Mapping[str, Scorer[C]] | None = None,
        filter: Filter[C] | Sequence[Filter[C]] | None = None,  # noqa: A002  (the word of the pipeline)
        max_steps: int = 12,
        max_candidates: int = 20,
        buffer_size: int = 50,
        max_stoichiometry: int | None = None,
        llm_config: Mapping[str, Any] | None = None,
        context_config: Mapping[str, Any] | None = None,
        language: LanguageAccess | LanguageModel | None = None,
    ) -> None:
        if not generators:
            raise ValueError("generators: at least one is needed")
        for name, value in (("max_steps", max_steps), ("max_candidates", max_candidates), ("buffer_size", buffer_size)):
            if value < 1:
                raise ValueError(f"{name}: {value} is less than 1")
        self.generators = dict(generators)
        self.scorers = dict(scorers or {})
        self.filter: Filter[C] = _one(filter)
        self._max_steps = max_steps
        self._max_candidates = max_candidates
        self._max_stoichiometry = max_stoichiometry
        self._context = read_context(context_config)
        self._buffer = Buffer(buffer_size)
        self._asking = Asking(type(self).__name__, llm_config, language, max_corrections=0)

    def propose(self, view: View[C], count: int) -> Proposal[C]:
        """Lets the model work until it selects.

        Raises:
            LanguageModelError: If the model does not answer.
        """
        self._buffer.forget_scores()
        parts = Parts(
            self.generators, self.scorers, self.filter, self._max_candidates, self._max_stoichiometry, self._context
        )
        return Steps(parts, self._buffer, view, count).run(self._asking.model, self._max_steps)

    def observe(self, observation: Observation[C]) -> None:
        """Tells each part that wants to know of evaluations, by its method ``observe``."""
        for part in (*self.generators.values(), self.filter, *self.scorers.values()):
            listen = getattr(part, "observe", None)
            if listen is not None:
                listen(observation)

    def get_state(self) -> dict[str, Any]:
        """The buffer, the state of each part, and what the model has cost."""
        return {
            "buffer": copy.deepcopy(self._buffer.get_state()),
            "filter": self.filter.get_state(),
            "generators": {name: part.get_state() for name, part in self.generators.items()},
            "scorers": {name: part.get_state() for name, part in self.scorers.items()},
            "language": self._asking.get_state(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `campaigns.stateful.Stateful`."""
        state = copy.deepcopy(dict(state))
        self._buffer.load_state(state["buffer"])
        self.filter.load_state(state["filter"])
        for name, generator in self.generators.items():
            generator.load_state(state["generators"][name])
        for name, scorer in self.scorers.items():
            scorer.load_state(state["scorers"][name])
        self._asking.load_state(state["language"])


class LLMReActOrchestratorAgent(LLMReActOrchestrator[C]):
    """The same under the name by which it is known elsewhere."""


def _one(given: Filter[C] | Sequence[Filter[C]] | None) -> Filter[C]:
    if given is None:
        return NoOpFilter()
    return FilterChain(given) if isinstance(given, Sequence) else given
