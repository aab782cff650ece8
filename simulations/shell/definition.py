"""A tool file as it travels, in JSON, to Directors and workers, and the Tool that each of them makes of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from simulations.records import StagedFile
from simulations.shell.fields import Strict
from simulations.shell.toolfile import ToolFile
from simulations.tool import AnyTool, Tool
from simulations.workspace import Workspace

MAX_DEFINITIONS_BYTES = 200_000
"""Of all tool files of a run together; what tells of a run must fit into one message of an exchange."""


# What the interfaces for agents call arguments of their own.
TAKEN = ("self", "args", "kwargs", "config", "callbacks", "run_manager")


class ToolDefinition(BaseModel):
    """A tool file that has been read.

    Attributes:
        file: What it says.
        files: The files that ship with it, by their names in it; their content lies in ``RUN/inputs``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: ToolFile
    files: dict[str, StagedFile] = Field(default_factory=dict)

    @property
    def version(self) -> str:
        """The Tool's version: the tool file's own, and a hash of all that it says and ships."""
        said = self.file.model_dump(mode="json")
        shipped = {name: [file.sha256, file.suffix] for name, file in self.files.items()}
        text = json.dumps([said, shipped], sort_keys=True, separators=(",", ":"))
        return f"{self.file.version}+{hashlib.sha256(text.encode()).hexdigest()[:12]}"


class ProgramResult(Strict):
    """What is known of any program that ended well."""

    exit_code: int = Field(description="Its exit code.")
    wall_s: float = Field(description="Wall time from its start to its end, in s.")
    cpu_s: float = Field(
        description="Processor time of it and of those processes that it started and waited for, in s."
    )
    program: str = Field(description="Path of the program that was run.")
    cores: int = Field(description="Cores that it was given, those of all ranks together.")


@dataclass(frozen=True)
class _Run:
    """Runs a program of a definition: a Tool's ``run``."""

    definition: ToolDefinition
    values: type[BaseModel] | None
    result: type[BaseModel]

    def __call__(self, request: BaseModel, workspace: Workspace) -> BaseModel:
        # Only workers run programs; clients and Directors check inputs only.
        from simulations.shell.running import run_tool

        return run_tool(self.definition, request, workspace, values=self.values, result=self.result)


def make_tool(definition: ToolDefinition) -> AnyTool:
    """Makes the Tool that a definition describes.

    Raises:
        ValueError: If an input or a value has a name that no field of a model can have.
    """
    file = definition.file
    words = {*file.inputs, *(name for output in file.outputs.values() for name in output.values)}
    taken = sorted(word for word in words if hasattr(BaseModel, word) or word.startswith("model_") or word in TAKEN)
    if taken:
        raise ValueError(f"{taken[0]!r} is a name that no input or value can have")
    title = "".join(part.capitalize() for part in file.name.split("_"))
    request = _model(
        f"{title}Request", f"Inputs of {file.name}.", {name: item.field() for name, item in file.inputs.items()}
    )
    values, result = _result_models(file, title)
    return Tool(
        name=file.name,
        version=definition.version,
        summary=file.summary,
        request=request,
        result=result,
        run=_Run(definition, values, result),
        size=lambda _: file.name,
        cores=file.needed_cores,
    )


def _result_models(file: ToolFile, title: str) -> tuple[type[BaseModel] | None, type[BaseModel]]:
    """Models of the values that are taken from outputs, if there are any, and of the result: these come first."""
    doc = f"What {file.name} returns. What its own values mean, and whether they have converged, is for it to say."
    fields = {name: value.field() for output in file.outputs.values() for name, value in output.values.items()}
    common = {name: (field.annotation, field) for name, field in ProgramResult.model_fields.items()}
    values = _model(f"{title}Values", f"What {file.name} wrote as its result.", fields) if fields else None
    twice = sorted(set(fields) & set(common))
    if twice:
        raise ValueError(f"{twice[0]!r} is a name that each result has already")
    return values, _model(f"{title}Result", doc, {**fields, **common})


def _model(name: str, doc: str, fields: dict[str, Any]) -> type[BaseModel]:
    made: type[BaseModel] = create_model(name, __base__=Strict, __doc__=doc, __module__=__name__, **fields)
    return made
