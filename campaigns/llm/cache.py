"""Equal questions answered by the reply that they had before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from campaigns.language import LanguageModel, Message, Reply, ToolCall, ToolFace


class Remembered:
    """A model that remembers its replies. What it knows is part of its state, as JSON has it.

    Args:
        model: Is asked what was not asked before.
        about: What the replies depend on beside the question: model, temperature and so on.
    """

    def __init__(self, model: LanguageModel, about: Mapping[str, Any]) -> None:
        self._model = model
        self._about = dict(about)
        self._replies: dict[str, dict[str, Any]] = {}

    def reply(self, messages: Sequence[Message], tools: Sequence[ToolFace] = (), *, choice: str | None = None) -> Reply:
        """See `campaigns.language.LanguageModel.reply`."""
        key = question_key(self._about, messages, tools, choice)
        if key in self._replies:
            return reply_from(self._replies[key] | {"reused": True, "input_tokens": 0, "output_tokens": 0})
        reply = self._model.reply(messages, tools, choice=choice)
        self._replies[key] = asdict(reply)
        return reply

    def get_state(self) -> dict[str, Any]:
        """All replies, by their questions' hashes."""
        return dict(self._replies)

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Takes over what another one knew."""
        self._replies = {str(key): dict(reply) for key, reply in state.items()}


def question_key(
    about: Mapping[str, Any], messages: Sequence[Message], tools: Sequence[ToolFace], choice: str | None
) -> str:
    """A hash that is equal for equal questions to equal models: 64 hexadecimal digits (SHA-256 of canonical JSON)."""
    document = [dict(about), [asdict(message) for message in messages], [asdict(tool) for tool in tools], choice]
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def reply_from(document: Mapping[str, Any]) -> Reply:
    """The reply of a document that ``dataclasses.asdict`` has made of it."""
    message = dict(document["message"])
    calls = tuple(ToolCall(**call) for call in message.pop("tool_calls"))
    return Reply(**{**document, "message": Message(**message, tool_calls=calls)})
