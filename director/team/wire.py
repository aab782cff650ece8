"""What travels between a chat, the process that keeps its workers on nodes, and these: lines of JSON.

A key travels with its call, in memory only: through a pipe, and to the nodes as Parsl's encrypted messages.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, field_serializer

from director.spec import AllocationSpec
from director.team.desk import Call, Said

CALL: TypeAdapter[Call] = TypeAdapter(Call)
SAID: TypeAdapter[Said] = TypeAdapter(Said)


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Hire(_Line):
    """The first line to the process: which workers there are to be."""

    folder: str = Field(description="A folder that the nodes see under the same path; it is there.")
    allocation: AllocationSpec = Field(description="Which nodes.")
    workers: int = Field(ge=1, le=65_536, description="How many calls run at the same time; over all nodes.")


class Order(_Line):
    """A line to the process: run a call, or stop one."""

    call: str | None = Field(default=None, description="A call, as JSON; null: one is to stop.")
    key: SecretStr | None = Field(default=None, description="The key of the call's service.")
    id: str = Field(description="The call's id.")

    @field_serializer("key", when_used="json")
    def _reveal(self, key: SecretStr | None) -> str | None:
        # JSON is how it reaches the process; `repr` and logs keep the secret.
        return key.get_secret_value() if key is not None else None


class News(_Line):
    """A line from the process."""

    kind: Literal["up", "said", "lost", "failed"] = Field(
        description="up: workers are there; said: a call has ended; lost: one was lost; failed: nothing runs any more."
    )
    id: str = Field(default="", description="The call's id.")
    text: str = Field(description="What there is to say: what was said, as JSON, or the reason, or where workers are.")
