"""Starting a run: exchange, Directors, and the client that talks to them."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from academy.exchange.client import UserExchangeClient
from academy.identifier import AgentId

from director.agent import DirectorAgent
from director.exchange import LoopbackExchange, LoopbackTransport, exchange_factory
from director.launch import Launched, Site
from director.plan import director_specs
from director.runfolder import RunFolder, RunRecord
from director.spec import ExchangeSpec


@dataclass(frozen=True)
class Up:
    """What was started.

    Attributes:
        exchange: The exchange.
        directors: The Directors; they may still be starting.
        client: Connected to the exchange.
    """

    exchange: LoopbackExchange
    directors: list[Launched]
    client: UserExchangeClient[Any]


async def start(record: RunRecord, folder: RunFolder, site: Site, *, memory_ledger: bool) -> Up:
    """Starts a run whose folder has been made. If anything fails, all that was started is ended again.

    Raises:
        OSError: If a process or the exchange cannot be started.
    """
    exchange = LoopbackExchange()
    directors: list[Launched] = []
    try:
        # The Directors start while the exchange does: all that they are told is known already.
        for spec in director_specs(record, str(folder.path), exchange.spec, memory_ledger=memory_ledger):
            directors.append(site.launch(spec))  # noqa: PERF401  (those launched before a failure must be ended)
        exchange.start()
        folder.write_exchange(exchange.spec)
        client = await connect(exchange.spec)
        transport = client._transport
        assert isinstance(transport, LoopbackTransport)  # noqa: S101  (our factory makes no other)
        for agent_id in record.agent_ids:
            await transport.register_as(DirectorAgent, AgentId(uid=uuid.UUID(agent_id)))
    except BaseException:
        for director in directors:
            director.kill()
        exchange.close()
        raise
    return Up(exchange, directors, client)


async def connect(spec: ExchangeSpec) -> UserExchangeClient[Any]:
    """Connects to an exchange.

    Raises:
        OSError: If nobody listens there.
        UnauthorizedError: If the token is wrong.
    """
    url = urlsplit(spec.url)
    # Academy would leave a session open if nobody listens.
    _, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.close()
    return await exchange_factory(spec).create_user_client(name="fleet")
