"""Messages as campaigns have them, and as LangChain has them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from campaigns.language import Message, Reply, ToolCall, ToolFace
from campaigns.llm.packages import load

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage, BaseMessage


NOT_JSON = "not_a_json_object"
"""Under which name a model is shown what it wrote as arguments, if that was no JSON object."""


def to_langchain(messages: Sequence[Message]) -> list[BaseMessage]:
    """A conversation as LangChain has it."""
    kinds: Any = load("langchain_core.messages")

    def one(message: Message) -> BaseMessage:
        match message.role:
            case "system":
                made: BaseMessage = kinds.SystemMessage(message.content)
            case "user":
                made = kinds.HumanMessage(message.content)
            case "tool":
                made = kinds.ToolMessage(message.content, tool_call_id=message.tool_call_id or "")
            case "assistant":
                calls = [{"id": c.id, "name": c.name, "args": _arguments(c)} for c in message.tool_calls]
                made = kinds.AIMessage(message.content, tool_calls=calls)
        return made

    return [one(message) for message in messages]


def _arguments(call: ToolCall) -> dict[str, Any]:
    """Arguments as an object. Some servers do not take a conversation back in which others stand."""
    return {NOT_JSON: call.text} if call.arguments is None else dict(call.arguments)


def face_for_openai(face: ToolFace) -> dict[str, Any]:
    """A tool as endpoints are told of it."""
    function = {"name": face.name, "description": face.description, "parameters": dict(face.parameters)}
    return {"type": "function", "function": function}


def from_langchain(message: AIMessage, model: str) -> Reply:
    """A reply as campaigns have it. Calls whose arguments are no JSON object come last."""
    usage: Mapping[str, Any] = message.usage_metadata or {}
    metadata = message.response_metadata or {}
    return Reply(
        message=Message("assistant", _text(message), tool_calls=_calls(message)),
        model=str(metadata.get("model_name") or model),
        input_tokens=int(usage.get("input_tokens", 0)),
        output_tokens=int(usage.get("output_tokens", 0)),
        cut_off=metadata.get("finish_reason") == "length",
    )


def _text(message: AIMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    return "".join(part if isinstance(part, str) else str(part.get("text", "")) for part in message.content)


def _calls(message: AIMessage) -> tuple[ToolCall, ...]:
    good = [
        ToolCall(call["id"] or f"call-{place}", call["name"], call["args"], json.dumps(call["args"]))
        for place, call in enumerate(message.tool_calls)
    ]
    bad = [
        ToolCall(call["id"] or f"broken-{place}", call["name"] or "", None, str(call["args"] or ""))
        for place, call in enumerate(message.invalid_tool_calls)
    ]
    return (*good, *bad)
