"""Calls of agents, each of them asked of the guard, written down, and made or refused. All ways in go through here."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from director.call import DirectorLost
from director.door import Problem, Refused
from director.exchange import ExchangeError
from director.fleet import Fleet
from director.interfaces.actions import Answer, Face, Prepared, RunActions
from director.interfaces.audit import AuditError, Event, cut, shown_arguments
from director.interfaces.calling import WAIT_S, lost, refused
from director.interfaces.guard import Ask, Decision, Verdict, may
from director.interfaces.guarding import Guard
from director.interfaces.policy import Policy

STATE = "agents"
WHY = "why"

_WHY_FIELD = {
    "type": "string",
    "minLength": 1,
    "maxLength": 2000,
    "description": "What this call is for, in a sentence.",
}


@dataclass(frozen=True)
class Origin:
    """Where a call comes from.

    Attributes:
        face: By which way in: ``python``, ``langchain``, ``mcp-stdio`` or ``mcp-http``.
        client: What the agent's program calls itself.
    """

    face: str = "python"
    client: str | None = None


class GuardedCaller:
    """Makes the calls of one agent, as far as its guard lets it.

    Args:
        actions: What can be called. Several agents may share it.
        guard: What stands before it. All agents of a run share one.
        agent: The agent's name, which is what rules and budgets go by.
        origin: Where its calls come from.
        clock: Seconds, monotonic.

    Attributes:
        agent: The agent's name.
        guard: What stands before its calls.
    """

    def __init__(
        self,
        actions: RunActions,
        guard: Guard,
        agent: str,
        *,
        origin: Origin | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._actions = actions
        self.guard = guard
        self.agent = agent
        self._origin = origin or Origin()
        self._clock = clock

    @classmethod
    def of(
        cls,
        fleet: Fleet,
        agent: str,
        *,
        policy: Policy | None = None,
        state: Path | None = None,
        base: Path | None = None,
        wait_s: float = WAIT_S,
    ) -> Self:
        """One for a single agent of a run.

        Args:
            fleet: The run's Directors; held open by the caller.
            agent: The agent's name.
            policy: The rules; None: all is allowed, and a human is asked for what is destructive.
            state: Folder of log and questions; None: ``agents`` in the run folder.
            base: Folder that files which the agent names must lie in; None: the current folder.
            wait_s: How long a call of a Tool waits for its Outcome, in s.

        Raises:
            Refused: If the run folder is not on this machine, and no ``state`` is given.
        """
        actions = RunActions(fleet, base=base, wait_s=wait_s)
        return cls(actions, Guard(state or state_of(fleet), policy), agent)

    @property
    def every_face(self) -> list[Face]:
        """All that can be called, with the schemas that agents are shown."""
        required = self.guard.policy.why == "required"
        return [replace(face, schema=with_why(face, required=required)) for face in self._actions.faces.values()]

    @property
    def faces(self) -> list[Face]:
        """What this agent may call, with the schemas that it is shown."""
        policy = self.guard.policy

        def allowed(face: Face) -> bool:
            return may(policy, Ask(self.agent, face.names, why="it is listed")).verdict is not Verdict.REFUSED

        return [face for face in self.every_face if allowed(face)]

    def for_agent(self, agent: str, origin: Origin | None = None) -> GuardedCaller:
        """The same for another agent of this run."""
        return GuardedCaller(self._actions, self.guard, agent, origin=origin or self._origin, clock=self._clock)

    async def call(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        token: str | None = None,
        why: str | None = None,
        llm_tokens: int = 0,
    ) -> Answer:
        """Makes a call, if it may be made. Nothing is raised that an agent would have to catch.

        Args:
            name: Of a Tool or an action.
            arguments: Its inputs; ``why`` may be among them.
            token: A word that names this call; see `ToolCaller.call`.
            why: What the call is for.
            llm_tokens: What the model has used to come to this call, if that is known.

        Returns:
            ``status`` (``ok``, ``running``, ``failed``, ``timeout``, ``cancelled``, ``refused`` or ``lost``) and what
            goes with it. ``image``, if there is one, has ``mime_type`` and ``data`` in base64.
        """
        call = uuid.uuid4().hex
        begin = self._clock()
        face = self._actions.faces.get(name)
        inputs, reason = _apart(face, arguments, why)
        line = {
            "face": self._origin.face,
            "client": self._origin.client and cut(self._origin.client)[:200],
            "tool": name[:200],
            "arguments": shown_arguments(inputs),
            "why": reason and cut(reason),
        }
        try:
            if llm_tokens > 0:
                await self.note_tokens(llm_tokens)
            ask = Ask(self.agent, face.names if face else (name,), reason)
            prepared = await self._prepared(ask, name, inputs, token, line, call)
            if isinstance(prepared, dict):
                return prepared
            answer = await self._made(name, prepared, call, line)
            await self._end(call, answer, prepared, begin)
        except AuditError as error:
            hint = "No call is made that is not written down: see to the disk, or keep the log elsewhere (--state)"
            problem = Problem("audit", str(error), hint)
            return refused(name, Refused([problem]))
        if face is not None and face.known_as == "status":
            answer["budget"] = self.guard.left(self.agent)
        return answer

    async def note_tokens(self, llm_tokens: int) -> None:
        """Writes down what this agent's model has used.

        Raises:
            AuditError: If it cannot be written down.
        """
        await asyncio.to_thread(self.guard.write, Event.TOKENS, uuid.uuid4().hex, self.agent, llm_tokens=llm_tokens)

    async def _prepared(
        self,
        ask: Ask,
        name: str,
        inputs: Mapping[str, Any],
        token: str | None,
        line: Mapping[str, Any],
        call: str,
    ) -> Prepared | Answer:
        """The call, if it may be made: decided, written down, and confirmed; or the answer that refuses it."""
        decision = may(self.guard.policy, ask)
        if decision.verdict is Verdict.REFUSED:
            return await self._refuse(name, decision, line, call)
        try:
            prepared = await self._actions.prepare(name, inputs, token)
            if prepared.ids and self.guard.wants_costs(self.agent):
                await asyncio.to_thread(self.guard.note_outcomes, await self._actions.book.read())
        except Refused as refusal:
            return await self._refuse(name, Decision(Verdict.REFUSED, refusal.problems), line, call)
        except (DirectorLost, ExchangeError) as error:
            problem = Problem("director", str(error), "See how the run is with `status`")
            return await self._refuse(name, Decision(Verdict.REFUSED, (problem,)), line, call)
        decision = await asyncio.to_thread(self.guard.decide, ask, prepared.ids, line, call)
        if decision.verdict is Verdict.REFUSED:
            return refused(name, Refused(decision.problems))
        if decision.verdict is Verdict.TO_CONFIRM:
            return await self._confirmed(name, line, call) or prepared
        return prepared

    async def _refuse(self, name: str, decision: Decision, line: Mapping[str, Any], call: str) -> Answer:
        problems = [cut(str(problem)) for problem in decision.problems]
        await asyncio.to_thread(
            self.guard.write,
            Event.ASKED,
            call,
            self.agent,
            decision=Verdict.REFUSED.value,
            problems=problems,
            **line,
        )
        return refused(name, Refused(decision.problems))

    async def _confirmed(self, name: str, line: Mapping[str, Any], call: str) -> Answer | None:
        """Asks a human; the answer that refuses the call, or None if it may be made."""
        within_s = self.guard.policy.confirm_within_s
        try:
            answer = await self.guard.questions.ask(
                call,
                agent=self.agent,
                client=line["client"],
                tool=name,
                arguments=line["arguments"],
                why=line["why"],
                within_s=within_s,
            )
        except BaseException:  # the agent has gone, or the question could not be put: nothing was done
            self.guard.write(
                Event.ANSWERED, call, self.agent, decision=Verdict.REFUSED.value, by="nobody", problems=["not answered"]
            )
            raise
        verdict = Verdict.ALLOWED if answer.allow else Verdict.REFUSED
        await asyncio.to_thread(
            self.guard.write,
            Event.ANSWERED,
            call,
            self.agent,
            decision=verdict.value,
            by=answer.by,
            problems=[answer.note] if answer.note else [],
        )
        if answer.allow:
            return None
        note = f": {answer.note}" if answer.note else ""
        problem = Problem("confirmation", f"a human was asked, and it was not allowed{note}", "Do something else")
        return refused(name, Refused([problem]))

    async def _made(self, name: str, prepared: Prepared, call: str, line: Mapping[str, Any]) -> Answer:
        try:
            return await prepared.run()
        except Refused as refusal:
            return refused(name, refusal)
        except (DirectorLost, ExchangeError) as error:
            return lost(error, tool=name)
        except asyncio.CancelledError:  # nobody waits for it any more; what was handed over goes on
            self.guard.write(Event.ENDED, call, self.agent, status="left")
            raise
        except Exception as error:  # noqa: BLE001, RUF100  (whatever it was, the agent is told and the log has it)
            said = {"type": type(error).__name__, "message": str(error), "hint": "Tell the person whose run this is"}
            return {"status": "failed", "tool": name, "error": said}

    async def _end(self, call: str, answer: Answer, prepared: Prepared, begin: float) -> None:
        problems = [f"{one['where']}: {one['message']}" for one in answer.get("problems", ())]
        if "error" in answer:
            problems.append(f"{answer['error'].get('type')}: {answer['error'].get('message')}")
        await asyncio.to_thread(
            self.guard.end,
            call,
            self.agent,
            prepared.ended,
            status=answer["status"],
            problems=[cut(problem) for problem in problems],
            wall_s=round(self._clock() - begin, 6),
        )


def state_of(fleet: Fleet) -> Path:
    """Where log and questions of a run lie that is on this machine.

    Raises:
        Refused: If it is not.
    """
    if fleet.folder is None:
        message = "the run folder is not on this machine"
        raise Refused([Problem("state", message, "Name a folder for the log of what agents do")])
    return fleet.folder.path / STATE


def with_why(face: Face, *, required: bool) -> dict[str, Any]:
    """The schema that an agent is shown. Pure.

    An action can be given a reason. So can a Tool where a reason is required; else its schema stays its own, and a
    reason can travel beside it.
    """
    properties = face.schema.get("properties", {})
    if WHY in properties or (face.is_tool and not required):
        return face.schema
    shown = {**face.schema, "properties": {**properties, WHY: _WHY_FIELD}}
    return {**shown, "required": [*face.schema.get("required", []), WHY]} if required else shown


def _apart(face: Face | None, arguments: Mapping[str, Any], why: str | None) -> tuple[dict[str, Any], str | None]:
    """The inputs, and the reason, which may stand among them."""
    inputs = dict(arguments)
    own = face is not None and WHY in face.schema.get("properties", {})
    if not own and isinstance(inputs.get(WHY), str):
        given = inputs.pop(WHY)
        why = why or given
    return inputs, why[:100_000] if why else None
