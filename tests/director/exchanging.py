"""Real exchanges for tests, and the two ends that meet there: a Director that answers, and a client's link to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from academy.exchange.client_config import ExchangeClientConfig
from academy.handle import Handle
from academy.identifier import AgentId
from academy.runtime import Runtime, RuntimeConfig
from academy.serialize import SerializationStrategy

from director.agent import DirectorAgent
from director.engine import Engine
from director.exchange import factory_of, registration_of
from director.exchange.server import Served, begin, exchange_app
from director.exchange.tokens import new_secret
from director.ledger import MemoryLedger
from director.link import DirectorLink
from director.runfolder import RunFolder
from director.spec import ExchangeSpec
from simulations.mock_md import TOOL
from tests.helpers import HandPool, attempt_result, partition, tools_of, wait_until


def free_port() -> int:
    """A port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


class HttpServer:
    """An exchange over HTTP on a port of its own, which can be ended and started again."""

    def __init__(self, authenticator, backend=None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._authenticator, self._backend = authenticator, backend
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._served: Served | None = None
        self.start()

    def start(self) -> None:
        """Starts it; what it knew before is forgotten, unless its backend keeps it."""

        async def serve():
            listener = socket.create_server(("127.0.0.1", self.port), backlog=100)
            return await begin(exchange_app(self._authenticator, self._backend), listener)

        self._served = asyncio.run_coroutine_threadsafe(serve(), self._loop).result(20)

    def end(self) -> None:
        """Ends it: connections break, and new ones are refused."""
        if self._served is not None:
            asyncio.run_coroutine_threadsafe(self._served.cleanup(), self._loop).result(20)
            self._served = None

    def close(self) -> None:
        """Ends it for good."""
        self.end()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class RedisServer:
    """Debian's Redis on a loopback port of its own, with a password. Started again, it knows what it knew."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            missing = "redis-server is not installed: apt-get install redis-server"
            pytest.fail(missing) if os.environ.get("REQUIRE_SERVICES") else pytest.skip(missing)
        self.port = free_port()
        self.password = new_secret()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._program, self._folder = program, folder
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "redis.conf"
        config.touch(mode=0o600)
        config.write_text(
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {self.password.get_secret_value()}\n"
            f"dir {folder}\nappendonly yes\nappendfsync always\nsave ''\nlogfile {folder / 'redis.log'}\n"
        )
        self.start()

    def spec(self, **changes) -> ExchangeSpec:
        """How to reach it."""
        return ExchangeSpec(**{"kind": "redis", "url": self.url, "token": self.password, **changes})

    def start(self) -> None:
        """Starts it."""
        self._process = subprocess.Popen([self._program, str(self._folder / "redis.conf")], stdout=subprocess.DEVNULL)
        wait_until(self._answers, what=f"the start of {self._program}")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "redis.log").read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return b"NOAUTH" in connection.recv(100)
        return False

    def ask(self, *words: str) -> str:
        """Asks it something."""
        done = subprocess.run(
            ["redis-cli", "-p", str(self.port), *words],
            env={**os.environ, "REDISCLI_AUTH": self.password.get_secret_value()},
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
        return done.stdout

    def pause(self) -> None:
        """Lets it fall silent, with its connections open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Ends the silence."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Kills it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def closing(server) -> Iterator:
    """Ends a server when the test ends."""
    try:
        yield server
    finally:
        (server.close if hasattr(server, "close") else server.end)()


class PromptPool(HandPool):
    """A Pool whose attempts end as soon as they are handed over."""

    def submit(self, attempts):
        """Ends them."""
        future = super().submit(attempts)
        future.set_result([attempt_result(attempt) for attempt in attempts])
        return future


@contextlib.asynccontextmanager
async def director(
    spec: ExchangeSpec, folder: Path, agent_id: AgentId | None = None, pool=None
) -> AsyncIterator[Runtime]:
    """A Director that answers at an exchange: the real agent and engine, without worker processes."""
    engine = Engine(
        index=0, partition=partition(2), tools=tools_of(TOOL), ledger=MemoryLedger(), pool=pool or PromptPool(workers=8)
    )
    await engine.start()
    agent_id = agent_id or AgentId(uid=uuid.uuid4())
    runtime = Runtime(
        DirectorAgent(engine, RunFolder(folder), lambda: None),
        exchange_factory=factory_of(spec),
        registration=registration_of(spec, agent_id, DirectorAgent),
        config=RuntimeConfig(
            default_serializer=SerializationStrategy.JSON, allowed_deserializers={SerializationStrategy.JSON}
        ),
    )
    try:
        async with runtime:
            yield runtime
    finally:
        await engine.close()


@contextlib.asynccontextmanager
async def link(client, agent_id, receive=lambda outcome: None, workers: int = 8) -> AsyncIterator[DirectorLink]:
    """A client's link to a Director."""
    made = DirectorLink(0, agent_id, client, workers=workers, receive=receive)
    try:
        yield made
    finally:
        await made.close()


def handle_of(client, agent_id: AgentId, **options) -> Handle:
    """What calls an agent through this client, also in a test whose own task runs a Director."""
    options = {"request_serializer": SerializationStrategy.JSON, **options}
    return Handle(agent_id, exchange=client, ignore_context=True, **options)


def often(factory):
    """The same factory, whose clients say every 0.2 s that they are there."""
    factory.config = ExchangeClientConfig(heartbeat_interval=0.2)
    return factory


class Relay:
    """A way to a server, which can fall silent with its connections open, as when a cable is pulled."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task] = set()
        self._dead: set[int] = set()
        self._generation = 0
        self.connections = 0

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def silence(self) -> None:
        """Carries nothing more on the connections that there are; new ones are carried."""
        self._dead.add(self._generation)
        self._generation += 1

    async def _relay(self, reader, writer) -> None:
        self.connections += 1
        generation = self._generation
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._to)

        async def carry(source, sink):
            while chunk := await source.read(65536):
                if generation in self._dead:
                    await asyncio.Event().wait()
                sink.write(chunk)
            if generation in self._dead:
                await asyncio.Event().wait()
            sink.close()

        ways = [asyncio.create_task(carry(reader, to_writer)), asyncio.create_task(carry(to_reader, writer))]
        self._tasks |= set(ways)
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(*ways)
