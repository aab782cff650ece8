"""What a reasoner in a process of its own is told: one JSON document, whoever launches it. It holds no model's key."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from director.reasoning.spec import ReasoningSpec
from director.spec import ExchangeSpec

AgentName = Annotated[str, StringConstraints(pattern=r"^reasoner-[0-9]{1,4}$")]
AGENTS_FOLDER = "reasoners"


class AgentWork(BaseModel):
    """What one reasoner does.

    Attributes:
        name: Its name.
        seed: The candidate that it begins with.
        spec: What all reasoners of the run do.
        board: Address of the `director.reasoning.board_agent.BoardAgent`.
        address: Its own address.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: AgentName
    seed: dict[str, Any]
    spec: ReasoningSpec
    board: uuid.UUID
    address: uuid.UUID


class AgentSpec(BaseModel):
    """What the process of a reasoner is told.

    Attributes:
        work: What it does.
        exchange: Where the Directors, the board and this agent are.
        run_folder: The run folder.
        launched_by: Who launched it: ``client`` or ``director-K``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    work: AgentWork
    exchange: ExchangeSpec
    run_folder: str
    launched_by: str = Field(pattern=r"^(client|director-[0-9]{1,5})$")
