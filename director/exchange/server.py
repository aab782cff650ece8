"""Serving an exchange over HTTP: Academy's application, behind a check of each request's token."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio
from academy.exchange.cloud.app import authenticate_factory, create_app
from academy.exchange.cloud.authenticate import Authenticator
from academy.exchange.cloud.config import ExchangeServingConfig, PythonBackendConfig, RedisBackendConfig
from aiohttp import web
from pydantic import SecretStr

from director.exchange.redis import connection, explained

LONGEST_LISTEN_S = 3600
END_WITHIN_S = 0.2
GONE_WITHIN_S = 1.0
CHECK_S = 8.0
# A connection that was accepted is known to the server in a later turn of the event loop, and one that was told to
# close does so in a later turn. The loop may be stopped right after this.
TURNS_TO_SETTLE = 5

Backend = PythonBackendConfig | RedisBackendConfig
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def redis_backend(url: str, password: SecretStr | None) -> RedisBackendConfig:
    """Keeps mailboxes in a Redis server, so that they outlive the exchange's process."""
    info = connection(url, password.get_secret_value() if password is not None else None)
    return RedisBackendConfig(hostname=info.hostname, port=info.port, kwargs=info.kwargs)


async def check_backend(backend: Backend | None) -> None:
    """Sees whether mailboxes can be kept there.

    Raises:
        ExchangeError: If not.
    """
    if isinstance(backend, RedisBackendConfig):
        url = f"{'rediss' if backend.kwargs['ssl'] else 'redis'}://{backend.hostname}:{backend.port}"
        client = redis.asyncio.Redis(host=backend.hostname, port=backend.port, **backend.kwargs)
        try:
            async with asyncio.timeout(CHECK_S):
                await client.ping()
        except Exception as error:
            raise explained(url, error) or error from error
        finally:
            await client.aclose()


def exchange_app(authenticator: Authenticator, backend: Backend | None = None) -> web.Application:
    """Academy's application.

    Args:
        authenticator: Says who sends a request; nothing is done for it before.
        backend: Where mailboxes are kept; None: in memory.
    """
    config = ExchangeServingConfig(listen_timeout_s=LONGEST_LISTEN_S, backend=backend or PythonBackendConfig())
    app = create_app(config)
    # Academy's own check, which would take everybody for the same client, is replaced.
    app.middlewares[:] = [authenticate_factory(authenticator), _latest_listens()]
    return app


@dataclass(frozen=True)
class Served:
    """An exchange that answers.

    Attributes:
        runner: What runs it.
        listener: Where it listens.
    """

    runner: web.AppRunner
    listener: socket.socket

    async def cleanup(self) -> None:
        """Ends it at once, also for those who listen or are just coming."""
        # Python's server loses, open, a connection that it has just accepted when it is closed.
        asyncio.get_running_loop().remove_reader(self.listener)
        await _turns()
        await self.runner.cleanup()
        await _turns()


async def begin(app: web.Application, listener: socket.socket) -> Served:
    """Begins to answer on a socket that listens."""
    # A listener that is gone must be noticed: its handler would take the next message, and lose it.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=END_WITHIN_S, handler_cancellation=True)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    return Served(runner, listener)


async def _turns() -> None:
    for _ in range(TURNS_TO_SETTLE):
        await asyncio.sleep(0)


@dataclass
class _Listener:
    transport: asyncio.Transport | None
    gone: asyncio.Event = field(default_factory=asyncio.Event)


def _latest_listens() -> Any:
    """Whoever listens to a mailbox last gets its messages.

    A client that has lost its connection and comes again may still be connected, as far as the server knows; what the
    older connection took would be lost.
    """
    listeners: dict[tuple[str, str], _Listener] = {}

    @web.middleware
    async def latest(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path != "/mailbox/listen":
            return await handler(request)
        try:
            mailbox = (await request.json()).get("mailbox")
        except (ValueError, AttributeError):
            raise web.HTTPBadRequest(text="not a JSON object") from None
        # By client as well: nobody is parted from a mailbox by somebody who may not listen to it.
        return await _after(listeners, (request.headers["client_id"], str(mailbox)), request, handler)

    return latest


async def _after(
    listeners: dict[tuple[str, str], _Listener], key: tuple[str, str], request: web.Request, handler: Handler
) -> web.StreamResponse:
    older = listeners.get(key)
    listeners[key] = mine = _Listener(request.transport)
    try:
        if older is not None and older.transport is not None:
            older.transport.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GONE_WITHIN_S):
                    await older.gone.wait()
        return await handler(request)
    finally:
        mine.gone.set()
        if listeners.get(key) is mine:
            del listeners[key]
