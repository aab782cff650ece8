"""The steps of a reasoner: what is asked, and what becomes of its state. Pure but for the subject's own checks.

Both faces take these steps: the LangGraph graph, and the Policy of a campaign.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from campaigns.language import Message, Reply, ToolFace
from campaigns.reasoner.board import Claim, Glance
from campaigns.reasoner.gate import MENDABLE, Verdict, answer, judge, settle
from campaigns.reasoner.limits import Limits
from campaigns.reasoner.prompts import LONGEST_ERROR, bounded, entry_shown, messages_for
from campaigns.reasoner.state import Counts, Entry, Pending, ReasonerState, Step, message_json, tokens_of
from campaigns.reasoner.subject import Subject, request_id, shown
from simulations.records import Outcome, Request, Status

C = TypeVar("C")
LONGEST_KEPT = 20_000
NO_ANSWER = "(no text came back)"


@dataclass(frozen=True)
class Question:
    """What a model is asked.

    Attributes:
        messages: The conversation.
        tools: What it may call.
    """

    messages: Sequence[Message]
    tools: Sequence[ToolFace]


@dataclass(frozen=True)
class Found:
    """What came of a simulation.

    Attributes:
        id: Of its Outcome.
        status: That of the Outcome; ``refused`` if it was not accepted at the Directors' door.
        score: More is better; None: there is none.
        result: What the Tool found.
        error: ``type``, ``message`` and ``hint`` of what was not ``ok``.
        node_hours: What it cost.
    """

    id: str
    status: str
    score: float | None = None
    result: Mapping[str, Any] | None = None
    error: Mapping[str, str] | None = None
    node_hours: float = 0.0


def refused(name: str, reason: str) -> Found:
    """What came of a Request that was refused at the door, where it would have run."""
    hint = "propose another candidate"
    return Found(name, "refused", error={"type": "Refused", "message": bounded(reason, LONGEST_ERROR), "hint": hint})


class Steps(Generic[C]):
    """What reasoners of one subject do.

    Args:
        subject: What is looked for.
        limits: How much may be spent.
        folder: Where paths in inputs start from.
        name_of: Names the evaluation of a candidate; the same for equal candidates. None: `request_id`.
    """

    def __init__(
        self,
        subject: Subject[C],
        limits: Limits,
        folder: Path,
        name_of: Callable[[Mapping[str, Any]], str] | None = None,
    ) -> None:
        self.subject = subject
        self.limits = limits
        self.folder = folder
        self._name_of = name_of or (lambda candidate: request_id(subject, candidate, folder))

    def question(self, state: ReasonerState, glance: Glance) -> Question | None:
        """What the model is asked in the step that comes next; None: nothing more may be asked."""
        if self._halt(state, glance):
            return None
        face = self.subject.face
        messages = messages_for(state, glance, self.subject.goal, face, self.limits)
        return Question(messages, (face,) if state["next"] in ("tool_calling", "conclude") else ())

    def halted(self, state: ReasonerState, glance: Glance) -> ReasonerState:
        """The state when nothing more may be asked."""
        return _changed(state, next="end", ended=self._halt(state, glance))

    def judged(self, state: ReasonerState, reply: Reply) -> list[Verdict]:
        """What the tool calls of a reply mean, before the other reasoners are asked."""
        return judge(
            reply.message.tool_calls,
            self.subject,
            entries=state["entries"],
            pending=state["pending"],
            taken_ids=[call["id"] for message in state["talk"] for call in message["tool_calls"]],
            room=self._room(state),
        )

    def replied(
        self,
        state: ReasonerState,
        glance: Glance,
        reply: Reply,
        verdicts: Sequence[Verdict] = (),
        claims: Mapping[str, Claim] | None = None,
    ) -> ReasonerState:
        """The state after a reply.

        Args:
            state: The state before.
            glance: What the reasoner saw of the others.
            reply: What its model said.
            verdicts: What its tool calls mean, of ``tool_calling``.
            claims: What the board said of those that are wanted.
        """
        state = _changed(state, counts=_counted(state["counts"], reply))
        step = state["next"]
        if step == "tool_calling":
            return self._called(state, reply, [settle(verdict, claims or {}) for verdict in verdicts])
        if reply.message.tool_calls:  # nothing can be called in this step
            state = _changed(
                state, counts=_tallied(state["counts"], 0, ["out_of_turn"] * len(reply.message.tool_calls))
            )
        text = bounded(reply.message.content.strip(), LONGEST_KEPT) or NO_ANSWER
        if step == "plan":
            return _changed(state, next="tool_calling", plan=text)
        if step == "conclude":
            return self._concluded(_changed(state, conclusions=[*state["conclusions"], text]), glance)
        if step == "critique":
            return _changed(state, next="update", critiques=[*state["critiques"], text])
        if step == "update":
            return _changed(state, next="tool_calling", plan=text, round=state["round"] + 1, asked=0, talk=[])
        raise ValueError(f"no model is asked in the step {step}")

    def requests(self, state: ReasonerState) -> list[Request]:
        """What is to be evaluated, in the order of the proposals."""
        return [
            self.subject.request(self.subject.from_json(one["candidate"]), one["id"], self.folder)
            for one in state["pending"]
        ]

    def found(self, one: Pending, outcome: Outcome) -> Found:
        """What an Outcome says of a candidate.

        Raises:
            ValueError: If it is the Outcome of something else.
        """
        if outcome.id != one["id"]:
            raise ValueError(f"the Outcome of {outcome.id} was given for {one['id']}")
        seen = self.subject.observe(self.subject.from_json(one["candidate"]), outcome)
        return Found(
            id=outcome.id,
            status=seen.status,
            score=seen.score,
            result=outcome.result if outcome.status is Status.OK else None,
            error=None if outcome.error is None else outcome.error.model_dump(include={"type", "message", "hint"}),
            node_hours=outcome.usage.node_hours if outcome.usage is not None and not outcome.reused_from else 0.0,
        )

    def evaluated(self, state: ReasonerState, found: Mapping[str, Found]) -> ReasonerState:
        """The state when all that was asked for has its Outcome.

        Args:
            state: The state before.
            found: For each pending one, by its id, what came of it.
        """
        entries = [_entry(state, one, found[one["id"]]) for one in state["pending"]]
        said = {
            one["call"]: shown(entry_shown(entry), longest=100_000)
            for one, entry in zip(state["pending"], entries, strict=True)
        }
        talk = [
            {**message, "content": said[message["tool_call_id"]]} if message["tool_call_id"] in said else message
            for message in state["talk"]
        ]
        return _changed(state, next="conclude", talk=talk, pending=[], entries=[*state["entries"], *entries])

    def _called(self, state: ReasonerState, reply: Reply, verdicts: Sequence[Verdict]) -> ReasonerState:
        granted: list[Pending] = []
        answers = []
        for verdict in verdicts:
            name = ""
            if verdict.kind == "wanted" and verdict.candidate is not None:
                name = self._name_of(verdict.candidate)
                candidate = dict(verdict.candidate)
                granted.append({"call": verdict.call.id, "id": name, "key": verdict.key, "candidate": candidate})
            answers.append(message_json(answer(verdict, name)))
        said = Message("assistant", bounded(reply.message.content, LONGEST_KEPT), tuple(v.call for v in verdicts))
        refused: list[str] = [verdict.kind for verdict in verdicts if verdict.kind != "wanted"]
        if not verdicts:
            refused = ["no_call"]
        counts = _tallied(state["counts"], len(granted), refused)
        state = _changed(
            state,
            asked=state["asked"] + 1,
            pending=[*state["pending"], *granted],
            talk=[*state["talk"], message_json(said), *answers],
            counts=counts,
        )
        return _changed(state, next=self._after_calls(state, refused, called=bool(verdicts)))

    def _after_calls(self, state: ReasonerState, refused: Sequence[str], *, called: bool) -> Step:
        done: Step = "simulate" if state["pending"] else "conclude"
        if state["asked"] >= self.limits.questions_per_round or "budget" in refused or self._room(state) <= 0:
            return done
        if not state["pending"]:
            return "tool_calling"
        return "tool_calling" if called and any(kind in MENDABLE for kind in refused) else done

    def _concluded(self, state: ReasonerState, glance: Glance) -> ReasonerState:
        asked_for = any(entry["round"] == state["round"] for entry in state["entries"])
        state = _changed(state, idle=0 if asked_for else state["idle"] + 1)
        ended = self._end(state, glance)
        return _changed(state, next="end" if ended else "critique", ended=ended)

    def _end(self, state: ReasonerState, glance: Glance) -> str:
        """Why a reasoner ends after a conclusion; empty if it goes on."""
        if state["round"] >= self.limits.rounds:
            return f"all {self.limits.rounds} rounds are over"
        if state["idle"] >= self.limits.idle_rounds:
            return f"its model asked for nothing that could be run in {state['idle']} rounds"
        return self._spent(state, glance) or self._silent(state, glance)

    def _halt(self, state: ReasonerState, glance: Glance) -> str:
        """Why the step that comes next cannot be taken; empty if it can."""
        if state["next"] == "tool_calling" and not state["pending"] and (spent := self._spent(state, glance)):
            return spent
        return self._silent(state, glance)

    def _spent(self, state: ReasonerState, glance: Glance) -> str:
        most = self.limits.requests_each
        if most is not None and state["counts"]["accepted"] >= most:
            return f"all {most} simulations of this reasoner are used up"
        return glance.spent

    def _silent(self, state: ReasonerState, glance: Glance) -> str:
        most = self.limits.tokens_each
        if most is not None and tokens_of(state) >= most:
            return f"all {most} tokens of this reasoner are used up"
        return glance.silent

    def _room(self, state: ReasonerState) -> int:
        room = self.limits.calls_per_round - len(state["pending"])
        if self.limits.requests_each is not None:
            room = min(room, self.limits.requests_each - state["counts"]["accepted"])
        return room


def _entry(state: ReasonerState, one: Pending, found: Found) -> Entry:
    return {
        "id": found.id,
        "key": one["key"],
        "reasoner": state["reasoner"],
        "round": state["round"],
        "candidate": one["candidate"],
        "status": found.status,
        "score": found.score,
        "result": None if found.result is None else dict(found.result),
        "error": None if found.error is None else dict(found.error),
        "node_hours": found.node_hours,
    }


def _changed(state: ReasonerState, **changes: Any) -> ReasonerState:
    return cast(ReasonerState, {**state, **changes})


def _counted(counts: Counts, reply: Reply) -> Counts:
    return {
        **counts,
        "questions": counts["questions"] + 1,
        "input_tokens": counts["input_tokens"] + reply.input_tokens,
        "output_tokens": counts["output_tokens"] + reply.output_tokens,
    }


def _tallied(counts: Counts, accepted: int, refused: Sequence[str]) -> Counts:
    tally = dict(counts["refused"])
    for kind in refused:
        tally[kind] = tally.get(kind, 0) + 1
    return {**counts, "accepted": counts["accepted"] + accepted, "refused": tally}
