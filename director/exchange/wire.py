"""The boundary to the kinds of exchange."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any, Protocol

from academy.agent import Agent
from academy.exchange.mailbox_status import MailboxStatus
from academy.identifier import AgentId, EntityId
from academy.message import Message
from academy.stats import AgentStats

from director.exchange.errors import ExchangeError
from director.spec import ExchangeSpec


class Wire(Protocol):
    """One kind of exchange, as Academy reaches it, for one mailbox.

    What is not explained here does as Academy's `ExchangeTransport` says. Errors are whatever its library raises.

    Attributes:
        on_contact: Called whenever the exchange has answered.
    """

    on_contact: Callable[[], None]

    @property
    def mailbox_id(self) -> EntityId:
        """Whose mailbox it is."""
        ...

    async def close(self) -> None:
        """Disconnects. May be called twice."""
        ...

    async def discover(self, agent: type[Agent] | str, *, allow_subclasses: bool = True) -> tuple[AgentId[Any], ...]:
        """Finds agents."""
        ...

    async def agent_stats(self, uid: EntityId) -> AgentStats:
        """Counts an agent's messages."""
        ...

    async def heartbeat_status(self, uid: EntityId) -> float | None:
        """Says how long ago a mailbox's owner was heard of, in s."""
        ...

    async def update_heartbeat(self) -> None:
        """Says that the owner is there."""
        ...

    async def terminate(self, uid: EntityId) -> None:
        """Closes a mailbox for good."""
        ...

    async def send(self, message: Message[Any]) -> None:
        """Puts a message into a mailbox."""
        ...

    def listen(self, timeout: float | None = None) -> AsyncGenerator[Message[Any]]:
        """Yields the mailbox's messages."""
        ...

    async def make_mailbox(self, uid: EntityId, classes: str) -> None:
        """Makes a mailbox. One that is there stays as it is, unless it was closed, where the result is undefined.

        Args:
            uid: Its address.
            classes: The agent's class and those that it inherits from, separated by commas.
        """
        ...

    async def state(self, uid: EntityId) -> MailboxStatus:
        """Says whether a mailbox is there (active, whoever listens), missing or closed."""
        ...

    def explain(self, error: Exception) -> ExchangeError | None:
        """Says in words what the exchange, or the way to it, did wrong; None: it was something else."""
        ...


OpenWire = Callable[[ExchangeSpec, EntityId], Wire]
"""Reaches an exchange for one mailbox. Nothing is sent yet."""
