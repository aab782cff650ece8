"""What goes over the wire to a language model and back, as the loopback server and its minds see it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Call:
    """A tool call that a mind wants made.

    Attributes:
        name: Of the tool.
        arguments: As JSON has them, or the very text that is sent as arguments.
        id: Its name; None: made from the request's number and its place.
    """

    name: str
    arguments: Mapping[str, Any] | str
    id: str | None = None

    @property
    def text(self) -> str:
        """The arguments as they are sent."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(dict(self.arguments))


@dataclass(frozen=True)
class Answer:
    """What a mind answers.

    Attributes:
        text: The words.
        calls: The tools that it wants called.
    """

    text: str = ""
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True)
class Chat:
    """A request as it came in.

    Attributes:
        body: The whole body of the request.
    """

    body: Mapping[str, Any]

    @property
    def messages(self) -> list[Mapping[str, Any]]:
        """The conversation."""
        return list(self.body["messages"])

    @property
    def model(self) -> str:
        """Which model is asked."""
        return str(self.body["model"])

    @property
    def temperature(self) -> float | None:
        """The temperature that was asked for; None: none was."""
        return self.body.get("temperature")

    @property
    def tools(self) -> dict[str, Mapping[str, Any]]:
        """JSON schema of the arguments of each tool, by its name."""
        found = [tool["function"] for tool in self.body.get("tools") or []]
        return {tool["name"]: tool.get("parameters") or {} for tool in found}

    @property
    def tool_choice(self) -> str | None:
        """The tool that must be called, ``required``, ``none`` or ``auto``; None: nothing is said of it."""
        choice = self.body.get("tool_choice")
        return choice["function"]["name"] if isinstance(choice, dict) else choice

    def texts(self, role: str) -> list[str]:
        """What one role has said, in order."""
        return [text_of(message) for message in self.messages if message["role"] == role]

    @property
    def system(self) -> str:
        """All system prompts."""
        return "\n".join(self.texts("system") + self.texts("developer"))

    @property
    def user(self) -> str:
        """The last that the user has said; empty: nothing."""
        return (self.texts("user") or [""])[-1]

    @property
    def last(self) -> str:
        """The last message, whoever said it."""
        return text_of(self.messages[-1])

    @property
    def all_text(self) -> str:
        """Everything that was said, arguments of calls included."""
        return "\n".join(
            "\n".join([text_of(message), *(call["function"]["arguments"] for call in message.get("tool_calls") or [])])
            for message in self.messages
        )

    def tool_results(self, name: str | None = None) -> list[tuple[str, Mapping[str, Any] | None, str]]:
        """Calls that were answered: name, arguments (None: no JSON object) and the result's text, in order."""
        asked: dict[str, tuple[str, Mapping[str, Any] | None]] = {}
        found = []
        for message in self.messages:
            for call in message.get("tool_calls") or []:
                asked[call["id"]] = (call["function"]["name"], json_object(call["function"]["arguments"]))
            if message["role"] == "tool":
                tool, arguments = asked[message["tool_call_id"]]
                found.append((tool, arguments, text_of(message)))
        return [item for item in found if name is None or item[0] == name]


Mind = Callable[[Chat], Answer]
"""Makes a reply from a request and nothing else, so that a test can say what must come."""


def text_of(message: Mapping[str, Any]) -> str:
    """The text of a message, whose content may be a list of parts."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content)
    return content or ""


def json_object(text: str) -> Mapping[str, Any] | None:
    """A JSON object; None: the text is none."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong with a reply.

    Attributes:
        kind: ``no_tool_call``, ``malformed_json``, ``duplicate_call``, ``unknown_tool``, ``out_of_range``,
            ``rate_limit`` (429), ``server_error`` (500), ``bad_gateway`` (an answer that is no JSON), ``slow``,
            ``dropped`` (the connection ends before an answer), ``cut`` (it ends in the middle of one),
            ``nonsense`` (an answer in JSON that is no completion).
        at: Which of the requests that fit, counted from 0; None: the next one.
        times: How many requests in a row.
        containing: Only requests that hold this text count.
        seconds: Of ``slow``: how much longer it takes, in s. Of ``rate_limit``: Retry-After; 0: none is said.
        arguments: Of ``out_of_range``: what is put in the place of the call's arguments of these names.
    """

    kind: str
    at: int | None = None
    times: int = 1
    containing: str = ""
    seconds: float = 0.0
    arguments: Mapping[str, Any] = field(default_factory=dict)
