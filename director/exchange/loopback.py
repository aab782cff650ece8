"""The exchange of one run, in its client's process.

A loopback port is open to every user of a shared machine, so each request must carry the run's token.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Self

from director.exchange.server import Served, begin, exchange_app
from director.exchange.tokens import OneToken, new_secret
from director.spec import ExchangeSpec

HOST = "127.0.0.1"
START_TIMEOUT_S = 30.0


class LoopbackExchange:
    """An exchange on a free port of this machine's loopback, in a thread of its own.

    The port is open from the moment this returns, and takes connections as soon as `start` has run.
    """

    def __init__(self) -> None:
        self._socket = socket.create_server((HOST, 0), backlog=1024)
        port = self._socket.getsockname()[1]
        self._token = new_secret()
        self.spec = ExchangeSpec(url=f"http://{HOST}:{port}", host=socket.gethostname(), token=self._token)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="exchange", daemon=True)
        self._served: Served | None = None

    def start(self) -> Self:
        """Begins to answer.

        Raises:
            TimeoutError: If it does not within 30 s.
        """
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(START_TIMEOUT_S)
        return self

    async def _serve(self) -> None:
        self._served = await begin(exchange_app(OneToken(self._token)), self._socket)

    def close(self) -> None:
        """Stops answering. May be called twice."""
        if self._thread.is_alive():
            if self._served is not None:
                asyncio.run_coroutine_threadsafe(self._served.cleanup(), self._loop).result(START_TIMEOUT_S)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        if not self._loop.is_closed():
            self._loop.close()
        self._socket.close()
