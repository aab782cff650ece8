"""What an exchange writes down of an agent."""

from __future__ import annotations

from typing import Any

from academy.agent import Agent
from academy.identifier import AgentId
from pydantic import BaseModel, Field


class Registration(BaseModel):
    """What an agent's `Runtime` needs to know to come to its mailbox.

    Attributes:
        agent_id: The agent's address.
        exchange_type: The kind of exchange.
        classes: The agent's class and those that it inherits from, separated by commas.
    """

    agent_id: AgentId[Any]
    exchange_type: str = Field(repr=False)
    classes: str = ""


def classes_of(agent: type[Agent]) -> str:
    """An agent's class and those that it inherits from, as an exchange writes them down."""
    return ",".join(agent._agent_mro())
