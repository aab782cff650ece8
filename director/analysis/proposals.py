"""What a model may propose, and the door that each proposal has to pass. Pure, but for files that the door looks at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from campaigns.language import Message, ToolCall, ToolFace
from campaigns.llm.prompts import DATA_NOTE, data
from director.analysis.spec import AnalysisSpec
from director.analysis.state import Document
from director.door import Problem, Refused, problems_of
from director.staging import prepare
from simulations.records import Request
from simulations.tool import FILE_INPUT, AnyTool

STRUCTURE = "structure"

SYSTEM = (
    "You plan molecular simulations for a scientist. You propose parameters only by calling the tool, once for each "
    "simulation. Choose what answers the question at little cost, and say why in the argument `why`."
)

WHY = "why"
"""Argument of the tool that is no input of the Tool: the model's reason, for the record."""


def face_of(tool: AnyTool, spec: AnalysisSpec) -> ToolFace:
    """The Tool as the model is told of it: without what is fixed, and without inputs that name files."""
    schema = tool.request.model_json_schema()
    hidden = hidden_inputs(tool, spec)
    properties = {name: value for name, value in schema["properties"].items() if name not in hidden}
    properties[WHY] = {
        "type": "string",
        "maxLength": 2000,
        "description": "Why these parameters, in a sentence or two.",
    }
    parameters = {**schema, "properties": properties}
    parameters["required"] = [*(name for name in schema.get("required", []) if name in properties), WHY]
    parameters["additionalProperties"] = False
    return ToolFace(tool.name, tool.summary, parameters)


def hidden_inputs(tool: AnyTool, spec: AnalysisSpec) -> set[str]:
    """Inputs that are not the model's to choose."""
    files = {
        name
        for name, field in tool.request.model_fields.items()
        if isinstance(field.json_schema_extra, dict) and FILE_INPUT in field.json_schema_extra
    }
    return {STRUCTURE} | files | set(spec.fixed)


def opening(spec: AnalysisSpec, facts: Mapping[str, Any], tool: AnyTool) -> list[Message]:
    """The question."""
    limit = "" if spec.max_amount is None else f" A simulation may come to at most {spec.max_amount:g} {tool.unit}."
    fixed = f" These inputs are fixed: {json.dumps(spec.fixed)}." if spec.fixed else ""
    text = (
        f"The question: {spec.question}\n\nThe structure, as its file says:\n{data(dict(facts))}\n{DATA_NOTE}\n\n"
        f"Propose 1 to {spec.max_simulations} simulations by calling {tool.name}.{limit}{fixed}"
    )
    return [Message("system", SYSTEM), Message("user", text)]


@dataclass(frozen=True)
class Judged:
    """What became of the calls of one reply.

    Attributes:
        accepted: Proposals that passed, the earlier ones included.
        refused: Proposals that did not, of this reply.
        answers: What the model is told, one message for each call.
    """

    accepted: list[Document]
    refused: list[Document]
    answers: list[Message]


def judge(
    calls: tuple[ToolCall, ...], accepted: list[Document], spec: AnalysisSpec, tool: AnyTool, inputs: Path
) -> Judged:
    """Takes the calls of a reply through the door.

    Args:
        calls: The calls.
        accepted: What passed before.
        spec: What the model may do.
        tool: The Tool.
        inputs: Folder that holds the structure.
    """
    passed, refused, answers = list(accepted), [], []
    for call in calls:
        try:
            proposal = _proposal(call, passed, spec, tool, inputs)
            twin = next((one for one in passed if one["key"] == proposal["key"]), None)
            if twin is None:
                passed.append(proposal)
            said = f"accepted as {(twin or proposal)['id']}"
            text = said if twin is None else f"{said}: the same simulation was proposed before, and is run once"
        except Refused as refusal:
            told = [str(problem).replace("requests[0].inputs.", "") for problem in refusal.problems]
            refused.append({"text": call.text[:2000], "problems": told})
            text = "refused, nothing was run:\n" + "\n".join(told)
        answers.append(Message("tool", text, tool_call_id=call.id))
    return Judged(passed, refused, answers)


def request_of(proposal: Mapping[str, Any], spec: AnalysisSpec) -> Request:
    """The Request of a proposal."""
    return Request(id=proposal["id"], tool=spec.tool, inputs=dict(proposal["inputs"]))


def check_fixed(spec: AnalysisSpec, tool: AnyTool) -> None:
    """Refuses fixed inputs that the Tool does not take, before anybody is asked.

    Raises:
        Refused: If there are such.
    """
    fields = tool.request.model_fields
    problems = [
        Problem("--fix", f"{tool.name} has no input {name!r}", f"Inputs: {', '.join(fields)}")
        for name in spec.fixed
        if name not in fields
    ]
    if STRUCTURE in spec.fixed:
        problems.append(Problem("--fix", "the structure is given by --structure", "Leave it out"))
    if not problems:
        try:
            tool.request.model_validate({STRUCTURE: spec.structure, **spec.fixed})
        except ValidationError as error:
            # Required inputs that are missing, and what depends on them, are the model's to choose.
            mine = [one for one in problems_of(error, tool.request, "--fix") if _names(one, spec.fixed)]
            problems += [one for one in mine if "is required" not in one.message]
    if problems:
        raise Refused(problems)


def _names(problem: Problem, fixed: Mapping[str, Any]) -> bool:
    return any(problem.where == f"--fix.{name}" or problem.where.startswith(f"--fix.{name}.") for name in fixed)


def _proposal(call: ToolCall, passed: list[Document], spec: AnalysisSpec, tool: AnyTool, inputs: Path) -> Document:
    if call.name != tool.name:
        raise Refused([Problem("tool", f"there is no tool {call.name!r}", f"Call {tool.name}")])
    if call.arguments is None:
        raise Refused([Problem("arguments", "they are no JSON object", "Write a JSON object")])
    arguments = dict(call.arguments)
    why = arguments.pop(WHY, None)
    if not isinstance(why, str) or not why.strip():
        raise Refused([Problem(WHY, "is required but was not given", "Say why, in a sentence")])
    mine = sorted(set(arguments) & hidden_inputs(tool, spec))
    if mine:
        raise Refused([Problem(name, "is not yours to choose here", "Leave it out") for name in mine])
    name = f"{spec.prefix}run-{len(passed) + 1}"
    whole = {STRUCTURE: spec.structure, **arguments, **spec.fixed}
    # Without copying the key does not tell contents of files apart, and here all have the same structure.
    (ready,) = prepare(
        [Request(id=name, tool=tool.name, inputs=whole)], {tool.name: tool}, base=inputs, confined=True, stage=None
    )
    amount = tool.amount(tool.request.model_validate(ready.request.inputs)) if tool.amount else None
    if spec.max_amount is not None and amount is not None and amount > spec.max_amount:
        message = f"this comes to {amount:g} {tool.unit}, and at most {spec.max_amount:g} {tool.unit} are allowed"
        raise Refused([Problem("steps", message, "Propose less")])
    if all(one["key"] != ready.key for one in passed) and len(passed) >= spec.max_simulations:
        message = f"at most {spec.max_simulations} simulations may be proposed"
        raise Refused([Problem("tool", message, f"{', '.join(one['id'] for one in passed)} are accepted already")])
    return {"id": name, "inputs": whole, "why": why.strip()[:2000], "key": ready.key}
