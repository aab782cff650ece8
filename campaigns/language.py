"""What campaigns ask of a large language model. Clients of real ones stand behind this Protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol


@dataclass(frozen=True)
class ToolCall:
    """A tool that a model wants called.

    Attributes:
        id: The model's name for this call.
        name: Of the tool.
        arguments: As JSON has them; None if the model wrote something that is no JSON object.
        text: The arguments as the model wrote them.
    """

    id: str
    name: str
    arguments: Mapping[str, Any] | None
    text: str


@dataclass(frozen=True)
class Message:
    """One message of a conversation.

    Attributes:
        role: Who speaks.
        content: The text.
        tool_calls: What an assistant wants called.
        tool_call_id: Of a tool's message: which call it answers.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True)
class ToolFace:
    """A tool as a model is told of it.

    Attributes:
        name: Its name.
        description: What it does, in a line.
        parameters: JSON schema of its arguments, with units in the descriptions.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Reply:
    """What a model answered.

    Attributes:
        message: The assistant's message.
        model: Which model answered.
        input_tokens: Tokens that were sent.
        output_tokens: Tokens that came back.
        reused: Whether it answered an equal question before; nothing was sent then, and no token is counted.
        cut_off: Whether it ends because the model may not say more, not because it has said all.
    """

    message: Message
    model: str
    input_tokens: int
    output_tokens: int
    reused: bool = False
    cut_off: bool = False


class LanguageModel(Protocol):
    """A chat model. It may be used from several threads at once."""

    def reply(self, messages: Sequence[Message], tools: Sequence[ToolFace] = (), *, choice: str | None = None) -> Reply:
        """Answers a conversation.

        Args:
            messages: The conversation so far.
            tools: What the model may ask to have called.
            choice: Name of the tool that it must call, ``required`` for any of them; None: it is free.

        Raises:
            LanguageModelError: If no answer came, after the retries that the client was told to make.
        """
        ...


class LanguageModelError(RuntimeError):
    """A model did not answer. Its text says why, and what to do."""


class NotConfigured(LanguageModelError, ValueError):  # noqa: N818  (it reads as what is wrong)
    """No model is configured, or not all that is needed to reach one. Its text says how to configure it."""


class TokensSpent(LanguageModelError):  # noqa: N818  (it reads as what has happened)
    """The budget of tokens does not allow another question. Nothing was sent."""


class ReplyCancelled(LanguageModelError):  # noqa: N818  (it is an end, not an error)
    """Whoever waited for a reply has been told to stop."""


class NoValidReply(LanguageModelError):  # noqa: N818  (it reads as what is wrong)
    """A model answered, and after the corrections that it was allowed there is nothing in it that can be used."""
