"""The Tools of a run as LangChain tools, for agents of LangChain and LangGraph."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from director.fleet import Fleet
from director.interfaces.calling import WAIT_S, ToolCaller
from director.interfaces.extras import need
from simulations.tool import AnyTool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.tools import StructuredTool

    from director.interfaces.actions import Face
    from director.interfaces.guarded import GuardedCaller
    from director.interfaces.policy import Policy

TOKEN = "idempotency_token"  # noqa: S105  (a name)
"""Where a call's token stands in LangChain's configuration: ``{"configurable": {"idempotency_token": …}}``."""


def director_tools(
    fleet: Fleet,
    *,
    agent: str = "agent",
    policy: Policy | None = None,
    state: Path | None = None,
    only: Sequence[str] | None = None,
    base: Path | None = None,
    wait_s: float = WAIT_S,
) -> list[StructuredTool]:
    """The Tools and actions of a run as LangChain tools, guarded: for a stock agent of LangGraph.

    A tool answers in JSON text, whatever happens; see `director.interfaces.guarded.GuardedCaller.call`. A picture is
    the tool message's artifact, as the bytes of a PNG. The tools are asynchronous only: use ``ainvoke``.

    Args:
        fleet: The run's Directors; held open by the caller for as long as the tools are used.
        agent: The agent's name, by which rules and budgets go.
        policy: The rules; None: all is allowed, and a human is asked for what is destructive.
        state: Folder of the log and of questions to a human; None: ``agents`` in the run folder.
        only: Names of Tools and actions; None: all that the agent may call.
        base: Folder that files which an agent names must lie in; None: the current folder.
        wait_s: How long a call of a Tool waits for its Outcome, in s.

    Raises:
        Refused: If LangChain is not installed, or the run folder is not on this machine and ``state`` is not given.
        KeyError: If there is nothing of a name, or the agent may not call it.
    """
    from director.interfaces.guarded import GuardedCaller, Origin

    need("langchain_core.tools")
    caller = GuardedCaller.of(fleet, agent, policy=policy, state=state, base=base, wait_s=wait_s)
    return tools_of(caller.for_agent(agent, Origin(face="langchain")), only=only)


def tools_of(caller: GuardedCaller, *, only: Sequence[str] | None = None) -> list[StructuredTool]:
    """What an agent may call, as LangChain tools; see `director_tools`.

    Raises:
        Refused: If LangChain is not installed.
        KeyError: If there is nothing of a name, or the agent may not call it.
    """
    kind = need("langchain_core.tools").StructuredTool
    faces = {face.name: face for face in caller.faces}
    return [_guarded(faces[name], caller, kind) for name in (faces if only is None else only)]


def _guarded(face: Face, caller: GuardedCaller, kind: type[StructuredTool]) -> StructuredTool:
    config_type: Any = need("langchain_core.runnables").RunnableConfig

    async def call(director_config: Any = None, **inputs: Any) -> tuple[str, bytes | None]:
        answer = await caller.call(face.name, inputs, token=_token(director_config))
        image = answer.pop("image", None)
        if image is None:
            return json.dumps(answer), None
        png = base64.b64decode(image["data"])
        return json.dumps({**answer, "image": f"a PNG of {len(png)} bytes, which the person sees"}), png

    call.__annotations__["director_config"] = config_type  # by its type LangChain knows what it is to give
    return kind(
        name=face.name,
        description=face.description,
        args_schema=face.schema,
        coroutine=call,
        response_format="content_and_artifact",
    )


def answer_malformed(state: Mapping[str, Any]) -> dict[str, Any]:
    """Answers calls that a model has written so badly that LangChain cannot read them; for an agent of LangGraph.

    Without it, such an agent ends with a message that calls nothing. Give it as ``post_model_hook`` to
    ``create_react_agent``; the graph's ``recursion_limit`` bounds how often a model may try.
    """
    message_kind: Any = need("langchain_core.messages").ToolMessage
    calls = getattr(state["messages"][-1], "invalid_tool_calls", [])
    said = json.dumps(
        {
            "status": "refused",
            "problems": [
                {
                    "where": "arguments",
                    "message": "are not one object in JSON; nothing was called",
                    "hint": "Call the tool again, with its arguments as JSON",
                }
            ],
        }
    )
    return {
        "messages": [
            message_kind(content=said, tool_call_id=call["id"] or "", name=call["name"] or "unknown", status="error")
            for call in calls
        ]
    }


def langchain_tools(
    fleet: Fleet, *, only: Sequence[str] | None = None, base: Path | None = None, wait_s: float = WAIT_S
) -> list[StructuredTool]:
    """The Tools of a run, and nothing else, as LangChain tools with the Tools' own JSON schemas and without a guard.

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
        return json.dumps(await caller.call(tool.name, inputs, token=_token(director_config)))

    call.__annotations__["director_config"] = config_type  # by its type LangChain knows what it is to give
    return kind(name=tool.name, description=tool.summary, args_schema=tool.request.model_json_schema(), coroutine=call)


def _token(config: Any) -> str | None:
    """What the caller calls its call, if it says so."""
    token = ((config or {}).get("configurable") or {}).get(TOKEN)
    return None if token is None else str(token)
