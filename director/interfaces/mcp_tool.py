"""A Tool or an action as MCP has it. This module imports MCP, which comes with the extra ``agents``."""

from __future__ import annotations

import json
from typing import Any

from mcp.server.mcpserver.tools.base import Tool as McpTool
from mcp.server.mcpserver.utilities.func_metadata import func_metadata
from mcp.types import CallToolResult, ImageContent, TextContent, ToolAnnotations
from pydantic import PrivateAttr

from director.interfaces.actions import Face
from director.interfaces.guarded import GuardedCaller, Origin

PREFIX = "md-director/"
TOKEN = f"{PREFIX}idempotency-token"  # (a name)
"""Where a call's token stands in ``_meta`` of ``tools/call``."""

WHY = f"{PREFIX}why"
"""Where the reason of a call stands there."""

LLM_TOKENS = f"{PREFIX}llm-tokens"
"""Where it stands there how many tokens the model has used to come to the call."""

AGENT = "director_agent"
"""Where the name of an agent stands in the scope of an HTTP request, once its token was found right."""

GOOD = ("ok", "running")


class DirectorTool(McpTool):
    """A Tool or an action whose arguments are checked at the door, which says all that is wrong with them."""

    _caller: GuardedCaller = PrivateAttr()

    @classmethod
    def of(cls, face: Face, caller: GuardedCaller) -> DirectorTool:
        """A Tool or an action with its own JSON schema."""
        made = cls(
            fn=_nothing,
            name=face.name,
            description=face.description,
            parameters=face.schema,
            fn_metadata=func_metadata(_nothing, structured_output=False),
            is_async=True,
            annotations=ToolAnnotations(
                read_only_hint=face.reads_only, destructive_hint=face.destroys, open_world_hint=False
            ),
        )
        made._caller = caller
        return made

    async def run(self, arguments: dict[str, Any], context: Any, convert_result: bool = False) -> CallToolResult:
        """Makes the call; see `GuardedCaller.call`. What went wrong is an answer that says so."""
        caller, meta = _caller(self._caller, context)
        answer = await caller.call(
            self.name,
            arguments,
            token=_word(meta, TOKEN),
            why=_word(meta, WHY),
            llm_tokens=_count(meta, LLM_TOKENS),
        )
        image = answer.pop("image", None)
        content: list[Any] = [TextContent(type="text", text=json.dumps(answer))]
        if image is not None:
            content.append(ImageContent(type="image", data=image["data"], mime_type=image["mime_type"]))
        return CallToolResult(content=content, structured_content=answer, is_error=answer["status"] not in GOOD)


async def _nothing() -> None:
    """Stands where MCP wants a function: `DirectorTool.run` does not call it."""


def _caller(caller: GuardedCaller, context: Any) -> tuple[GuardedCaller, dict[str, Any]]:
    """Who calls, and what stands in ``_meta``. Over HTTP the token says who; what the client calls itself is noted."""
    try:
        request = context.request_context
    except ValueError:  # it was called from Python, not by a request
        return caller, {}
    params = getattr(request.session, "client_params", None)
    info = getattr(params, "client_info", None)
    client = f"{info.name} {info.version}" if info is not None else None
    scope = getattr(request.request, "scope", None) or {}
    if AGENT in scope:
        return caller.for_agent(scope[AGENT], Origin("mcp-http", client)), dict(request.meta or {})
    return caller.for_agent(caller.agent, Origin("mcp-stdio", client)), dict(request.meta or {})


def _word(meta: dict[str, Any], name: str) -> str | None:
    return str(meta[name]) if name in meta else None


def _count(meta: dict[str, Any], name: str) -> int:
    value = meta.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
