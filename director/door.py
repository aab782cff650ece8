"""The door: every Request is checked here, by the client before it is sent and by the Director before it is journaled.

Nothing that is refused has been started, and no refused value is replaced.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from simulations.records import Request
from simulations.tool import AnyTool, request_key


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with what a user gave.

    Attributes:
        where: The field, such as ``requests[2].inputs.timestep_fs``.
        message: What is wrong with it.
        hint: What to do.
    """

    where: str
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}. {self.hint}"

    def within(self, prefix: str) -> Problem:
        """The same problem, seen from one level further out."""
        return Problem(f"{prefix}.{self.where}" if self.where else prefix, self.message, self.hint)


class Refused(ValueError):  # noqa: N818  (the word users know)
    """Input that was refused before anything was started.

    Args:
        problems: All that is wrong with it; at least one.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True)
class Checked:
    """A Request that has passed the door.

    Attributes:
        request: The Request, its inputs complete with the Tool's defaults.
        tool: Its Tool.
        key: Its key.
    """

    request: Request
    tool: AnyTool
    key: str


def check(request: Request, tools: Mapping[str, AnyTool], cores: int | None = None) -> Checked:
    """Checks a Request against its Tool.

    Args:
        request: The Request; files that its inputs name must have been staged.
        tools: The installed Tools, by name.
        cores: How many cores each worker owns at least; None: that is not known here.

    Raises:
        Refused: If the Tool is unknown or needs more cores, an input is not what it takes, or a file was not staged.
    """
    if request.tool not in tools:
        raise Refused([_unknown("tool", request.tool, tools, "Installed tools")])
    tool = tools[request.tool]
    if cores is not None and tool.cores > cores:
        message = f"{tool.name} needs {tool.cores} cores, and a worker here owns {cores}"
        raise Refused([Problem("tool", message, "Run it with fewer workers_per_node, so that each owns more cores")])
    try:
        model = tool.request.model_validate(request.inputs)
    except ValidationError as error:
        raise Refused(problems_of(error, tool.request, "inputs")) from None
    problems = []
    file_inputs = tool.file_inputs
    for field, shipped in file_inputs.items():
        value = getattr(model, field)
        if value is not None and field not in request.files and value not in shipped:
            names = f"one of {', '.join(shipped)}, or a file of yours" if shipped else "a file of yours"
            problems.append(Problem(f"inputs.{field}", f"{value!r} is neither shipped nor staged", f"Give {names}"))
    problems += [
        Problem(f"files.{field}", f"{tool.name} takes no file in {field!r}", "Leave it out")
        for field in request.files
        if field not in file_inputs
    ]
    if problems:
        raise Refused(problems)
    inputs = model.model_dump(mode="json")
    complete = request.model_copy(update={"inputs": inputs})
    return Checked(complete, tool, request_key(tool, inputs, request.files))


def problems_of(error: ValidationError, model: type[BaseModel], prefix: str = "") -> list[Problem]:
    """Says in words what pydantic found wrong.

    Args:
        error: What pydantic raised.
        model: What was to be made.
        prefix: Where it stands in the user's input.
    """
    return [
        _problem(dict(item), _model_at(model, item["loc"]).model_fields, prefix)
        for item in error.errors(include_url=False)
    ]


def _model_at(model: type[BaseModel], place: Sequence[int | str]) -> type[BaseModel]:
    """The model, within a model, that has the field at the end of a place."""
    for part in place[:-1]:
        field = model.model_fields.get(part) if isinstance(part, str) else None
        inner = _models_in(field.annotation) if field is not None else set()
        if len(inner) == 1:
            (model,) = inner
    return model


def _models_in(annotation: Any) -> set[type[BaseModel]]:
    """The models that an annotation names, such as the members' of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {model for argument in get_args(annotation) for model in _models_in(argument)}


def _problem(item: dict[str, Any], fields: Mapping[str, FieldInfo], prefix: str) -> Problem:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in item["loc"]]
    where = (prefix + "".join(parts)).lstrip(".")
    name = str(item["loc"][-1]) if item["loc"] else ""
    description = fields[name].description if name in fields else None
    meaning = f" {name}: {description}" if description else ""
    if item["type"] == "extra_forbidden":
        return _unknown(where, name, fields, "Known names")
    if item["type"] == "missing":
        return Problem(where, "is required but was not given", f"Give it; no default is put in its place.{meaning}")
    message = item["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    given = item["input"]
    if isinstance(given, dict):
        return Problem(where, message, "Change one of these inputs")
    shown = repr(given) if len(repr(given)) <= 80 else repr(given)[:77] + "…"
    return Problem(where, f"{message}, got {shown}", f"Correct the value.{meaning}")


def _unknown(where: str, name: str, known: Iterable[str], label: str) -> Problem:
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    guess = f"Did you mean {close[0]!r}? " if close else ""
    return Problem(where, f"{name!r} is not known", f"{guess}{label}: {', '.join(names)}")
