"""The form of OpenAI's chat completions: what a request must be, and what a reply looks like."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.llm.talk import Answer, Chat

ROLES = {"system", "developer", "user", "assistant", "tool"}


def refused(body: Any) -> str | None:
    """Why a real server would not take a request; None: it would."""
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        return "you must provide a model parameter"
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return "'messages' must not be empty"
    open_calls: list[str] = []
    for place, message in enumerate(messages):
        if message.get("role") not in ROLES:
            return f"'messages[{place}].role' is not one of {sorted(ROLES)}"
        if message["role"] == "tool":
            if message.get("tool_call_id") not in open_calls:
                return (
                    f"'messages[{place}]' with role 'tool' must be a response to a preceding message with 'tool_calls'"
                )
            open_calls.remove(message["tool_call_id"])
            continue
        if open_calls:
            return f"an assistant message with 'tool_calls' must be followed by tool messages; missing: {open_calls}"
        open_calls = [call["id"] for call in message.get("tool_calls") or []]
    if open_calls:
        return f"an assistant message with 'tool_calls' must be followed by tool messages; missing: {open_calls}"
    return None


def tokens_of(text: str) -> int:
    """How many tokens a text is counted as here: one for each four characters, and one."""
    return len(text) // 4 + 1


def completion(chat: Chat, answer: Answer, number: int) -> dict[str, Any]:
    """The body of a reply."""
    calls = [
        {"id": call.id or f"call-{number}-{place}", "type": "function", "function": _function(call.name, call.text)}
        for place, call in enumerate(answer.calls)
    ]
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or (None if calls else "")}
    if calls:
        message["tool_calls"] = calls
    sent, said = tokens_of(chat.all_text), tokens_of(answer.text + "".join(call.text for call in answer.calls))
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": chat.model,
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}],
        "usage": {"prompt_tokens": sent, "completion_tokens": said, "total_tokens": sent + said},
    }


def _function(name: str, arguments: str) -> dict[str, str]:
    return {"name": name, "arguments": arguments}


def chunks(whole: Mapping[str, Any], *, usage: bool) -> Iterator[bytes]:
    """A reply as server-sent events: the role, the words one by one, each call, the end, and what it cost."""
    message = whole["choices"][0]["message"]
    head = {"id": whole["id"], "object": "chat.completion.chunk", "created": whole["created"], "model": whole["model"]}

    def event(delta: Mapping[str, Any], reason: str | None = None) -> bytes:
        return _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})

    yield event({"role": "assistant", "content": ""})
    for piece in re.findall(r"\s*\S+\s*$|\s*\S+", message["content"] or ""):
        yield event({"content": piece})
    for place, call in enumerate(message.get("tool_calls") or []):
        yield event({"tool_calls": [{"index": place, **call}]})
    yield event({}, whole["choices"][0]["finish_reason"])
    if usage:
        yield _event({**head, "choices": [], "usage": whole["usage"]})
    yield b"data: [DONE]\n\n"


def _event(document: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"
