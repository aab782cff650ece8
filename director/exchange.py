"""The loopback exchange: Academy's HTTP exchange behind a secret of the run.

A loopback port is open to every user of a shared machine, so each request must carry the run's token.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import socket
import threading
from collections.abc import Mapping
from typing import Any, Self

import aiohttp
from academy.agent import Agent
from academy.exception import UnauthorizedError
from academy.exchange.cloud.app import authenticate_factory, create_app
from academy.exchange.cloud.client import (
    HttpAgentRegistration,
    HttpExchangeFactory,
    HttpExchangeTransport,
    _raise_for_status,
)
from academy.exchange.cloud.client_info import ClientInfo
from academy.exchange.cloud.config import ExchangeServingConfig
from academy.identifier import AgentId, EntityId
from aiohttp import web
from pydantic import SecretStr

from director.spec import ExchangeSpec

# Academy reports every mailbox that was closed early, with a traceback. Whoever sets logging up still gets it.
logging.getLogger("academy").addHandler(logging.NullHandler())

HOST = "127.0.0.1"
TOKEN_BYTES = 32
# Academy's listener waits a second between two listens, so a listen should be long.
LISTEN_S = 3600
START_TIMEOUT_S = 30.0


class TokenAuthenticator:
    """Lets in whoever sends the run's token."""

    def __init__(self, token: SecretStr) -> None:
        self._expected = f"Bearer {token.get_secret_value()}".encode()

    async def authenticate_user(self, headers: Mapping[str, str]) -> ClientInfo:
        """Checks the token.

        Raises:
            UnauthorizedError: If it is missing or wrong.
        """
        if not hmac.compare_digest(headers.get("Authorization", "").encode(), self._expected):
            raise UnauthorizedError
        return ClientInfo(client_id="", group_memberships=set())


class LoopbackTransport(HttpExchangeTransport):
    """Academy's HTTP transport, which never goes through a proxy: the exchange is on this machine."""

    @classmethod
    def create_session(cls, connection_info: Any) -> aiohttp.ClientSession:
        """Makes a session that ignores ``HTTP_PROXY`` and the like."""
        return aiohttp.ClientSession(
            headers=connection_info.additional_headers,
            timeout=connection_info.client_timeout,
            trust_env=False,
        )

    def factory(self) -> LoopbackFactory:
        """A factory for further clients of the same exchange."""
        return LoopbackFactory(
            self._info.url,
            additional_headers=self._info.additional_headers,
            request_timeout_s=self._info.request_timeout_s,
        )

    async def register_as(self, agent: type[Agent], agent_id: AgentId[Any]) -> None:
        """Registers an agent under an id that was chosen before, so that its process can be started meanwhile."""
        async with self._request_with_retry_and_refresh(
            "post",
            self._mailbox_url,
            json={"mailbox": agent_id.model_dump_json(), "agent": ",".join(agent._agent_mro())},
        ) as response:
            _raise_for_status(response, self.mailbox_id, agent_id)


class LoopbackFactory(HttpExchangeFactory):
    """Makes clients of a loopback exchange."""

    async def _create_transport(
        self,
        mailbox_id: EntityId | None = None,
        *,
        name: str | None = None,
        registration: HttpAgentRegistration[Any] | None = None,  # type: ignore[override]
    ) -> LoopbackTransport:
        return await LoopbackTransport.new(
            connection_info=self._info, mailbox_id=mailbox_id, name=name, auth_method=self._auth_method
        )


def exchange_factory(spec: ExchangeSpec) -> LoopbackFactory:
    """Makes clients of the exchange that a spec names."""
    return LoopbackFactory(
        spec.url,
        additional_headers={"Authorization": f"Bearer {spec.token.get_secret_value()}"},
        request_timeout_s=LISTEN_S,
    )


class LoopbackExchange:
    """An exchange on a free port of this machine's loopback, in a thread of its own.

    The port is open from the moment this returns, and takes connections as soon as `start` has run.
    """

    def __init__(self) -> None:
        self._socket = socket.create_server((HOST, 0), backlog=1024)
        port = self._socket.getsockname()[1]
        token = SecretStr(secrets.token_urlsafe(TOKEN_BYTES))
        self.spec = ExchangeSpec(url=f"http://{HOST}:{port}", host=socket.gethostname(), token=token)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="exchange", daemon=True)
        self._runner: web.AppRunner | None = None

    def start(self) -> Self:
        """Begins to answer.

        Raises:
            TimeoutError: If it does not within 30 s.
        """
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(START_TIMEOUT_S)
        return self

    async def _serve(self) -> None:
        app = create_app(ExchangeServingConfig(host=HOST, listen_timeout_s=LISTEN_S))
        # Outermost, so that nothing is done for a request before its token is checked.
        app.middlewares.insert(0, authenticate_factory(TokenAuthenticator(self.spec.token)))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()

    def close(self) -> None:
        """Stops answering. May be called twice."""
        if self._thread.is_alive():
            if self._runner is not None:
                asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(START_TIMEOUT_S)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        if not self._loop.is_closed():
            self._loop.close()
        self._socket.close()
