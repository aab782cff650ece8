"""The Tools of a run: those that are installed, and those of its tool files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter

from director.door import Problem, Refused
from director.pool_size import bindings_of
from director.spec import PoolSpec
from partitions.carve import Partition
from simulations.shell import (
    MAX_DEFINITIONS_BYTES,
    Fault,
    ToolDefinition,
    ToolFileError,
    ToolSource,
    make_tool,
    read_tool_file,
)
from simulations.tool import AnyTool, find_tools

MAX_TOOL_FILES = 50

ToolFiles = Sequence[str | os.PathLike[str] | ToolSource]
"""Tool files as users name them: paths, or what was read before."""


def read_tools(files: ToolFiles, *, base: Path | None = None) -> tuple[ToolSource, ...]:
    """Reads tool files.

    Args:
        files: The files.
        base: Folder that relative paths start from and that all must lie in; None: the current folder, and they may
            lie anywhere.

    Raises:
        Refused: With everything that is wrong with any of them.
    """
    if len(files) > MAX_TOOL_FILES:
        raise Refused([Problem("tools", f"are {len(files)} tool files", f"Give {MAX_TOOL_FILES} at most")])
    problems: list[Problem] = []
    found = []
    for index, file in enumerate(files):
        try:
            found.append(file if isinstance(file, ToolSource) else _read(Path(file), f"tools[{index}]", base))
        except ToolFileError as error:
            problems += map(_problem, error.faults)
        except Refused as refusal:
            problems += refusal.problems
    if problems:
        raise Refused(problems)
    size = sum(len(source.definition.model_dump_json()) for source in found)
    if size > MAX_DEFINITIONS_BYTES:
        message = f"the tool files have {size:,} bytes together"
        raise Refused([Problem("tools", message, f"Shorten them: {MAX_DEFINITIONS_BYTES:,} at most")])
    tools_with([source.definition for source in found])
    return tuple(found)


def tools_with(
    definitions: Sequence[ToolDefinition], installed: Mapping[str, AnyTool] | None = None
) -> dict[str, AnyTool]:
    """The Tools of a run, by their names.

    Args:
        definitions: Its tool files.
        installed: The installed Tools; None: they are looked for.

    Raises:
        Refused: If a tool file has the name of an installed Tool, or of another one.
    """
    known = find_tools() if installed is None else installed
    made: dict[str, AnyTool] = {}
    problems = []
    for definition in definitions:
        name = definition.file.name
        if name in known or name in made:
            what = "an installed Tool" if name in known else "another tool file"
            problems.append(Problem(f"tools.{name}", f"is the name of {what} too", "Give the tool file another name"))
        else:
            made[name] = make_tool(definition)
    if problems:
        raise Refused(problems)
    return {**known, **made}


def tools_of_run(run_folder: Path, installed: Mapping[str, AnyTool]) -> dict[str, AnyTool]:
    """The Tools of a run, for a worker, which has nothing of the run but its folder.

    Raises:
        OSError: If the run's record cannot be read.
        ValueError: If it is not what it should be.
    """
    said = json.loads((run_folder / "run.json").read_bytes()).get("tools", [])
    return tools_with(TypeAdapter(list[ToolDefinition]).validate_json(json.dumps(said)), installed)


def stage_tools(sources: Sequence[ToolSource], inputs: Path) -> None:
    """Copies the files that ship with tool files into a run folder.

    Args:
        sources: The tool files.
        inputs: The run folder's folder of inputs.

    Raises:
        Refused: If one was changed since it was read.
        OSError: If one cannot be read or written.
    """
    try:
        for source in sources:
            source.stage(inputs)
    except ToolFileError as error:
        raise Refused(map(_problem, error.faults)) from None


def fewest_cores(partitions: Sequence[Partition], pool: PoolSpec) -> int:
    """How many cores the worker owns that owns the fewest. Pure."""
    return min(
        (binding.threads for part in partitions for _, bindings in bindings_of(part, pool) for binding in bindings),
        default=1,
    )


def check_cores(tools: Sequence[AnyTool], partitions: Sequence[Partition], pool: PoolSpec) -> None:
    """Makes sure that every worker owns as many cores as each of some Tools needs. Pure.

    Raises:
        Refused: If one does not.
    """
    owned = fewest_cores(partitions, pool)
    node_cores = min((len(node.cores) for part in partitions for node in part.nodes), default=0)
    problems = [
        Problem(
            f"tools.{tool.name}",
            f"needs {tool.cores} cores, and a worker here owns {owned}",
            f"Run with workers_per_node: {node_cores // tool.cores}"
            if tool.cores <= node_cores
            else f"Ask for less: a node here has {node_cores} cores",
        )
        for tool in tools
        if tool.cores > owned
    ]
    if problems:
        raise Refused(problems)


def _read(path: Path, where: str, base: Path | None) -> ToolSource:
    root = (base or Path.cwd()).resolve()
    found = (root / path).resolve()
    if base is not None and not found.is_relative_to(root):
        message = f"{str(path)!r} lies outside of the batch file's folder {root}"
        raise Refused([Problem(where, message, "Put the tool file beside the batch file, or in a folder below it")])
    return read_tool_file(found, shown=str(path))


def _problem(fault: Fault) -> Problem:
    return Problem(fault.where, fault.message, fault.hint)
