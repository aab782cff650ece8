"""What the tool calls of a reply mean: candidates, or reasons to refuse them. Pure.

Only tool calls are ever acted upon. No text of a model, a tool or another reasoner is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from campaigns.language import Message, ToolCall
from campaigns.reasoner.board import Claim
from campaigns.reasoner.prompts import LONGEST_ERROR, bounded, entry_shown
from campaigns.reasoner.state import Entry, Pending
from campaigns.reasoner.subject import NotACandidateError, Subject, key_of, shown

C = TypeVar("C")
Kind = Literal["wanted", "malformed", "unknown_tool", "invalid", "duplicate", "limit", "known", "pending", "budget"]
MENDABLE: tuple[Kind, ...] = ("malformed", "unknown_tool", "invalid")
"""Refusals after which asking again may help."""


@dataclass(frozen=True)
class Verdict:
    """What one tool call means.

    Attributes:
        call: The call, with an id that no other call of the round has.
        kind: ``wanted``: a candidate; else why it is refused.
        reason: What the model is told.
        key: The same for equal candidates; empty if there is none.
        candidate: As the subject writes it.
        entry: The Outcome that there is already.
    """

    call: ToolCall
    kind: Kind
    reason: str = ""
    key: str = ""
    candidate: Mapping[str, Any] | None = None
    entry: Entry | None = None


def judge(
    calls: Sequence[ToolCall],
    subject: Subject[C],
    *,
    entries: Sequence[Entry] = (),
    pending: Sequence[Pending] = (),
    taken_ids: Sequence[str] = (),
    room: int,
) -> list[Verdict]:
    """Judges the tool calls of one reply.

    Args:
        calls: The calls, in the model's order.
        subject: What is looked for.
        entries: The reasoner's Outcomes.
        pending: What it has asked for in this round.
        taken_ids: Ids of calls that this round has had before.
        room: How many more candidates it may ask for.

    Returns:
        One verdict for each call, in their order.
    """
    known = {entry["key"]: entry for entry in entries}
    asked = {one["key"] for one in pending}
    taken = set(taken_ids)
    verdicts = []
    for number, call in enumerate(calls):
        named = replace(call, id=_free(call.id or f"call-{number + 1}", taken))
        taken.add(named.id)
        verdict = _judge(named, subject, known, asked, room)
        if verdict.kind == "wanted":
            asked.add(verdict.key)
            room -= 1
        verdicts.append(verdict)
    return verdicts


def settle(verdict: Verdict, claims: Mapping[str, Claim]) -> Verdict:
    """What becomes of a verdict when all reasoners' claims are known."""
    if verdict.kind != "wanted":
        return verdict
    claim = claims[verdict.key]
    if claim.verdict == "known" and claim.entry is not None:
        return replace(verdict, kind="known", reason=f"{claim.entry['reasoner']} has this result", entry=claim.entry)
    if claim.verdict == "pending":
        reason = f"{claim.reasoner} has it evaluated now; its result will be among those of the others"
        return replace(verdict, kind="pending", reason=reason)
    if claim.verdict == "budget":
        return replace(verdict, kind="budget", reason=claim.reason)
    return verdict


def answer(verdict: Verdict, request_id: str = "") -> Message:
    """What the model is told of a call at once."""
    if verdict.kind == "wanted":
        said: dict[str, Any] = {"status": "accepted", "id": request_id, "note": "evaluated when all calls are made"}
    elif verdict.entry is not None:
        said = {**entry_shown(verdict.entry), "note": f"not run again: {verdict.reason}"}
    else:
        said = {"status": "refused", "kind": verdict.kind, "reason": bounded(verdict.reason, LONGEST_ERROR)}
    return Message("tool", shown(said, longest=100_000), tool_call_id=verdict.call.id)


def _judge(call: ToolCall, subject: Subject[C], known: Mapping[str, Entry], asked: set[str], room: int) -> Verdict:
    face = subject.face
    if call.name != face.name:
        return Verdict(call, "unknown_tool", f"there is no tool {shown(call.name)}; there is {face.name}")
    if call.arguments is None:
        return Verdict(call, "malformed", f"the arguments are no JSON object: {shown(call.text)}")
    try:
        candidate = subject.to_json(subject.read(call.arguments))
    except NotACandidateError as error:
        return Verdict(call, "invalid", error.reason)
    key = key_of(candidate)
    if key in known:
        return Verdict(call, "duplicate", "you have this result", key, candidate, known[key])
    if key in asked:
        return Verdict(call, "duplicate", "you have asked for this one already", key, candidate)
    if room <= 0:
        return Verdict(call, "limit", "no more candidates fit into this round", key, candidate)
    return Verdict(call, "wanted", key=key, candidate=candidate)


def _free(wanted: str, taken: set[str]) -> str:
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}-{number}"
    return name
