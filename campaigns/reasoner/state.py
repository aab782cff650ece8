"""What one reasoner knows between two steps: JSON values only, and every key is declared.

LangGraph keeps this, and drops keys that the type does not declare.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from campaigns.language import Message, ToolCall

Step = Literal["plan", "tool_calling", "simulate", "conclude", "critique", "update", "end"]
STEPS: tuple[Step, ...] = ("plan", "tool_calling", "simulate", "conclude", "critique", "update")


class Pending(TypedDict):
    """A simulation that was asked for and has no Outcome yet.

    Attributes:
        call: Id of the tool call that it answers.
        id: Id of its Request.
        key: The same for equal candidates.
        candidate: As the subject writes it.
    """

    call: str
    id: str
    key: str
    candidate: dict[str, Any]


class Entry(TypedDict):
    """What an Outcome says, and whose it is.

    Attributes:
        id: Of the Outcome. All that is said of it anywhere is looked up by this.
        key: The same for equal candidates.
        reasoner: Who asked for it.
        round: In which of that one's rounds; from 1.
        candidate: As the subject writes it.
        status: That of the Outcome; ``refused`` if it was not accepted at the Directors' door.
        score: More is better; null if there is none.
        result: What the Tool found.
        error: ``type``, ``message`` and ``hint`` of what was not ``ok``; null if it was.
        node_hours: What it cost.
    """

    id: str
    key: str
    reasoner: str
    round: int
    candidate: dict[str, Any]
    status: str
    score: float | None
    result: dict[str, Any] | None
    error: dict[str, str] | None
    node_hours: float


class Counts(TypedDict):
    """What a reasoner has used.

    Attributes:
        questions: Replies of its model.
        input_tokens: Tokens that were sent.
        output_tokens: Tokens that came back.
        accepted: Simulations that it asked for and got.
        refused: Tool calls that were answered with a reason instead: a count for each kind of reason.
    """

    questions: int
    input_tokens: int
    output_tokens: int
    accepted: int
    refused: dict[str, int]


class ReasonerState(TypedDict):
    """All that a reasoner knows.

    Attributes:
        reasoner: Its name.
        seed: The candidate that it begins with, as the subject writes it.
        next: The step that comes next; ``end`` if none does.
        round: Which round this is; from 1.
        asked: How often its model was asked for proposals in this round.
        idle: Rounds in a row without any simulation, before this one.
        plan: What it means to do.
        talk: This round's proposals and the answers to them; see `message_of`.
        pending: What is being evaluated.
        entries: Its Outcomes, in the order of its proposals.
        conclusions: One for each round.
        critiques: One for each round but the last.
        ended: Why it has ended; empty if it has not.
        counts: What it has used.
    """

    reasoner: str
    seed: dict[str, Any]
    next: Step
    round: int
    asked: int
    idle: int
    plan: str
    talk: list[dict[str, Any]]
    pending: list[Pending]
    entries: list[Entry]
    conclusions: list[str]
    critiques: list[str]
    ended: str
    counts: Counts


def first_state(reasoner: str, seed: Mapping[str, Any]) -> ReasonerState:
    """The state of a reasoner that has done nothing yet."""
    return {
        "reasoner": reasoner,
        "seed": dict(seed),
        "next": "plan",
        "round": 1,
        "asked": 0,
        "idle": 0,
        "plan": "",
        "talk": [],
        "pending": [],
        "entries": [],
        "conclusions": [],
        "critiques": [],
        "ended": "",
        "counts": {"questions": 0, "input_tokens": 0, "output_tokens": 0, "accepted": 0, "refused": {}},
    }


def tokens_of(state: ReasonerState) -> int:
    """Tokens that were sent and received."""
    return state["counts"]["input_tokens"] + state["counts"]["output_tokens"]


def message_json(message: Message) -> dict[str, Any]:
    """A message as the state has it."""
    return {
        "role": message.role,
        "content": message.content,
        "tool_calls": [
            {
                "id": call.id,
                "name": call.name,
                "arguments": None if call.arguments is None else dict(call.arguments),
                "text": call.text,
            }
            for call in message.tool_calls
        ],
        "tool_call_id": message.tool_call_id,
    }


def message_of(document: Mapping[str, Any]) -> Message:
    """The message of such a document."""
    return Message(
        document["role"],
        document["content"],
        tuple(ToolCall(**call) for call in document["tool_calls"]),
        document["tool_call_id"],
    )
