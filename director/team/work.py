"""A message while it is answered: what has been said to it so far, and how that ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from director.team.records import AgentAnswer, Answered, MessageStatus
from director.team.wording import merged, roster, status_of

BY_MERGE = "merge: one below the other, no model was asked"
Heard = Callable[[Literal["begins", "ends", "does"], str, "AgentAnswer | str | None"], None]
"""Is told what happens, for whom: an agent begins, or ends with an answer, or does something that is said in words."""


@dataclass
class Work:
    """A message while it is answered.

    Attributes:
        id: Its number.
        text: The message.
        past: What agents are told of the messages before.
        answers: What became of it at each agent so far.
        extra: What the aggregator or the supervisor did.
        events: What the supervisor did to the team, in words.
        answer: The team's answer.
        aggregated_by: How it was made, in words.
        error: Why it was not made as the team file says; None: it was.
    """

    id: int
    text: str
    past: Sequence[Answered]
    heard: Heard
    answers: list[AgentAnswer] = field(default_factory=list)
    extra: list[AgentAnswer] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    answer: str = ""
    aggregated_by: str = ""
    error: str | None = None

    def merge(self, how: str = BY_MERGE, error: str | None = None) -> None:
        """Makes the answer by putting what was said one below the other."""
        self.answer, self.aggregated_by, self.error = merged(self.answers), how, error

    @property
    def status(self) -> MessageStatus:
        """How it ended."""
        if not self.answers and self.answer and self.error is None:
            return "ok"  # a supervisor may answer by itself
        return status_of(self.answers, aggregated=self.error is None)

    def outcome(self) -> dict[str, Any]:
        """Its answer, how that was made, and what went wrong."""
        if self.status != "failed":
            return {"answer": self.answer, "aggregated_by": self.aggregated_by, "error": self.error}
        return {"error": " ".join(filter(None, (self.error, roster(self.answers)))) or "no agent was asked"}
