"""One agent's turn: it is told a message, may call Tools, and answers or fails; within bounds."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from campaigns.language import Message, Reply, ToolCall, ToolFace
from campaigns.llm.settings import LanguageSettings
from director.team.desk import Call, Desk, Said
from director.team.records import AgentAnswer, AnswerStatus, ToolUse

MAX_TOOL_RESULT = 20_000
"""Most characters of a Tool's answer that a model is told."""

MAX_CALLS_AT_ONCE = 16
"""Most Tools that a model may call in one reply."""


class Tools(Protocol):
    """What calls Tools for one agent: `director.interfaces.guarded.GuardedCaller`."""

    async def call(
        self, name: str, arguments: Mapping[str, Any], *, token: str | None = None, llm_tokens: int = 0
    ) -> dict[str, Any]:
        """Calls a Tool once; what goes wrong is said in the answer.

        Args:
            name: Of the Tool.
            arguments: Its inputs.
            token: Names this call: the same one with the same token is made once.
            llm_tokens: What the agent's model has used since it was last said.
        """
        ...


@dataclass
class Spending:
    """Counts the tokens of a session.

    Attributes:
        limit: Most tokens; None: no limit.
        spent: Tokens so far, sent and received.
    """

    limit: int | None = None
    spent: int = 0

    @property
    def refusal(self) -> str | None:
        """Why no model may be called any more; else None."""
        if self.limit is None or self.spent < self.limit:
            return None
        return f"the team's budget of {self.limit} tokens is used up ({self.spent}): raise max_tokens in the team file"


@dataclass
class Turn:
    """What is counted while a turn goes on.

    Attributes:
        name: Whose turn it is.
        settings: Of the model.
        asked_at: When it was asked for, on the monotonic clock, in s.
        told_tokens: How many of its tokens whoever calls Tools was told of.
    """

    name: str
    settings: LanguageSettings
    asked_at: float = field(default_factory=time.monotonic)
    waited_s: float = 0.0
    model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0
    began_at: float = 0.0
    ended_at: float = 0.0
    busy_s: float = 0.0
    calls: int = 0
    uses: list[ToolUse] = field(default_factory=list)
    key: str = ""
    where: str = ""
    told_tokens: int = 0

    def begins(self) -> None:
        """Notes that waiting is over."""
        self.waited_s = time.monotonic() - self.asked_at

    def counts(self, said: Said) -> None:
        """Adds a call up."""
        self.calls += 1
        self.busy_s += said.took_s
        self.began_at = self.began_at or said.began_at
        self.ended_at = said.began_at + said.took_s
        self.where = said.where
        if said.reply is not None:
            self.model = said.reply.model
            self.input_tokens += said.reply.input_tokens
            self.output_tokens += said.reply.output_tokens
            cost = self.settings.cost_usd(said.reply.input_tokens, said.reply.output_tokens)
            self.cost_usd = None if cost is None or self.cost_usd is None else self.cost_usd + cost

    def ended(self, status: AnswerStatus, *, text: str = "", error: str | None = None) -> AgentAnswer:
        """What has become of it."""
        return AgentAnswer(
            agent=self.name,
            status=status,
            text=text,
            error=error,
            model=self.model or self.settings.model,
            temperature=self.settings.temperature,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cost_usd=self.cost_usd,
            began_at=self.began_at,
            ended_at=self.ended_at,
            busy_s=self.busy_s,
            waited_s=self.waited_s,
            calls=self.calls,
            tool_uses=tuple(self.uses),
            key=self.key,
            where=self.where,
        )


class Asking:
    """Has models called, and counts what that takes.

    Args:
        desk: Runs the calls.
        spending: The session's tokens.
        name: Names the session; it is part of the ids of calls.
    """

    def __init__(self, desk: Desk, spending: Spending, name: str) -> None:
        self._desk = desk
        self.spending = spending
        self._name = name
        self._numbers = itertools.count(1)

    async def ask(self, turn: Turn, messages: Sequence[Message], tools: Sequence[ToolFace] = ()) -> Said:
        """Has a model called once. If whoever waits for it gives up, the call is stopped.

        Args:
            turn: Whose call it is; what it takes is added up there.
            messages: What the model is told.
            tools: What it may ask to have called.
        """
        name = f"{self._name}.{next(self._numbers)}"
        if refusal := self.spending.refusal:
            return Said(None, refusal, False, time.time(), 0.0, "")
        call = Call(name, turn.name, turn.settings, tuple(messages), tuple(tools))
        try:
            said = await asyncio.wrap_future(_plain(self._desk.submit(call)))
        except asyncio.CancelledError:
            self._desk.stop(name)
            raise
        except Exception as error:  # Parsl, or a worker: whatever it is, the other agents' answers still come
            return Said(
                None, f"its call could not be run: {type(error).__name__}: {error}", False, time.time(), 0.0, ""
            )
        turn.counts(said)
        if said.reply is not None:
            self.spending.spent += said.reply.input_tokens + said.reply.output_tokens
        return said


def _plain(theirs: Future[Said]) -> Future[Said]:
    """A future that can be given up: one of Parsl's cannot."""
    mine: Future[Said] = Future()

    def settle(done: Future[Said]) -> None:
        if not mine.set_running_or_notify_cancel():
            return
        error = done.exception()
        if error is None:
            mine.set_result(done.result())
        else:
            mine.set_exception(error)

    theirs.add_done_callback(settle)
    return mine


@dataclass(frozen=True)
class ToolDesk:
    """What an agent may call.

    Attributes:
        caller: Calls Tools.
        faces: The Tools as the model is told of them.
        rounds: How often it may ask for some before it has to answer.
        token: Names the message and the agent: the same call for both is made once.
    """

    caller: Tools | None = None
    faces: tuple[ToolFace, ...] = ()
    rounds: int = 0
    token: str = ""


async def take(turn: Turn, messages: Sequence[Message], asking: Asking, tools: ToolDesk) -> AgentAnswer:
    """Lets an agent answer; it may call Tools first.

    Args:
        turn: Whose turn it is.
        messages: What the agent is told.
        asking: Has its model called.
        tools: What it may call.

    Returns:
        What it said, or why it did not. Nothing is raised but `asyncio.CancelledError`.
    """
    told = list(messages)
    done: dict[str, str] = {}
    for _ in range(tools.rounds + 1):
        said = await asking.ask(turn, told, tools.faces)
        if said.reply is None:
            return turn.ended("cancelled" if said.cancelled else "failed", error=said.error)
        message = said.reply.message
        if not message.tool_calls:
            return _answered(turn, said.reply)
        if tools.caller is None:
            wanted = ", ".join(sorted({call.name for call in message.tool_calls}))
            return turn.ended("failed", error=f"it called {wanted} instead of answering, and has no Tools")
        told.append(replace(message, tool_calls=message.tool_calls[:MAX_CALLS_AT_ONCE]))
        told += [
            Message("tool", await _called(call, tools, turn, done), tool_call_id=call.id)
            for call in message.tool_calls[:MAX_CALLS_AT_ONCE]
        ]
    return turn.ended("failed", error=f"it still called Tools after {tools.rounds} rounds, and did not answer")


def _answered(turn: Turn, reply: Reply) -> AgentAnswer:
    text = reply.message.content.strip()
    limit = turn.settings.max_output_tokens
    if not text:
        why = f"all of its {limit} tokens were used before it said anything" if reply.cut_off else "it said nothing"
        return turn.ended("failed", error=why)
    return turn.ended("ok", text=f"{text} […cut off after {limit} tokens]" if reply.cut_off else text)


async def _called(call: ToolCall, tools: ToolDesk, turn: Turn, done: dict[str, str]) -> str:
    """Calls one Tool as a model asked, and says what it is told of that."""
    assert tools.caller is not None  # noqa: S101  (checked by `take`)
    known = [face.name for face in tools.faces]
    arguments = None if call.arguments is None else dict(call.arguments)
    if call.name not in known:
        problem: dict[str, Any] = {"status": "refused", "error": f"there is no tool {call.name!r}; yours: {known}"}
    elif arguments is None:
        problem = {"status": "refused", "error": f"the arguments are no JSON object: {call.text[:200]!r}"}
    else:
        key = json.dumps([call.name, arguments], sort_keys=True, default=str)
        if key not in done:  # the same call once more has the answer that it had
            used = turn.input_tokens + turn.output_tokens
            new, turn.told_tokens = used - turn.told_tokens, used
            answer = await tools.caller.call(call.name, arguments, token=f"{tools.token}/{len(done)}", llm_tokens=new)
            turn.uses.append(ToolUse(call.name, arguments, str(answer.get("status")), answer.get("id")))
            text = json.dumps(answer)
            done[key] = text if len(text) <= MAX_TOOL_RESULT else f"{text[:MAX_TOOL_RESULT]} […cut off]"
        return done[key]
    turn.uses.append(ToolUse(call.name, arguments, "refused"))
    return json.dumps(problem)
