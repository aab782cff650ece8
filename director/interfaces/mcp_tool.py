"""One Tool as MCP has it. This module imports MCP, which comes with the extra ``agents``."""

from __future__ import annotations

import json
from typing import Any

from mcp.server.mcpserver.tools.base import Tool as McpTool
from mcp.server.mcpserver.utilities.func_metadata import func_metadata
from mcp.types import CallToolResult, TextContent
from pydantic import PrivateAttr

from director.interfaces.calling import ToolCaller
from simulations.tool import AnyTool

TOKEN = "md-director/idempotency-token"  # noqa: S105  (a name)
"""Where a call's token stands in ``_meta`` of ``tools/call``."""


class DirectorTool(McpTool):
    """A Tool whose arguments are checked at the door, which says all that is wrong with them."""

    _caller: ToolCaller = PrivateAttr()

    @classmethod
    def of(cls, tool: AnyTool, caller: ToolCaller) -> DirectorTool:
        """A Tool with its own JSON schema."""
        made = cls(
            fn=_nothing,
            name=tool.name,
            description=tool.summary,
            parameters=tool.request.model_json_schema(),
            fn_metadata=func_metadata(_nothing, structured_output=False),
            is_async=True,
        )
        made._caller = caller
        return made

    async def run(self, arguments: dict[str, Any], context: Any, convert_result: bool = False) -> CallToolResult:
        """Calls the Tool; see `ToolCaller.call`. What went wrong is an answer that says so."""
        answer = await self._caller.call(self.name, arguments, token=_token(context))
        return CallToolResult(
            content=[TextContent(type="text", text=json.dumps(answer))],
            structured_content=answer,
            is_error=answer["status"] not in ("ok", "running"),
        )


async def _nothing() -> None:
    """Stands where MCP wants a function: `DirectorTool.run` does not call it."""


def _token(context: Any) -> str | None:
    """What the caller calls its call, if it says so."""
    try:
        meta = context.request_context.meta or {}
    except ValueError:  # it was called from Python, not by a request
        return None
    return str(meta[TOKEN]) if TOKEN in meta else None
