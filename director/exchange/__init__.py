"""Exchanges: how client and Directors find each other and talk. Academy's, by configuration of several kinds."""

from __future__ import annotations

import logging
from typing import Any

from academy.agent import Agent
from academy.exchange.client import ExchangeClient, UserExchangeClient
from academy.identifier import AgentId

from director.exchange.choosing import ExchangeChoice, choose, settle
from director.exchange.errors import ExchangeError, MailboxClosedError
from director.exchange.factory import SteadyFactory
from director.exchange.hosted import HostedWire, log_in
from director.exchange.http import HttpWire
from director.exchange.loopback import LoopbackExchange
from director.exchange.redis import RedisWire
from director.exchange.registration import Registration, classes_of
from director.exchange.steady import SteadyTransport
from director.exchange.tokens import run_token
from director.exchange.wire import OpenWire
from director.spec import ExchangeSpec

__all__ = [
    "ExchangeChoice",
    "ExchangeError",
    "LoopbackExchange",
    "MailboxClosedError",
    "choose",
    "connect",
    "factory_of",
    "log_in",
    "register",
    "registration_of",
    "run_token",
    "settle",
    "trouble_of",
]

# Academy reports every mailbox that was closed early, with a traceback. Whoever sets logging up still gets it.
logging.getLogger("academy").addHandler(logging.NullHandler())

WIRES: dict[str, OpenWire] = {"http": HttpWire, "redis": RedisWire, "hosted": HostedWire}


def factory_of(spec: ExchangeSpec) -> SteadyFactory:
    """Makes clients of an exchange. They outlive it when it goes away and comes back; see `SteadyTransport`."""
    return SteadyFactory(spec, WIRES[spec.kind])


def registration_of(spec: ExchangeSpec, agent_id: AgentId[Any], agent: type[Agent] | None = None) -> Registration:
    """What a `Runtime` needs to come to an agent's mailbox, which it makes if it is not there.

    Args:
        spec: The exchange.
        agent_id: The agent's address.
        agent: Its class; None: a mailbox that has to be made anew is not found by its agent's class.
    """
    classes = classes_of(agent) if agent is not None else ""
    return Registration(agent_id=agent_id, exchange_type=spec.kind, classes=classes)


async def connect(spec: ExchangeSpec, *, name: str = "fleet") -> UserExchangeClient[Any]:
    """Connects to an exchange.

    Args:
        spec: Which.
        name: Name of the client, for the exchange's logs.

    Raises:
        ExchangeError: If that fails; it says why, and what to do. It takes no longer than 8 s.
    """
    return await factory_of(spec).create_user_client(name=name)


async def register(client: UserExchangeClient[Any], agent: type[Agent], agent_id: AgentId[Any]) -> None:
    """Makes an agent's mailbox under an address that was chosen before. One that is there is left as it is.

    Raises:
        MailboxClosedError: If it was closed: an exchange gives no address twice.
        ExchangeError: If the exchange does not do it.
    """
    await _transport_of(client).register_as(agent, agent_id)


def trouble_of(client: ExchangeClient[Any]) -> ExchangeError | None:
    """What keeps the exchange from answering this client or agent, as far as is known; None while it answers."""
    return _transport_of(client).trouble


def _transport_of(client: ExchangeClient[Any]) -> SteadyTransport:
    transport = client._transport
    if not isinstance(transport, SteadyTransport):
        raise TypeError(f"not a client that `connect` made: {client}")
    return transport
