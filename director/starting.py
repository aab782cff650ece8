"""Starting a run: exchange, Directors, and the client that talks to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from academy.exchange.client import UserExchangeClient
from academy.identifier import AgentId

from director.agent import DirectorAgent
from director.exchange import LoopbackExchange, connect, register
from director.launch import Launched, Site
from director.spec import DirectorSpec, ExchangeSpec


@dataclass(frozen=True)
class Up:
    """What was started.

    Attributes:
        spec: The exchange.
        exchange: The exchange, if it was started here too.
        directors: The Directors; they may still be starting.
        client: Connected to the exchange.
    """

    spec: ExchangeSpec
    exchange: LoopbackExchange | None
    directors: list[Launched]
    client: UserExchangeClient[Any]


async def start(
    specs_for: Callable[[ExchangeSpec], Sequence[DirectorSpec]], site: Site, exchange: ExchangeSpec | None
) -> Up:
    """Starts Directors. If anything fails, all that was started is ended again.

    Args:
        specs_for: What the Directors are told, given the exchange.
        site: Where they run.
        exchange: The exchange; None: one of this run's own, on this machine's loopback.

    Raises:
        OSError: If a process or the exchange cannot be started.
        ExchangeError: If the exchange cannot be reached; nothing was started then.
    """
    if exchange is not None:
        client = await connect(exchange)
        try:
            specs = specs_for(exchange)
            await _register(specs, client)
            return Up(exchange, None, _launch(specs, site), client)
        except BaseException:
            await client.close()
            raise
    own = LoopbackExchange()
    directors: list[Launched] = []
    try:
        # The Directors start while the exchange does: all that they are told is known already.
        specs = specs_for(own.spec)
        directors = _launch(specs, site)
        own.start()
        client = await connect(own.spec)
        await _register(specs, client)
    except BaseException:
        for director in directors:
            director.kill()
        own.close()
        raise
    return Up(own.spec, own, directors, client)


def _launch(specs: Sequence[DirectorSpec], site: Site) -> list[Launched]:
    directors: list[Launched] = []
    try:
        for spec in specs:
            directors.append(site.launch(spec))  # noqa: PERF401  (those launched before a failure must be ended)
    except BaseException:
        for director in directors:
            director.kill()
        raise
    return directors


async def _register(specs: Sequence[DirectorSpec], client: UserExchangeClient[Any]) -> None:
    for spec in specs:
        await register(client, DirectorAgent, AgentId(uid=spec.agent_id))
