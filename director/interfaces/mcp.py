"""The Tools of a run as an MCP server, for any program that speaks the Model Context Protocol."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from director.fleet import Fleet
from director.interfaces.calling import WAIT_S, ToolCaller
from director.interfaces.extras import need

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp.server import MCPServer

INSTRUCTIONS = (
    "Each tool runs a simulation on the nodes of one run and answers in JSON: status ok with its result, or failed, "
    "timeout, cancelled, refused or lost with what was wrong and what to do. Units stand in the descriptions. Equal "
    "inputs are not run twice. status running: it takes longer than a call waits, and goes on by itself."
)


def mcp_server(
    fleet: Fleet, *, only: Sequence[str] | None = None, base: Path | None = None, wait_s: float = WAIT_S
) -> MCPServer[Any]:
    """An MCP server with the Tools of a run, with the Tools' own JSON schemas.

    Args:
        fleet: The run's Directors; held open by the caller for as long as the server runs.
        only: Names of the Tools; None: all.
        base: Folder that files which an agent names must lie in; None: the current folder.
        wait_s: How long a call waits for its Outcome, in s.

    Raises:
        Refused: If MCP is not installed.
        KeyError: If the run has no Tool of a name.
    """
    server = need("mcp.server")
    from director.interfaces.mcp_tool import DirectorTool

    caller = ToolCaller(fleet, base=base, wait_s=wait_s)
    names = list(caller.tools) if only is None else only
    made: MCPServer[Any] = server.MCPServer(
        f"md-director {fleet.record.run_id}",
        instructions=INSTRUCTIONS,
        version=version("md-director"),
        tools=[DirectorTool.of(caller.tools[name], caller) for name in names],
        log_level="WARNING",
    )
    return made
