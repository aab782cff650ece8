"""Serving an MCP server: over standard input and output, or over HTTP on loopback. Both can be stopped at any time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.stdio import stdio_server

from director.door import Problem, Refused
from director.interfaces.gate import MCP_PATH, Gate, Tokens

LOOPBACK = "127.0.0.1"
MOST_LINE_BYTES = 16 * 1024 * 1024
GRACE_S = 2


class _Lines:
    """Lines of standard input, for as long as somebody reads them: waiting for one can be given up."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        line = await self._reader.readline()
        if not line:
            raise StopAsyncIteration
        return line.decode("utf-8", errors="replace")


async def serve_stdio(server: MCPServer[Any]) -> None:
    """Serves until standard input ends, or this is cancelled.

    Raises:
        OSError: If standard input cannot be read.
    """
    async with _standard_input() as lines, stdio_server(stdin=lines) as (reading, writing):
        # `MCPServer.run_stdio_async` reads in a thread, which cannot be cancelled.
        inner = server._lowlevel_server
        await inner.run(reading, writing, inner.create_initialization_options())


@contextlib.asynccontextmanager
async def _standard_input() -> AsyncIterator[Any]:
    """Standard input, which is the null device for all others from here on; None if it is one that soon ends."""
    mode = os.fstat(0).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(0)):
        yield None
        return
    loop = asyncio.get_running_loop()
    # A terminal is opened anew: reading it without blocking must not change it for the shell that it is shared with.
    handle = os.open(os.ttyname(0), os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC) if os.isatty(0) else os.dup(0)
    with os.fdopen(handle, "rb", buffering=0) as stream:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        reader = asyncio.StreamReader(limit=MOST_LINE_BYTES)
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), stream)
        try:
            yield _Lines(reader)
        finally:
            transport.close()


class _Server(uvicorn.Server):
    """One that leaves signals to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield


def listen(port: int) -> socket.socket:
    """A socket of loopback.

    Args:
        port: Which; 0: one that is free.

    Raises:
        Refused: If it is taken.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it. asyncio sets it only where a socket names its protocol, and each answer waits 40 ms.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind((LOOPBACK, port))
        sock.listen(128)
    except OSError as error:
        sock.close()
        message = f"{port} on {LOOPBACK} cannot be used ({error.strerror})"
        raise Refused([Problem("port", message, "Name another one, or 0 for one that is free")]) from None
    return sock


async def serve_http(gate: Gate, sock: socket.socket) -> None:
    """Serves until this is cancelled. The socket is closed then."""
    config = uvicorn.Config(
        gate,
        log_config=None,
        access_log=False,
        log_level="warning",
        server_header=False,
        lifespan="on" if gate.serves_agents else "off",
        timeout_graceful_shutdown=GRACE_S,
        ws="none",
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[sock]), name="serve")
    try:
        await asyncio.shield(serving)
    finally:
        server.should_exit = True
        with contextlib.suppress(TimeoutError):  # it was cancelled then, with what it served
            await asyncio.wait_for(serving, 3 * GRACE_S)
        sock.close()


def http_gate(server: MCPServer[Any], tokens: Tokens, port: int, questions: Any) -> Gate:
    """What is served over HTTP: the MCP server for agents, and the questions for the person."""
    app = server.streamable_http_app(
        streamable_http_path=MCP_PATH,
        # Each request stands for itself: a client that is killed leaves nothing, and none can enter another's session.
        stateless_http=True,
        json_response=True,
        host=LOOPBACK,
    )
    return Gate(tokens, port, agents=app, questions=questions)
