"""Calling one Director's actions over the exchange, as data, again and again until it answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from academy.exception import (
    AcademyRemoteError,
    ActionCancelledError,
    AgentTerminatedError,
    BadEntityIdError,
    MailboxTerminatedError,
)
from academy.exchange.client import UserExchangeClient
from academy.handle import Handle
from academy.identifier import AgentId
from academy.serialize import SerializationStrategy, allowed_deserializers
from aiohttp import ClientError

from director.exchange import ExchangeError

CALL_TIMEOUT_S = 60.0
RETRY_S = 0.1
# An answer can be lost when the exchange goes away at the wrong moment; the same call is then made again.
LONGEST_TRY_S = 15.0
# A Director that ends cancels what it is asked; asked again, it has ended.
TROUBLE = (TimeoutError, ClientError, OSError, BadEntityIdError, ActionCancelledError)


Call = Callable[..., Awaitable[Any]]
"""Calls an action of a Director: `Caller.call` or `DirectorLink.call`."""


class DirectorLost(ConnectionError):  # noqa: N818  (the word users know)
    """A Director ended, or cannot be reached. What it had accepted is in its ledger."""


class DirectorEnded(DirectorLost):
    """A Director has come to its end, and has said so to the exchange."""


class WoundDown(DirectorLost):
    """Directors have ended in an orderly way before all was done: since their time was up, or they were told to.

    Args:
        message: What happened.
        left: How many of the Requests that were waited for have no Outcome; None: not counted.
    """

    def __init__(self, message: str, left: int | None = None) -> None:
        super().__init__(message)
        self.left = left


class TakesNoMore(WoundDown):
    """A Director takes no more Requests: it is draining, or about to end. What it has, it still sees to."""


class Caller:
    """Calls one Director.

    Args:
        index: The Director's index.
        agent_id: Its address.
        client: The run's exchange.
    """

    def __init__(self, index: int, agent_id: AgentId[Any], client: UserExchangeClient[Any]) -> None:
        self.index = index
        self._handle: Handle[Any] = Handle(
            agent_id, exchange=client, ignore_context=True, request_serializer=SerializationStrategy.JSON
        )

    async def call(self, action: str, *arguments: Any, timeout_s: float = CALL_TIMEOUT_S, holds_s: float = 0.0) -> Any:
        """Calls an action, again if there was no answer. For actions that may be repeated.

        Args:
            action: Its name.
            arguments: JSON values.
            timeout_s: How long all tries may take together, in s.
            holds_s: How long the action itself may take before it answers, in s.

        Raises:
            DirectorLost: If the Director is gone, or does not answer in time.
        """
        give_up = time.monotonic() + timeout_s
        while True:
            try:
                one_try_s = min(give_up - time.monotonic(), holds_s + LONGEST_TRY_S)
                return await self._act(action, arguments, one_try_s)
            except (AgentTerminatedError, MailboxTerminatedError) as error:
                raise DirectorEnded(f"Director {self.index} has ended") from error
            except AcademyRemoteError as error:
                raise DirectorLost(f"Director {self.index} failed in {action}: {error}") from error
            except TROUBLE as error:
                if isinstance(error, ExchangeError) and not error.passing:
                    raise DirectorLost(f"Director {self.index} cannot be asked: {error}") from error
                if time.monotonic() + RETRY_S >= give_up:
                    raise DirectorLost(f"Director {self.index} did not answer within {timeout_s:g} s") from error
                await asyncio.sleep(RETRY_S)

    async def _act(self, action: str, arguments: tuple[Any, ...], timeout_s: float) -> Any:
        # In a task, hence in a context, of its own. What the exchange brings is never unpickled.
        async def act() -> Any:
            allowed_deserializers.set({SerializationStrategy.JSON})
            return await self._handle.action(action, *arguments)

        async with asyncio.timeout(timeout_s):
            return await asyncio.create_task(act())
