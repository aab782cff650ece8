"""What tests of reasoners share: a subject, models made of functions, and an evaluation in this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from campaigns.language import LanguageModelError, Message, Reply, ToolCall
from campaigns.reasoner import Limits, Steps, ToolSubject
from simulations.mock_md import TOOL as MOCK
from simulations.records import ErrorInfo, Outcome, Request, Status

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def subject() -> ToolSubject:
    """Durations of the Tool that sleeps: the longer the better."""
    return ToolSubject(MOCK, varied=("duration_s",), objective="slept_s")


def steps(**limits) -> Steps:
    return Steps(subject(), Limits(**limits), Path())


def call(name="mock_md", number=1, **arguments) -> ToolCall:
    return ToolCall(f"call-{number}", name, arguments, json.dumps(arguments))


def reply(*calls: ToolCall, text="said") -> Reply:
    return Reply(Message("assistant", text, calls), "made", 100, 10)


def outcome(request: Request, *, ok=True) -> Outcome:
    error = ErrorInfo(type="BadInput", message="it cannot be", hint="take another")
    return Outcome(
        id=request.id,
        key="0" * 64,
        tool=request.tool,
        tool_version="1",
        status=Status.OK if ok else Status.FAILED,
        inputs=request.inputs,
        result={"slept_s": request.inputs["duration_s"]} if ok else None,
        error=None if ok else error,
        director=0,
        partition=["here"],
        submitted_at=NOON,
        finished_at=NOON,
    )


class HereEvaluate:
    """Evaluates at once, in the reverse of the order in which it is asked. Keeps what it was asked for."""

    def __init__(self, fails: Callable[[Request], bool] = lambda request: False) -> None:
        self.asked: list[Request] = []
        self._fails = fails
        self._done: asyncio.Queue[Outcome] = asyncio.Queue()

    async def submit(self, requests: Sequence[Request]) -> None:
        if any(request.inputs["duration_s"] == 13 for request in requests):
            raise ValueError("13 is refused at the door")
        for request in reversed(requests):
            self.asked.append(request)
            self._done.put_nowait(outcome(request, ok=not self._fails(request)))

    async def next(self) -> Outcome:
        return await self._done.get()

    async def close(self) -> None:
        """Has nothing to end."""


class Model:
    """Answers by a function of the conversation and the tools; keeps what it was sent."""

    def __init__(self, mind: Callable[[Sequence[Message], bool], Reply]) -> None:
        self.sent: list[Sequence[Message]] = []
        self._mind = mind

    def reply(self, messages, tools=(), *, choice=None) -> Reply:
        self.sent.append(messages)
        return self._mind(messages, "Call the tool now" in asked(messages) and "Conclude this" not in asked(messages))


class SilentModel:
    """Never answers."""

    def reply(self, messages, tools=(), *, choice=None) -> Reply:
        raise LanguageModelError("nobody is there. Start it")


def asked(messages: Sequence[Message]) -> str:
    """All that the user says."""
    return "\n".join(message.content for message in messages if message.role == "user")


def data(messages: Sequence[Message], heading: str):
    """The JSON under a heading of the user's first message."""
    line = next(line for line in asked(messages).splitlines() if line.startswith(heading))
    return json.loads(line.partition(": ")[2])


def counting(messages: Sequence[Message], tools: bool, *, step=1.0) -> Reply:
    """Asks for the two durations after the longest that is known or was asked for, and else says something."""
    if not tools:
        return reply(text="a thought")
    known = [one["duration_s"] for one in data(messages, "Your results (data)")]
    known += [one["duration_s"] for one in data(messages, "Best results of other reasoners (data)")]
    known += [c.arguments["duration_s"] for message in messages for c in message.tool_calls]
    longest = max(known, default=0.0)
    return reply(*(call(number=n, duration_s=longest + n * step) for n in (1, 2)))
