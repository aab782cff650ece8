"""What agents may do with a run: a file that a person writes, read once, when the way in is opened."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from director.document import read_document
from director.door import Refused, problems_of

DESTRUCTIVE = ("cancel", "drain")
"""What takes something away from others, so that a human is asked before it is done."""

MAX_FILE_BYTES = 1_000_000

AgentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Budget(_Part):
    """What may be spent. Null: as much as the run has."""

    requests: int | None = Field(
        default=None, ge=0, description="How many Requests may be handed over, those that are reused included."
    )
    node_hours: float | None = Field(
        default=None,
        ge=0,
        description="Node-hours of the Requests that have ended. None is accepted once they are spent; what runs by "
        "then runs to its end.",
    )
    llm_tokens: int | None = Field(
        default=None, ge=0, description="Tokens of language models, read and written, as far as callers report them."
    )


class AgentPolicy(_Part):
    """What one agent may do."""

    tools: list[str] = Field(
        default=["*"],
        description="Names of the Tools and actions that it may call. In a name, * stands for any letters.",
    )
    deny: list[str] = Field(default=[], description="Names that it may not call, whatever `tools` says.")
    confirm: list[str] | None = Field(
        default=None, description="Names for which a human is asked first. Null: those of the policy."
    )
    budget: Budget = Field(default=Budget(), description="What this agent may spend.")


class Policy(_Part):
    """What the agents of a run may do."""

    agents: dict[AgentName, AgentPolicy] = Field(default={}, description="For each agent that is named, what it may.")
    others: AgentPolicy | None = Field(
        default=AgentPolicy(), description="What agents may that are not named. Null: nothing."
    )
    confirm: list[str] = Field(
        default=list(DESTRUCTIVE), description="Names of Tools and actions for which a human is asked first."
    )
    confirm_within_s: float = Field(
        default=50.0,
        gt=0,
        le=3600,
        description="How long a human is waited for, in s. Without an answer by then, the call is refused. Many MCP "
        "clients give up on a call after 60 s.",
    )
    why: Literal["optional", "required"] = Field(
        default="optional", description="Whether an agent must say why it makes a call."
    )
    budget: Budget = Field(default=Budget(), description="What all agents may spend together.")

    def of(self, agent: str) -> AgentPolicy | None:
        """What an agent may; None: nothing."""
        return self.agents.get(agent, self.others)


def matches(patterns: list[str], names: tuple[str, ...]) -> bool:
    """Whether one of the names is meant by one of the patterns. Pure."""
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def read_policy(path: Path) -> Policy:
    """Reads a policy file, YAML or JSON.

    Raises:
        Refused: If it cannot be read, or with everything that is wrong with it.
    """
    document = read_document(path, MAX_FILE_BYTES)
    try:
        return Policy.model_validate({} if document is None else document)
    except ValidationError as error:
        raise Refused([problem.within("policy") for problem in problems_of(error, Policy)]) from None
