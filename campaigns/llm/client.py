"""A language model behind an endpoint of OpenAI's form, asked by LangChain's ``ChatOpenAI``."""

from __future__ import annotations

import json
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from campaigns.language import LanguageModelError, Message, Reply, ReplyCancelled, ToolFace
from campaigns.llm.access import Key, LanguageAccess
from campaigns.llm.meter import Meter, rough_tokens
from campaigns.llm.packages import load
from campaigns.llm.retries import Trouble, explain, retry_after, wait_before_retry
from campaigns.llm.settings import LanguageSettings
from campaigns.llm.translate import face_for_openai, from_langchain, to_langchain

NO_KEY = "none"
"""What is sent as a key where the endpoint wants none: the client insists on a word."""

LOOK_S = 0.2
"""How often somebody who waits looks whether to stop, in s."""


class OpenAIModel:
    """A `campaigns.language.LanguageModel` that asks a real endpoint. For several threads.

    A question is asked again after an overload (429), a failure (5xx), a time limit, a lost connection or an answer
    that is no completion, as often and as late as the settings say; what the endpoint asks for (Retry-After) goes
    first. What a question costs is counted, also if it was given up in the meantime.

    Args:
        settings: Which model, where, and how.
        key: The key of the endpoint; None: it wants none. It is held in memory and sent to the endpoint, only.
        agent: Who asks, for the meter.
        meter: Counts; None: one of its own.
        cancelled: Is set when nobody waits any more; None: one of its own.
        jitter: Gives a number from 0 to 1 for each wait.
    """

    def __init__(
        self,
        settings: LanguageSettings,
        key: Key | None = None,
        *,
        agent: str = "agent",
        meter: Meter | None = None,
        cancelled: threading.Event | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.settings = settings
        self.agent = agent
        self.meter = meter or Meter()
        self._key = key
        self._cancelled = cancelled or threading.Event()
        self._jitter = jitter

    def cancel(self) -> None:
        """Ends every wait for a reply, now and later, with `ReplyCancelled`. For any thread."""
        self._cancelled.set()

    def reply(self, messages: Sequence[Message], tools: Sequence[ToolFace] = (), *, choice: str | None = None) -> Reply:
        """See `campaigns.language.LanguageModel.reply`.

        Args:
            messages: The conversation so far.
            tools: What the model may ask to have called.
            choice: Name of the tool that it must call, ``required`` for any of them; None: it is free.

        Raises:
            TokensSpent: If the budget does not allow it; nothing was sent.
            ReplyCancelled: If it was cancelled.
            LanguageModelError: If no answer came.
        """
        if self._cancelled.is_set():
            raise ReplyCancelled("the wait for a language model was cancelled")
        expected = rough_tokens(_bytes(messages, tools)) + (self.settings.max_output_tokens or 0)
        self.meter.begin(self.agent, expected, self.settings.token_budget)
        found: queue.SimpleQueue[Reply | BaseException] = queue.SimpleQueue()

        def work() -> None:
            try:
                found.put(self._ask(messages, tools, choice, expected))
            except BaseException as error:
                found.put(error)

        # A blocked socket cannot be interrupted, so whoever is told to stop leaves this thread to its time limit.
        threading.Thread(target=work, name=f"llm-{self.agent}", daemon=True).start()
        while True:
            with suppress(queue.Empty):
                answer = found.get(timeout=LOOK_S)
                if isinstance(answer, BaseException):
                    raise answer
                return answer
            if self._cancelled.is_set():
                raise ReplyCancelled("the wait for a language model was cancelled")

    @cached_property
    def _chat(self) -> Any:
        return chat_openai(self.settings, self._key, max_retries=0)

    def _ask(self, messages: Sequence[Message], tools: Sequence[ToolFace], choice: str | None, expected: int) -> Reply:
        began = time.monotonic()
        retries = 0
        reply: Reply | None = None
        try:
            while reply is None:
                answer = self._try(messages, tools, choice)
                if isinstance(answer, Reply):
                    reply = answer
                    break
                wait_s = wait_before_retry(answer, retries, self.settings, self._jitter())
                if wait_s is None:
                    raise LanguageModelError(explain(answer, self.settings, retries + 1))
                if self._cancelled.wait(wait_s):
                    raise ReplyCancelled("the wait for a language model was cancelled")
                retries += 1
            return reply
        finally:
            sent, said = (reply.input_tokens, reply.output_tokens) if reply else (0, 0)
            self.meter.end(
                self.agent,
                expected,
                input_tokens=sent,
                output_tokens=said,
                retries=retries,
                seconds=time.monotonic() - began,
                usd=self.settings.cost_usd(sent, said),
                answered=reply is not None,
            )

    def _try(self, messages: Sequence[Message], tools: Sequence[ToolFace], choice: str | None) -> Reply | Trouble:
        openai, httpx = load("openai"), load("httpx")
        model = self._chat
        if tools:
            model = model.bind_tools([face_for_openai(face) for face in tools], tool_choice=choice)
        try:
            return from_langchain(model.invoke(to_langchain(messages)), self.settings.model)
        except openai.APITimeoutError:
            return Trouble("timeout", f"no answer within {self.settings.timeout_s:g} s")
        except openai.APIStatusError as error:
            return _status_trouble(error)
        except openai.APIConnectionError as error:
            return Trouble("connection", f"the connection failed ({error.__cause__ or error})")
        except httpx.HTTPError as error:
            return Trouble("connection", f"the connection failed ({error})")
        except (openai.OpenAIError, LookupError, TypeError, ValueError, AttributeError) as error:
            # What the client raises where an answer is in JSON, and no completion.
            return Trouble("nonsense", f"the answer is no chat completion ({type(error).__name__}: {error})")


def chat_openai(settings: LanguageSettings, key: Key | None, *, max_retries: int, **options: Any) -> Any:
    """LangChain's client with these settings, and nothing from the process's environment.

    Raises:
        NotConfigured: If LangChain is not installed.
    """
    load("langchain_openai")
    from campaigns.llm.tolerant import TolerantChatOpenAI

    secret = load("pydantic").SecretStr
    return TolerantChatOpenAI(
        base_url=settings.base_url,
        model=settings.model,
        api_key=secret(key.reveal() if key else NO_KEY),
        temperature=settings.temperature,
        max_completion_tokens=settings.max_output_tokens,
        timeout=settings.timeout_s,
        max_retries=max_retries,
        **options,
    )


def model_for(
    config: Mapping[str, Any] | None,
    language: LanguageAccess,
    *,
    agent: str,
    meter: Meter | None = None,
    cancelled: threading.Event | None = None,
) -> OpenAIModel:
    """The model of one agent: what a file says of it, and the environment for the rest.

    Raises:
        NotConfigured: If there is no endpoint or no model; the text says how to name them.
        ValueError: If a field is not acceptable.
    """
    return OpenAIModel(
        language.settings(config), language.key, agent=agent, meter=meter, cancelled=cancelled or language.cancelled
    )


def _status_trouble(error: Any) -> Trouble:
    body = error.body if isinstance(error.body, dict) else {}
    message = str(body.get("message") or error.message)[:500]
    status = int(error.status_code)
    after = retry_after(error.response.headers, datetime.now(UTC))
    return Trouble("status", f"status {status}: {message}", status, body.get("code"), after)


def _bytes(messages: Sequence[Message], tools: Sequence[ToolFace]) -> int:
    said = sum(len(message.content.encode()) + sum(len(c.text) for c in message.tool_calls) for message in messages)
    return said + sum(len(json.dumps(face_for_openai(face))) for face in tools)
