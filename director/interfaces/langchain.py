"""The Tools of a run as LangChain tools, for agents of LangChain and LangGraph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from director.fleet import Fleet
from director.interfaces.calling import WAIT_S, ToolCaller
from director.interfaces.extras import need
from simulations.tool import AnyTool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.tools import StructuredTool

TOKEN = "idempotency_token"  # noqa: S105  (a name)
"""Where a call's token stands in LangChain's configuration: ``{"configurable": {"idempotency_token": …}}``."""


def langchain_tools(
    fleet: Fleet, *, only: Sequence[str] | None = None, base: Path | None = None, wait_s: float = WAIT_S
) -> list[StructuredTool]:
    """The Tools of a run as LangChain tools with the Tools' own JSON schemas.

    A tool answers in JSON text, whatever happens; see `director.interfaces.calling.ToolCaller.call`. It is asynchronous
    only: use ``ainvoke``.

    Args:
        fleet: The run's Directors; held open by the caller for as long as the tools are used.
        only: Names of the Tools; None: all.
        base: Folder that files which an agent names must lie in; None: the current folder.
        wait_s: How long a call waits for its Outcome, in s.

    Raises:
        Refused: If LangChain is not installed.
        KeyError: If the run has no Tool of a name.
    """
    tools = need("langchain_core.tools")
    caller = ToolCaller(fleet, base=base, wait_s=wait_s)
    names = list(caller.tools) if only is None else only
    return [_tool(caller.tools[name], caller, tools.StructuredTool) for name in names]


def _tool(tool: AnyTool, caller: ToolCaller, kind: type[StructuredTool]) -> StructuredTool:
    config_type: Any = need("langchain_core.runnables").RunnableConfig

    async def call(director_config: Any = None, **inputs: Any) -> str:
        token = ((director_config or {}).get("configurable") or {}).get(TOKEN)
        return json.dumps(await caller.call(tool.name, inputs, token=None if token is None else str(token)))

    call.__annotations__["director_config"] = config_type  # by its type LangChain knows what it is to give
    return kind(name=tool.name, description=tool.summary, args_schema=tool.request.model_json_schema(), coroutine=call)
