"""Asking a model until its reply can be used: strictly read, with the reason told where it cannot, and bounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from campaigns.language import LanguageModel, Message, NoValidReply, Reply, ToolCall, ToolFace

T = TypeVar("T")


class Unusable(ValueError):  # noqa: N818  (it is an answer to the model, not an error of ours)
    """A reply cannot be used. Its text is told to the model."""


@dataclass(frozen=True)
class Decision(Generic[T]):
    """What a model has decided.

    Attributes:
        value: The decision.
        arguments: As the model wrote it.
        corrections: Why earlier replies could not be used, in order.
        cost: What it took: ``llm_questions``, ``llm_input_tokens``, ``llm_output_tokens``.
    """

    value: T
    arguments: Mapping[str, Any]
    corrections: tuple[str, ...]
    cost: Mapping[str, float]


def decide(
    model: LanguageModel,
    messages: Sequence[Message],
    face: ToolFace,
    check: Callable[[Mapping[str, Any]], T],
    *,
    max_corrections: int,
) -> Decision[T]:
    """Asks a model to call one tool once, and takes its arguments as the decision.

    A reply without a call, with another tool, with several calls that differ, with arguments that are no JSON object
    or do not fit the tool's schema, or that ``check`` does not take, goes back with the reason.

    Args:
        model: Is asked.
        messages: The question.
        face: The tool by which it is to answer.
        check: Makes the decision of arguments that fit the schema; raises `Unusable`.
        max_corrections: How often a reply may go back.

    Raises:
        NoValidReply: If there is nothing to be used after so many corrections.
        LanguageModelError: If no reply came.
    """
    talk = list(messages)
    corrections: list[str] = []
    cost = no_cost()
    while True:
        reply = model.reply(talk, [face], choice=face.name)
        add_cost(cost, reply)
        try:
            arguments = _arguments(reply, face)
            return Decision(check(arguments), arguments, tuple(corrections), cost)
        except Unusable as error:
            corrections.append(str(error))
            if len(corrections) > max_corrections:
                raise NoValidReply(_gave_up(face, corrections)) from None
            talk += [reply.message, *answers(reply.message.tool_calls, str(error), face.name)]


def no_cost() -> dict[str, float]:
    """What nothing costs."""
    return {"llm_questions": 0.0, "llm_input_tokens": 0.0, "llm_output_tokens": 0.0}


def add_cost(cost: dict[str, float], reply: Reply) -> None:
    """Adds what a reply has cost; one that was remembered costs nothing."""
    cost["llm_questions"] += not reply.reused
    cost["llm_input_tokens"] += reply.input_tokens
    cost["llm_output_tokens"] += reply.output_tokens


def answers(calls: Sequence[ToolCall], reason: str, tool: str) -> list[Message]:
    """What a model is told whose reply could not be used: every call must be answered."""
    text = f"Not accepted: {reason}"
    if not calls:
        return [Message("user", f"{text} Call the tool {tool!r}.")]
    return [Message("tool", text, tool_call_id=call.id) for call in calls]


def read_call(call: ToolCall, faces: Sequence[ToolFace]) -> Mapping[str, Any]:
    """The arguments of a call, if they are what its tool takes.

    Raises:
        Unusable: If the tool is unknown, or the arguments are no JSON object or do not fit its schema.
    """
    known = {face.name: face for face in faces}
    if call.name not in known:
        raise Unusable(f"there is no tool {call.name!r}; there are: {', '.join(known)}.")
    if call.arguments is None:
        raise Unusable(f"the arguments of {call.name!r} are no JSON object: {call.text[:200]!r}.")
    problems = schema_problems(call.arguments, known[call.name].parameters)
    if problems:
        raise Unusable(f"the arguments of {call.name!r} do not fit its schema: {'; '.join(problems)}.")
    return call.arguments


def schema_problems(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """What a JSON schema (2020-12) has against arguments: at most five problems, each with its place."""
    from jsonschema import Draft202012Validator

    found = sorted(Draft202012Validator(schema).iter_errors(arguments), key=lambda error: list(map(str, error.path)))
    return [f"{'.'.join(map(str, error.path)) or 'arguments'}: {error.message[:300]}" for error in found[:5]]


def _arguments(reply: Reply, face: ToolFace) -> Mapping[str, Any]:
    calls = reply.message.tool_calls
    if not calls:
        ended = " The reply was cut off at the limit of tokens." if reply.cut_off else ""
        raise Unusable(f"there is no tool call.{ended}")
    read = [read_call(call, [face]) for call in calls]
    if any(other != read[0] for other in read[1:]):
        raise Unusable(f"{face.name!r} was called {len(read)} times with different arguments: call it once.")
    return read[0]


def _gave_up(face: ToolFace, corrections: Sequence[str]) -> str:
    return (
        f"the language model gave no valid {face.name!r} in {len(corrections)} replies; of the last: {corrections[-1]} "
        "Take a model that can call tools, or allow more max_corrections"
    )
