"""What becomes of a message: what each agent said, and the one answer. All of it is kept in the history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

AnswerStatus = Literal["ok", "failed", "cancelled", "paused"]
MessageStatus = Literal["open", "ok", "partial", "failed", "cancelled", "interrupted"]


@dataclass(frozen=True)
class ToolUse:
    """One call of a Tool that an agent made.

    Attributes:
        tool: Name of the Tool, as the model wrote it.
        arguments: As JSON has them; None if the model wrote something that is no JSON object.
        status: What the caller answered, such as ``ok``, ``failed`` or ``refused``.
        request_id: Id of the Request, if one was made.
    """

    tool: str
    arguments: dict[str, Any] | None
    status: str
    request_id: str | None = None


@dataclass(frozen=True)
class AgentAnswer:
    """What became of a message at one agent.

    Attributes:
        agent: The agent's name.
        status: How it ended; ``paused``: the agent was not asked.
        text: What it said; empty unless ``ok``.
        error: Why there is no text; None if there is.
        model: Which model answered, as the service says.
        temperature: The sampling temperature that was asked for; None: the service's own.
        input_tokens: Tokens sent, over all calls.
        output_tokens: Tokens received, over all calls.
        cost_usd: What they cost in US dollars; None: not known.
        began_at: When the first call began, in s since 1970 (UTC).
        ended_at: When the last one had ended.
        busy_s: How long the calls of the model took together, in s.
        waited_s: How long it waited for its turn before that, in s.
        calls: How many calls of the model there were.
        tool_uses: The Tools that it called.
        key: Names what it was told, and by which settings.
        reused: Whether this is what it had said before, told the same.
        where: What ran the last call: a host and a worker.
    """

    agent: str
    status: AnswerStatus
    text: str = ""
    error: str | None = None
    model: str | None = None
    temperature: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    began_at: float = 0.0
    ended_at: float = 0.0
    busy_s: float = 0.0
    waited_s: float = 0.0
    calls: int = 0
    tool_uses: tuple[ToolUse, ...] = ()
    key: str = ""
    reused: bool = False
    where: str = ""


@dataclass(frozen=True)
class Answered:
    """A message and what became of it.

    Attributes:
        id: Its number in the history.
        text: What the user wrote.
        status: ``ok``: every agent that was asked answered, and their answers were aggregated; ``partial``: some of
            them failed, or the aggregating did; ``failed``: there is no answer.
        answer: The team's answer.
        aggregated_by: How it was made, in words.
        answers: What each agent said, in the order of the team, or of their turns.
        asked_at: When it was asked, in s since 1970 (UTC).
        took_s: How long the whole took, in s.
        batch: Number of the batch that it belongs to; None: it is part of the conversation.
        error: Why there is no answer, or why it was not aggregated.
        extra: Calls of models that are no agent's: the aggregator's, or the supervisor's.
        events: What the supervisor did to the team, in words.
    """

    id: int
    text: str
    status: MessageStatus
    answer: str = ""
    aggregated_by: str = ""
    answers: tuple[AgentAnswer, ...] = ()
    asked_at: float = 0.0
    took_s: float = 0.0
    batch: int | None = None
    error: str | None = None
    extra: tuple[AgentAnswer, ...] = ()
    events: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[AgentAnswer, ...]:
        """The agents that were asked and did not answer."""
        return tuple(answer for answer in self.answers if answer.status in ("failed", "cancelled"))
