"""A supervisor: a model that decides, call by call, who answers a message, and when that is done; within bounds.

It can ask agents, pause and unpause them, give them other prompts, finish with an answer of its own, and stop. What it
decides is checked like anything that comes from outside; what cannot be done goes back to it with the reason.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from campaigns.language import Message, ToolCall, ToolFace
from director.door import problems_of
from director.team.members import PAUSED, PROMPT, UNPAUSED, NotPossibleError
from director.team.records import AgentAnswer
from director.team.settings import SUPERVISOR, MemorySettings, SupervisorSettings
from director.team.turn import MAX_CALLS_AT_ONCE, Asking, Turn
from director.team.wording import DATA, remembered, roster

if TYPE_CHECKING:
    from director.team.session import Team
    from director.team.work import Work


class _Decision(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Ask(_Decision):
    """Ask agents, all at the same time. You are told what they say."""

    agents: list[str] = Field(min_length=1, max_length=64, description="Their names.")
    instruction: str | None = Field(
        default=None, max_length=20_000, description="What they are to do with the message; null: answer it."
    )


class Pause(_Decision):
    """Do not ask an agent any more in this conversation."""

    agent: str = Field(description="Its name.")
    why: str = Field(min_length=1, max_length=2000, description="The reason; the user is told.")


class Unpause(_Decision):
    """Ask a paused agent again."""

    agent: str = Field(description="Its name.")
    why: str = Field(min_length=1, max_length=2000, description="The reason; the user is told.")


class EditPrompt(_Decision):
    """Give an agent another system prompt for the rest of this conversation."""

    agent: str = Field(description="Its name.")
    prompt: str = Field(min_length=1, max_length=100_000, description="The whole new prompt.")
    why: str = Field(min_length=1, max_length=2000, description="The reason; the user is told.")


class Finish(_Decision):
    """Give the team's answer to the user. Say who said what."""

    answer: str = Field(min_length=1, max_length=200_000, description="The answer.")


class Stop(_Decision):
    """End without an answer of yours. The user is shown what agents said."""

    why: str = Field(min_length=1, max_length=2000, description="The reason; the user is told.")


DECISIONS: dict[str, type[_Decision]] = {
    "ask": Ask,
    "pause": Pause,
    "unpause": Unpause,
    "edit_prompt": EditPrompt,
    "finish": Finish,
    "stop": Stop,
}
FACES = tuple(ToolFace(name, str(kind.__doc__), kind.model_json_schema()) for name, kind in DECISIONS.items())
MERGED = "not by the supervisor: one below the other, since "


class _Over(Exception):  # noqa: N818  (it is an end, not an error)
    """The message is answered, or will not be."""


async def supervise(team: Team, work: Work, turn: Turn, asking: Asking) -> None:
    """Answers a message as a supervisor decides.

    Args:
        team: The team.
        work: The message; its answer is put there.
        turn: Counts what the supervisor takes.
        asking: Has its model called.
    """
    settings = team.file.supervisor
    assert settings is not None  # noqa: S101  (the team file was checked)
    supervision = _Supervision(team, work, turn, asking, settings)
    work.heard("begins", SUPERVISOR, None)
    turn.begins()
    failure: str | None = None
    try:
        failure = await supervision.lead()
    except asyncio.CancelledError:
        team.note(work, turn.ended("cancelled", error="cancelled"), extra=True)
        raise
    if failure is None:
        team.note(work, turn.ended("ok", text=work.answer), extra=True)
        work.aggregated_by = f"supervisor: {turn.model}"
        if who := roster(work.answers):
            work.answer = f"{work.answer}\n\n{who}"
    else:
        team.note(work, turn.ended("failed", error=failure), extra=True)
        work.merge(f"{MERGED}{failure}", failure)


class _Supervision:
    def __init__(self, team: Team, work: Work, turn: Turn, asking: Asking, settings: SupervisorSettings) -> None:
        self._team = team
        self._work = work
        self._turn = turn
        self._asking = asking
        self._settings = settings
        self._corrections = 0
        self._failure: str | None = None

    async def lead(self) -> str | None:
        """Goes on until there is an answer; returns why there is none, else None."""
        told = self._begin()
        for step in range(self._settings.max_steps):
            said = await self._asking.ask(self._turn, told, FACES)
            if said.reply is None:
                return f"it failed: {said.error}"
            message = said.reply.message
            calls = message.tool_calls[:MAX_CALLS_AT_ONCE]
            told.append(Message("assistant", message.content, tool_calls=calls))
            left = self._settings.max_steps - step - 1
            try:
                if not calls:
                    told.append(Message("user", self._wrong("decide by calling one of your tools, such as finish")))
                for call in calls:
                    told.append(Message("tool", await self._decide(call, left), tool_call_id=call.id))
            except _Over:
                return self._failure
        return f"it had not finished after {self._settings.max_steps} decisions"

    def _begin(self) -> list[Message]:
        team, work = self._team, self._work
        agents = [
            {"name": one.name, "prompt": one.prompt, "paused": one.paused, "tools": one.settings.tools}
            for one in team.members.all
        ]
        memory: MemorySettings = team.file.memory.model_copy(update={"answers": "team"})
        told = [Message("system", f"{self._settings.prompt}\n\nYour agents:\n{json.dumps(agents, indent=1)}")]
        for question, answer in remembered(work.past, memory, SUPERVISOR):
            told += [Message("user", question), Message("assistant", answer)]
        return [*told, Message("user", work.text)]

    async def _decide(self, call: ToolCall, left: int) -> str:
        """Does what was decided, and says what came of it.

        Raises:
            _Over: If that was the last of it.
        """
        kind = DECISIONS.get(call.name)
        if kind is None:
            return self._wrong(f"there is no tool {call.name!r}; yours: {', '.join(DECISIONS)}")
        if call.arguments is None:
            return self._wrong(f"the arguments are no JSON object: {call.text[:200]!r}")
        try:
            decision = kind.model_validate(dict(call.arguments))
        except ValidationError as error:
            return self._wrong("; ".join(str(problem) for problem in problems_of(error, kind)))
        try:
            answer = await self._do(decision)
        except NotPossibleError as error:
            return self._wrong(str(error))
        return f"{answer}\n\nDecisions left: {left}."

    def _wrong(self, why: str) -> str:
        self._corrections += 1
        if self._corrections > self._settings.max_corrections:
            self._failure = f"{self._corrections} of its decisions could not be done; the last: {why}"
            raise _Over
        return f"Not done: {why}"

    async def _do(self, decision: _Decision) -> str:
        match decision:
            case Ask():
                return await self._ask(decision)
            case Pause():
                return self._change(decision.agent, PAUSED, decision.why)
            case Unpause():
                return self._change(decision.agent, UNPAUSED, decision.why)
            case EditPrompt():
                return self._change(decision.agent, PROMPT, decision.why, decision.prompt)
            case Finish():
                self._work.answer = decision.answer
            case Stop():
                self._failure = f"it stopped: {decision.why}"
        raise _Over

    async def _ask(self, decision: Ask) -> str:
        members = [self._team.members.find(name) for name in dict.fromkeys(decision.agents)]
        paused = [member.name for member in members if member.paused]
        if paused:
            raise NotPossibleError(f"{', '.join(paused)}: paused; unpause first, or ask others")
        before = tuple(self._work.answers)
        tasks = [
            asyncio.create_task(self._team.turn(member, self._work, said=before, instruction=decision.instruction))
            for member in members
        ]
        try:
            answers: list[AgentAnswer] = list(await asyncio.gather(*tasks))
            self._work.answers[len(before) :] = answers  # in the order in which they were asked
        finally:  # each writes down how far it came
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        said: list[dict[str, Any]] = [
            {"agent": one.agent, "said": one.text} if one.status == "ok" else {"agent": one.agent, "failed": one.error}
            for one in answers
        ]
        return f"{DATA}\n{json.dumps(said, indent=1)}"

    def _change(self, name: str, what: str, why: str, prompt: str | None = None) -> str:
        self._team.change(name, what, by=SUPERVISOR, why=why, prompt=prompt)
        done = f"{name} has another prompt" if what == PROMPT else f"{name} is {what}"
        event = f"{done}: {why}"
        self._work.events.append(event)
        self._work.heard("does", SUPERVISOR, event)
        return f"Done: {done}."
