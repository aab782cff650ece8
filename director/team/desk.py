"""Where calls of models are handed in, whatever runs them."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from campaigns.language import Message, Reply, ToolFace
from campaigns.llm.settings import LanguageSettings


@dataclass(frozen=True)
class Call:
    """One call of a model.

    Attributes:
        id: Names it among all calls of a team.
        speaker: Who makes it: an agent's name, or the aggregator or the supervisor.
        settings: Of its model. There is no key in it.
        messages: What the model is told.
        tools: What it may ask to have called.
    """

    id: str
    speaker: str
    settings: LanguageSettings
    messages: tuple[Message, ...]
    tools: tuple[ToolFace, ...] = ()


@dataclass(frozen=True)
class Said:
    """What became of a call. One of ``reply`` and ``error`` is None.

    Attributes:
        reply: What the model answered.
        error: Why there is no answer, and what to do.
        cancelled: Whether it was stopped since nobody wants it any more.
        began_at: When it began to run, in s since 1970 (UTC).
        took_s: How long it ran, in s.
        where: What ran it: a host and a worker.
    """

    reply: Reply | None
    error: str | None
    cancelled: bool
    began_at: float
    took_s: float
    where: str


class Desk(Protocol):
    """Runs calls of models at the same time."""

    @property
    def how(self) -> str:
        """What runs them, in words."""
        ...

    def submit(self, call: Call) -> Future[Said]:
        """Runs a call. What goes wrong with the model is in what comes back.

        Raises:
            RuntimeError: If it is closed, or cannot run anything.
        """
        ...

    def stop(self, call_id: str) -> None:
        """Stops a call, as soon as whoever runs it looks; it comes back as cancelled. Does not block."""
        ...

    def close(self) -> None:
        """Ends it with all that it runs. May be called twice. Blocks for seconds at most."""
        ...
