"""A Director's answering on the exchange. Its transport outlives an exchange that goes away and comes back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from academy.agent import Agent
from academy.exception import ExchangeError as AcademyError
from academy.identifier import AgentId
from academy.runtime import Runtime, RuntimeConfig
from academy.serialize import SerializationStrategy
from aiohttp import ClientError

from director.exchange import ExchangeError, MailboxClosedError, factory_of, registration_of
from director.spec import DirectorSpec

logger = logging.getLogger(__name__)

FIRST_CONTACT_S = 10.0
# A client that has an exchange of its own starts it beside its Directors, and may take its time.
FIRST_CONTACT_ATTENDED_S = 60.0
SHORTEST_WAIT_S = 0.05
LONGEST_WAIT_S = 5.0
TROUBLE = (ExchangeError, AcademyError, ClientError, OSError)


class UnreachableError(RuntimeError):
    """The exchange cannot be used. The message says why, and what to do."""


class Serving:
    """Answers calls that come over the exchange.

    Args:
        spec: What the Director was told.
        kind: What it is registered as.
        agent: Makes the agent that answers.
    """

    def __init__(self, spec: DirectorSpec, kind: type[Agent], agent: Callable[[], Agent]) -> None:
        self._spec = spec
        self._kind = kind
        self._agent = agent
        self._runtime: Runtime[Any] | None = None

    async def forever(self) -> None:
        """Answers until cancelled.

        Raises:
            UnreachableError: If the exchange could not be reached in time for the first time, or has closed the
                Director's address, or is gone together with the client that held it.
        """
        spec = self._spec
        attended = spec.linger_s is None
        give_up = time.monotonic() + (FIRST_CONTACT_ATTENDED_S if attended else FIRST_CONTACT_S)
        wait_s = SHORTEST_WAIT_S
        while True:
            try:
                await self._answer()
            except MailboxClosedError as error:
                raise UnreachableError(f"the Director's address was closed: {error}") from error
            except TROUBLE as error:
                final = isinstance(error, ExchangeError) and not error.passing and not attended
                if final or time.monotonic() > give_up:
                    raise UnreachableError(f"cannot reach the exchange at {spec.exchange.url}: {error}") from error
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            else:
                raise UnreachableError(f"the exchange at {spec.exchange.url} is gone, or has closed this address")

    def leave(self) -> None:
        """Leaves the address open when answering ends: it is another Director's now."""
        if self._runtime is not None:
            self._runtime.signal_shutdown(terminate=False)

    async def _answer(self) -> None:
        """Answers for as long as the exchange knows the Director's address."""
        exchange = self._spec.exchange
        agent_id: AgentId[Any] = AgentId(uid=self._spec.agent_id)
        self._runtime = Runtime(
            self._agent(),
            exchange_factory=factory_of(exchange),
            registration=registration_of(exchange, agent_id, self._kind),
            config=RuntimeConfig(
                default_serializer=SerializationStrategy.JSON,
                allowed_deserializers={SerializationStrategy.JSON},
                terminate_on_error=False,
            ),
        )
        async with self._runtime:
            logger.info("answering at %s", exchange.url)
            await self._runtime.wait_shutdown()
