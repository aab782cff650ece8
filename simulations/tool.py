"""What a Tool is, and how the installed ones are found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from simulations.records import StagedFile
from simulations.workspace import Workspace

ENTRY_POINT_GROUP = "director.tools"
FILE_INPUT = "x-file"

_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode

RequestT = TypeVar("RequestT", bound=BaseModel)
ResultT = TypeVar("ResultT", bound=BaseModel)


@dataclass(frozen=True)
class Tool(Generic[RequestT, ResultT]):
    """A typed simulation.

    Attributes:
        name: What users write as ``tool``.
        version: Part of every Request's key. Raise it when the same inputs give another result.
        summary: One line for people and agents who choose a Tool.
        request: Model of the inputs. Bounds and units stand in its fields. A field whose
            ``json_schema_extra`` holds ``{"x-file": [names]}`` takes a file's path or one of these names.
        result: Model of what it returns, with units.
        run: Does the work in a worker process. It raises `ToolError` for what the user can mend.
        packages: Distributions whose versions are part of a result's provenance.
        checkpoints: Whether it saves what it has done, stops when its Workspace asks it to pause, and goes on from
            there in its next attempt.
        amount: How much work a request is, in ``unit``: steps times timestep, say. None: not known in advance.
        unit: Unit of work, such as ``ns`` or ``s``.
        size: Names requests that take about as long for each unit of work: those of one structure and solvent, say.
        rehearsal: The same kind of work without an end, with as little as possible before it begins: what
            `director tune` measures. None: its speed cannot be measured so.
        cores: How many cores its worker must own at least.
    """

    name: str
    version: str
    summary: str
    request: type[RequestT]
    result: type[ResultT]
    run: Callable[[RequestT, Workspace], ResultT]
    packages: tuple[str, ...] = ()
    checkpoints: bool = False
    amount: Callable[[RequestT], float] | None = None
    unit: str = ""
    size: Callable[[RequestT], str] | None = None
    rehearsal: Callable[[RequestT], RequestT] | None = None
    cores: int = 1

    def schema(self) -> dict[str, Any]:
        """Describes the Tool in JSON: name, version, summary, and the JSON schemas of request and result."""
        return {
            "name": self.name,
            "version": self.version,
            "summary": self.summary,
            "request": self.request.model_json_schema(),
            "result": self.result.model_json_schema(mode="serialization"),
        }

    @cached_property
    def file_inputs(self) -> Mapping[str, Sequence[str]]:
        """The inputs that name files, each with the names that are no path but ship with the Tool."""
        found: dict[str, list[str]] = {}
        for name, field in self.request.model_fields.items():
            extra = field.json_schema_extra
            if isinstance(extra, dict) and FILE_INPUT in extra:
                shipped = extra[FILE_INPUT]
                found[name] = [str(item) for item in shipped] if isinstance(shipped, list) else []
        return found


AnyTool = Tool[Any, Any]


def find_tools() -> dict[str, AnyTool]:
    """Loads every installed Tool, by its name.

    A package adds a Tool with an entry point in the group ``director.tools``.

    Raises:
        TypeError: If an entry point does not name a `Tool`, or is registered under another name than its own.
        ValueError: If two packages register the same name.
    """
    found: dict[str, AnyTool] = {}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        tool = entry.load()
        owner = entry.dist.name if entry.dist else "an unknown package"
        if not isinstance(tool, Tool) or tool.name != entry.name:
            raise TypeError(
                f"entry point {entry.name!r} of {owner} is {tool!r}; expected a simulations.Tool named {entry.name!r}"
            )
        if entry.name in found:
            raise ValueError(f"tool {entry.name!r} is registered twice, once by {owner}: uninstall one of the packages")
        found[entry.name] = tool
    return found


def request_key(tool: AnyTool, inputs: Mapping[str, Any], files: Mapping[str, StagedFile]) -> str:
    """Hashes what decides a simulation's result.

    Args:
        tool: The Tool; its name and version are part of the key.
        inputs: Validated inputs as JSON has them, with every default filled in.
        files: Copies of the user's files; their content counts, not their names.

    Returns:
        64 hexadecimal digits (SHA-256 of canonical JSON).
    """
    contents = {name: {"sha256": file.sha256, "suffix": file.suffix.lower()} for name, file in files.items()}
    text = _canonical([tool.name, tool.version, {**inputs, **contents}])
    return hashlib.sha256(text.encode()).hexdigest()
