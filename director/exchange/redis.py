"""Exchanges over Redis: mailboxes are lists in a Redis server that client and Directors reach."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import redis.asyncio
import redis.exceptions as problems
from academy.exception import BadEntityIdError, MailboxTerminatedError
from academy.exchange.mailbox_status import MailboxStatus
from academy.exchange.redis import (
    _CLOSE_SENTINEL,
    RedisExchangeTransport,
    _MailboxState,
    _RedisConnectionInfo,
)
from academy.identifier import AgentId, EntityId
from academy.message import Message
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from director.exchange.errors import ExchangeError
from director.exchange.telling import Meanings, Told, told
from director.spec import ExchangeSpec

logger = logging.getLogger(__name__)

CONNECT_S = 5.0
# A server that has been asked to wait for a message answers after so long, whether there is one or not.
WAIT_S = 5.0
SILENCE_S = 15.0

GIVE_PASSWORD = "Give its password (--exchange-secret FILE or DIRECTOR_EXCHANGE_SECRET)"  # noqa: S105  (a hint)
START_IT = (
    "Start it, or the tunnel that leads to it, or correct the URL (rediss:// where it speaks TLS, redis:// where not); "
    "a firewall may be in the way too"
)
GONE = Told("nobody answers for Redis at {url} ({error})", START_IT, True)
NOT_REDIS = Told("what answers at {url} is not a Redis server ({error})", "Correct the URL; rediss:// is for TLS")

# The first that fits is taken, so the special stand before the general.
MEANINGS: Meanings = (
    (problems.AuthenticationError, Told("Redis at {url} refused the password ({error})", GIVE_PASSWORD)),
    (problems.AuthorizationError, Told("Redis at {url} refused the password ({error})", GIVE_PASSWORD)),
    (
        problems.NoPermissionError,
        Told(
            "Redis at {url} does not permit this ({error})", "Name a user who may use all keys: redis://USER@HOST:PORT"
        ),
    ),
    (problems.BusyLoadingError, Told("Redis at {url} is still starting", "Try again in a while", True)),
    (problems.ReadOnlyError, Told("Redis at {url} is a copy that cannot be written", "Give the URL of its primary")),
    (problems.OutOfMemoryError, Told("Redis at {url} has no memory left", "Give it more (maxmemory)", True)),
    (problems.TimeoutError, Told("Redis at {url} does not answer in time", START_IT, True)),
    (TimeoutError, Told("Redis at {url} does not answer in time", START_IT, True)),
    (problems.InvalidResponse, NOT_REDIS),
    (problems.ConnectionError, GONE),
    (problems.ResponseError, Told("Redis at {url} refuses ({error})", "Correct the URL, or Redis's configuration")),
    (problems.RedisError, NOT_REDIS),
    (OSError, GONE),
    (UnicodeDecodeError, NOT_REDIS),
)


def connection(url: str, password: str | None) -> _RedisConnectionInfo:
    """How redis-py is told what a URL says. Pure.

    Args:
        url: ``redis://[USER@]HOST[:PORT][/DATABASE]``, or ``rediss://`` for TLS.
        password: The password, if there is one.
    """
    parts = urlsplit(url)
    kwargs: dict[str, Any] = {
        "db": int(parts.path.strip("/") or 0),
        "username": unquote(parts.username) if parts.username else None,
        "password": password,
        "ssl": parts.scheme == "rediss",
        "socket_connect_timeout": CONNECT_S,
        # By default, redis-py 8 gives up after 5 s, also while it waits for a message. With any time set it uses
        # `asyncio.wait_for`, which before Python 3.12 may lose a cancellation: a listener then never ends.
        "socket_timeout": None,
        # Who sends does so again; redis-py would do so on its own, for a minute.
        "retry": Retry(NoBackoff(), 0),
    }
    return _RedisConnectionInfo(parts.hostname or "", parts.port or 6379, kwargs)


def explained(url: str, error: Exception) -> ExchangeError | None:
    """Says in words what Redis, or the way to it, did wrong; None: it was something else."""
    return told(url, error, MEANINGS)


class RedisWire(RedisExchangeTransport):
    """Reaches an exchange that is a Redis server."""

    def __init__(self, spec: ExchangeSpec, mailbox_id: EntityId) -> None:
        self.spec = spec
        self.on_contact: Callable[[], None] = lambda: None
        info = connection(spec.url, spec.token.get_secret_value() if spec.token is not None else None)
        client = redis.asyncio.Redis(host=info.hostname, port=info.port, **info.kwargs)
        super().__init__(mailbox_id, client, redis_info=info)

    async def close(self) -> None:
        """See `ExchangeTransport.close`."""
        await self._client.aclose()

    async def make_mailbox(self, uid: EntityId, classes: str) -> None:
        """See `Wire.make_mailbox`."""
        await self._client.set(self._active_key(uid), _MailboxState.ACTIVE.value)
        if isinstance(uid, AgentId) and classes:
            await self._client.set(self._agent_key(uid), classes)

    async def state(self, uid: EntityId) -> MailboxStatus:
        """See `Wire.state`."""
        state = await self._client.get(self._active_key(uid))
        if state is None:
            return MailboxStatus.MISSING
        inactive = _bytes(state).decode() == _MailboxState.INACTIVE.value
        return MailboxStatus.TERMINATED if inactive else MailboxStatus.ACTIVE

    async def listen(self, timeout: float | None = None) -> AsyncGenerator[Message[Any]]:  # noqa: ASYNC109  (Academy's)
        """See `ExchangeTransport.listen`."""
        since = time.monotonic()
        while True:
            async with asyncio.timeout(SILENCE_S):
                state = await self.state(self.mailbox_id)
            if state is MailboxStatus.MISSING:
                raise BadEntityIdError(self.mailbox_id)
            if state is MailboxStatus.TERMINATED:
                raise MailboxTerminatedError(self.mailbox_id)
            self.on_contact()
            left_s = WAIT_S if timeout is None else since + timeout - time.monotonic()
            if left_s <= 0:
                raise TimeoutError(f"no message within {timeout:g} s")
            async with asyncio.timeout(SILENCE_S):
                found = await self._client.blpop([self._queue_key(self.mailbox_id)], timeout=min(left_s, WAIT_S))
            if found is None:
                continue
            content = _bytes(found[1])
            if content == _CLOSE_SENTINEL:
                raise MailboxTerminatedError(self.mailbox_id)
            since = time.monotonic()
            try:
                message: Message[Any] = Message.model_deserialize(content)
            except ValueError as error:
                logger.warning("dropped something in a mailbox at %s that is no message: %r", self.spec.url, error)
                continue
            yield message

    def explain(self, error: Exception) -> ExchangeError | None:
        """See `Wire.explain`."""
        return explained(self.spec.url, error)


def _bytes(answer: bytes | str) -> bytes:
    return answer if isinstance(answer, bytes) else answer.encode()
