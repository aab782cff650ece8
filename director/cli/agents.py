"""Commands for agents: ``director mcp`` serves the Tools of a run by the Model Context Protocol."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from director.cli.console import endings, err_console
from director.cli.target import ExchangeOption, RunArgument, SecretOption, Target, find_target
from director.door import Problem, Refused


def mcp(
    run: RunArgument,
    exchange: ExchangeOption = None,
    exchange_secret: SecretOption = None,
    tool: Annotated[
        list[str] | None, typer.Option(help="Serve this Tool only. May be repeated. Default: all Tools of the run.")
    ] = None,
    files: Annotated[
        Path, typer.Option(help="Folder that files which an agent names must lie in: what it may read of this machine.")
    ] = Path(),
    wait_s: Annotated[
        float, typer.Option(min=0.1, help="How long a call waits for its result, in s. What takes longer goes on.")
    ] = 300.0,
) -> None:
    """Serve the Tools of an open run to an agent, by MCP over standard input and output, until that closes.

    Needs the extra `agents`: pip install "md-director[agents]". The run goes on when the agent leaves.
    """
    with endings(as_json=False):
        if not files.is_dir():
            raise Refused([Problem("--files", f"{files} is not a folder", "Name one that is there")])
        asyncio.run(_serve(find_target(run, exchange, exchange_secret), tool, files, wait_s))


async def _serve(target: Target, only: list[str] | None, files: Path, wait_s: float) -> None:
    from director.interfaces.mcp import mcp_server

    async with await target.fleet() as fleet:
        unknown = sorted(set(only or ()) - set(fleet.tools))
        if unknown:
            hint = f"Tools of this run: {', '.join(sorted(fleet.tools))}"
            raise Refused([Problem("--tool", f"there is no tool {unknown[0]!r}", hint)])
        server: Any = mcp_server(fleet, only=only, base=files, wait_s=wait_s)
        err_console().print(f"serving {len(only or fleet.tools)} Tools of run {fleet.record.run_id}", soft_wrap=True)
        await server.run_stdio_async()
