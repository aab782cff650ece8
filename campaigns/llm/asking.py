"""What components that ask a language model have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from campaigns.language import LanguageModel, Message, NotConfigured, ToolFace
from campaigns.llm.access import LanguageAccess
from campaigns.llm.cache import Remembered
from campaigns.llm.client import model_for
from campaigns.llm.decide import Decision, decide
from campaigns.llm.meter import Meter
from campaigns.llm.settings import CONFIGURE

T = TypeVar("T")


class Asking:
    """The model of one component, with what it has cost and, if wanted, what it has said.

    Args:
        agent: Name of the component, for the meter.
        llm_config: Fields of `LanguageSettings`; what is not given comes from the environment.
        language: The environment's endpoint and key, or a model that is ready to be asked.
        max_corrections: How often a reply that cannot be used goes back to the model.

    Raises:
        NotConfigured: If there is no model; the text says how to configure one.
        ValueError: If a setting is not acceptable, or could not be applied.
    """

    def __init__(
        self,
        agent: str,
        llm_config: Mapping[str, Any] | None,
        language: LanguageAccess | LanguageModel | None,
        max_corrections: int,
    ) -> None:
        if max_corrections < 0:
            raise ValueError(f"max_corrections: {max_corrections} is less than 0")
        config = dict(llm_config or {})
        self._max_corrections = max_corrections
        self._meter = Meter()
        self._memory: Remembered | None = None
        self.model: LanguageModel
        about: dict[str, Any] = {}
        if language is None:
            raise NotConfigured(f"{agent} asks a language model, and none is configured. {CONFIGURE}")
        if isinstance(language, LanguageAccess):
            model = model_for(config, language, agent=agent, meter=self._meter)
            about = model.settings.model_dump(
                mode="json", include={"base_url", "model", "temperature", "max_output_tokens"}
            )
            self.model = model
            cache = model.settings.cache
        else:
            cache = bool(config.pop("cache", False))
            if config:
                raise ValueError(
                    f"llm_config: {', '.join(config)} cannot be applied to a model that is ready: leave it out"
                )
            self.model = language
        if cache:
            self.model = self._memory = Remembered(self.model, about)

    def decide(
        self, messages: Sequence[Message], face: ToolFace, check: Callable[[Mapping[str, Any]], T]
    ) -> Decision[T]:
        """See `campaigns.llm.decide.decide`."""
        return decide(self.model, messages, face, check, max_corrections=self._max_corrections)

    def get_state(self) -> dict[str, Any]:
        """What it has cost, which counts for its budget, and what it remembers."""
        state: dict[str, Any] = {"spent": self._meter.all()}
        if self._memory is not None:
            state["replies"] = self._memory.get_state()
        return state

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `campaigns.stateful.Stateful`."""
        self._meter.load(state["spent"])
        if self._memory is not None:
            self._memory.load_state(state.get("replies", {}))
