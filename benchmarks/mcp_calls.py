"""What it costs an agent to call a Tool through each way in, beside the same call of the Fleet."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from benchmarks.table import Row, at_most
from director import Fleet
from director.interfaces.gate import Tokens
from director.interfaces.guarded import GuardedCaller
from director.interfaces.langchain import director_tools
from director.interfaces.mcp import server_of
from director.interfaces.serving import http_gate, listen, serve_http

CALLS = 100
WARM = 10
BAR_MS = 20.0
TOKEN = "t" * 40

Call = Callable[[int], Awaitable[Any]]


def tool_calls(folder: Path) -> list[Row]:
    """A call of a Tool that does nothing: guarded, written down, and journaled; less the same call of the Fleet.

    The two take turns, so that both see the same machine.
    """
    return asyncio.run(_measured(folder))


async def _measured(folder: Path) -> list[Row]:
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(Fleet.launch(nodes=2, run_dir=folder / "run", workers_per_node=1))
        ways = await _ways(stack, fleet, folder)
        rows = []
        for block, (name, call) in enumerate(ways.items()):
            rows.append(await _overhead(name, call, fleet, first=(block + 1) * 10_000))
        return rows


async def _ways(stack: AsyncExitStack, fleet: Fleet, folder: Path) -> dict[str, Call]:
    caller = GuardedCaller.of(fleet, "bench", state=folder / "state")
    (tool,) = director_tools(fleet, only=["mock_md"], state=folder / "langchain")
    inner = await stack.enter_async_context(Client(server_of(caller, fleet.record.run_id)))
    command = StdioServerParameters(
        command=str(Path(sys.executable).with_name("director")),
        args=["mcp", str(folder / "run"), "--state", str(folder / "stdio")],
    )
    piped = await stack.enter_async_context(Client(command))
    sock = listen(0)
    port = sock.getsockname()[1]
    gate = http_gate(server_of(caller, fleet.record.run_id), Tokens(agents={"bench": TOKEN}), port, None)
    serving = asyncio.create_task(serve_http(gate, sock))
    stack.push_async_callback(_ended, serving)
    http = await stack.enter_async_context(httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60))
    over = await stack.enter_async_context(
        Client(streamable_http_client(f"http://127.0.0.1:{port}/mcp", http_client=http))
    )

    async def by_mcp(client: Client, seed: int) -> Any:
        answer = await client.call_tool("mock_md", _inputs(seed))
        return answer.structured_content

    async def by_langchain(seed: int) -> Any:
        return json.loads(await tool.ainvoke(_inputs(seed)))

    return {
        "GuardedCaller": lambda seed: caller.call("mock_md", _inputs(seed)),
        "LangChain tool": by_langchain,
        "MCP, in this process": lambda seed: by_mcp(inner, seed),
        "MCP, standard input and output": lambda seed: by_mcp(piped, seed),
        "MCP, HTTP on loopback": lambda seed: by_mcp(over, seed),
    }


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _overhead(name: str, call: Call, fleet: Fleet, first: int) -> Row:
    ours, theirs = [], []
    for index in range(-WARM, CALLS):
        begin = time.perf_counter()
        answer = await call(first + 2 * (index + WARM))
        middle = time.perf_counter()
        outcome = await fleet.run("mock_md", **_inputs(first + 2 * (index + WARM) + 1))
        end = time.perf_counter()
        assert answer["status"] == outcome.status == "ok", answer
        if index >= 0:
            ours.append(1e3 * (middle - begin))
            theirs.append(1e3 * (end - middle))
    more = statistics.median(ours) - statistics.median(theirs)
    return at_most(f"{name}: a call more than fleet.run, p50 (ms)", _shown(ours), _shown(theirs), more, BAR_MS)


def _inputs(seed: int) -> dict[str, Any]:
    return {"duration_s": 0.0, "seed": seed}


def _shown(times_ms: list[float]) -> str:
    last = statistics.quantiles(times_ms, n=20)[-1]
    return f"{statistics.median(times_ms):.1f} ms, p95 {last:.1f} ms"
