"""What a client and the process that holds an engine tell each other: one line of JSON for each message."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def line(self) -> bytes:
        """The message as it travels."""
        return self.model_dump_json().encode() + b"\n"


class Begin(_Message):
    """The first thing that the engine's process is told.

    Attributes:
        template: What the endpoint renders: `endpoint_templates.Template.text`.
        rules: The JSON schema of its options.
        options: What is submitted.
    """

    template: str
    rules: dict[str, Any]
    options: dict[str, Any]


class Submit(_Message):
    """A Director that is to be run.

    Attributes:
        task_id: Names the task.
        spec: JSON of its `DirectorSpec`.
        client_version: Version of md-director here.
    """

    task_id: uuid.UUID
    spec: str
    client_version: str


class Ready(_Message):
    """The worker pool is there."""

    kind: Literal["ready"] = "ready"


class Ended(_Message):
    """A Director has ended.

    Attributes:
        task_id: Its task.
        summary: Its summary; None: its task failed.
        error: Why it failed.
    """

    kind: Literal["ended"] = "ended"
    task_id: uuid.UUID
    summary: dict[str, Any] | None = None
    error: str | None = None


class Failed(_Message):
    """The engine cannot go on, and its process ends.

    Attributes:
        error: Why.
    """

    kind: Literal["failed"] = "failed"
    error: str


Event = Ready | Ended | Failed
_EVENTS: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])


def event_of(line: bytes) -> Event:
    """Reads what the engine's process says.

    Raises:
        pydantic.ValidationError: If it is no event.
    """
    return _EVENTS.validate_json(line)
