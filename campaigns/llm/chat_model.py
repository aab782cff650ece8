"""The same settings for LangChain and LangGraph: their own ``ChatOpenAI``, counted by the same meter."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

from campaigns.llm.access import Key
from campaigns.llm.client import chat_openai
from campaigns.llm.meter import Meter, rough_tokens
from campaigns.llm.packages import load
from campaigns.llm.settings import LanguageSettings


def chat_model(
    settings: LanguageSettings, key: Key | None = None, *, agent: str = "agent", meter: Meter | None = None
) -> Any:
    """LangChain's ``ChatOpenAI`` with these settings, for agents of LangChain and LangGraph.

    It asks again by its client's own rules, as often as ``max_retries`` says; a question that the budget does not
    allow raises `campaigns.language.TokensSpent` before it is sent. ``cache`` is for who runs it: give the model
    LangChain's own.

    Args:
        settings: Which model, where, and how.
        key: The key of the endpoint; None: it wants none.
        agent: Who asks, for the meter.
        meter: Counts; None: one of its own.

    Raises:
        NotConfigured: If LangChain is not installed.
    """
    counter = _counter(settings, agent, meter or Meter())
    return chat_openai(
        settings, key, max_retries=settings.max_retries, callbacks=[counter], stream_usage=True, cache=False
    )


def _counter(settings: LanguageSettings, agent: str, meter: Meter) -> Any:
    base: Any = load("langchain_core.callbacks").BaseCallbackHandler

    class Counter(base):  # type: ignore[misc]  # its base is loaded only where it is needed
        raise_error = True
        run_inline = True

        def __init__(self) -> None:
            self._begun: dict[UUID, tuple[int, float]] = {}

        def on_chat_model_start(self, _: Any, messages: Any, *, run_id: UUID, **__: Any) -> None:
            size = sum(len(str(message.content).encode()) for batch in messages for message in batch)
            expected = rough_tokens(size) + (settings.max_output_tokens or 0)
            meter.begin(agent, expected, settings.token_budget)
            self._begun[run_id] = (expected, time.monotonic())

        def on_llm_end(self, response: Any, *, run_id: UUID, **_: Any) -> None:
            usages = [item.message.usage_metadata or {} for batch in response.generations for item in batch]
            sent = sum(int(usage.get("input_tokens", 0)) for usage in usages)
            said = sum(int(usage.get("output_tokens", 0)) for usage in usages)
            self._end(run_id, input_tokens=sent, output_tokens=said, usd=settings.cost_usd(sent, said))

        def on_llm_error(self, _: BaseException, *, run_id: UUID, **__: Any) -> None:
            self._end(run_id, answered=False)

        def _end(self, run_id: UUID, **known: Any) -> None:
            if run_id in self._begun:  # not one that the budget refused
                expected, began = self._begun.pop(run_id)
                meter.end(agent, expected, seconds=time.monotonic() - began, **known)

    return Counter()
