"""Runs a user's program in a Workspace: puts its files there, watches it, and takes what it wrote."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel

from simulations.errors import ToolError
from simulations.shell.arguments import Placeholder, filled, placeholders_of, written
from simulations.shell.capture import Capture
from simulations.shell.child import Command, Ended, run_child
from simulations.shell.definition import ToolDefinition
from simulations.shell.fields import FileInput
from simulations.shell.outputs import check_required, found_outputs, read_values
from simulations.shell.programs import check_cores, environment_of, find_program, with_ranks
from simulations.shell.toolfile import Switch, ToolFile
from simulations.workspace import Workspace

FOLDER = "files"
"""Where a program runs, within the Request's folder: what belongs to the Workspace is out of its way."""

MAX_PRINTED_BYTES = 4_000_000
# By these a scheduler warns all that runs on its nodes; the program itself is not to blame.
_WARNINGS = (signal.SIGTERM, signal.SIGUSR1)


def run_tool(
    definition: ToolDefinition,
    request: BaseModel,
    workspace: Workspace,
    *,
    values: type[BaseModel] | None,
    result: type[BaseModel],
) -> BaseModel:
    """Runs a program once.

    It cannot pause: it goes on when it is asked to. What an earlier attempt left is removed first.

    Args:
        definition: What is run.
        request: Its inputs.
        workspace: Where.
        values: Model of the values that are taken from its outputs, if there are any.
        result: Model of the result.

    Raises:
        Cancelled: If it was asked to stop for good, or ran for too long.
        ToolError: ``NotEnoughCores``, ``ProgramNotFound``, ``ProgramNotStarted``, ``ProgramFailed``,
            ``OutputMissing``, ``OutputInvalid`` or ``FileDamaged``.
    """
    file = definition.file
    check_cores(file, workspace.resources, os.cpu_count() or 1)
    environment = environment_of(file, workspace.resources, os.environ)
    program = find_program(file.program[0], environment, workspace.resources.host)
    if workspace.epoch > 1:
        workspace.clear()
    folder = workspace.path(f"{FOLDER}/.").resolve()
    folder.mkdir(exist_ok=True, mode=0o700)
    copies = _put(definition, workspace, folder)
    arguments = [program, *arguments_of(file, request, copies, workspace)[1:]]
    command = arguments
    if file.ranks is not None:
        command = with_ranks(file, arguments, environment, workspace.resources, workspace.path("ranks.json"))
    printed = {name: _capture(workspace, name) for name in ("stdout", "stderr")}
    ended = _run(Command(command, environment, folder, file.timeout_s), file, workspace, printed)
    found = found_outputs(file, folder)
    for name, path in found.items():
        workspace.artifact(name, f"{FOLDER}/{path.relative_to(folder)}")
    said = printed["stderr"].last_lines() or printed["stdout"].last_lines()
    _check_ending(file, ended, said)
    check_required(file, found, said)
    more = {} if values is None else read_values(file, found, values).model_dump()
    for copy in {*copies.values()} - {str(path.relative_to(folder)) for path in found.values()}:
        (folder / copy).unlink(missing_ok=True)  # the run folder has them already, under the hash of their content
    return result(
        exit_code=ended.exit_code,
        wall_s=ended.wall_s,
        cpu_s=ended.cpu_s,
        program=program,
        cores=file.needed_cores,
        **more,
    )


def arguments_of(file: ToolFile, request: BaseModel, copies: dict[Placeholder, str], workspace: Workspace) -> list[str]:
    """The program as its tool file names it, and all of its arguments. Each value stays within its argument.

    Args:
        file: The tool file.
        request: The inputs.
        copies: Where files are, from the folder that the program runs in.
        workspace: With what its worker owns.
    """
    values = dict(copies)
    given: dict[str, Any] = {name: getattr(request, name) for name in file.inputs}
    for name, value in given.items():
        if value is not None and not isinstance(file.inputs[name], FileInput):
            values[Placeholder("input", name)] = written(value)
    values |= {Placeholder("out", name): output.file for name, output in file.outputs.items()}
    values[Placeholder("run", "cores")] = str(file.cores)
    values[Placeholder("run", "ranks")] = str(file.ranks or 1)
    values[Placeholder("run", "accelerator")] = workspace.resources.accelerator or ""
    lines = list(file.program)
    for item in file.arguments:
        if isinstance(item, Switch):
            lines += item.arguments if given[item.when] else []
        elif isinstance(item, str):
            lines.append(item)
        elif all(
            found.kind != "input" or given[found.name] is not None for line in item for found in placeholders_of(line)
        ):
            lines += item
    return [filled(line, values) for line in lines]


def _put(definition: ToolDefinition, workspace: Workspace, folder: Path) -> dict[Placeholder, str]:
    """Copies a user's files and those that ship with the tool, so that what a program does to them concerns nobody."""
    copies: dict[Placeholder, str] = {}
    for name, item in definition.file.inputs.items():
        source = workspace.inputs.get(name)
        if isinstance(item, FileInput) and source is not None:
            copies[Placeholder("input", name)] = called = item.name or f"{name}{source.suffix}"
            shutil.copyfile(source, folder / called)
    for name, staged in definition.files.items():
        content = (workspace.run_folder / "inputs" / staged.stored_name).read_bytes()
        if hashlib.sha256(content).hexdigest() != staged.sha256:
            message = f"the run folder's copy of {staged.name}, which ships with {definition.file.name}, was changed"
            raise ToolError(message, hint="Run it again, in another run folder", kind="FileDamaged")
        called = PurePosixPath(definition.file.files[name]).name
        copies[Placeholder("file", name)] = called
        (folder / called).write_bytes(content)
    for output in definition.file.outputs.values():
        (folder / output.file).parent.mkdir(parents=True, exist_ok=True)
    return copies


def _capture(workspace: Workspace, name: str) -> Capture:
    return Capture(partial(workspace.artifact, name, f"{name}.txt"), MAX_PRINTED_BYTES)


def _run(command: Command, file: ToolFile, workspace: Workspace, printed: dict[str, Capture]) -> Ended:
    def look(wall_s: float) -> None:
        workspace.pause_asked()  # raises if it is to stop for good; a program cannot pause
        workspace.progress(lambda: {"wall_s": round(wall_s, 1)})

    workspace.begin()
    try:
        ended = run_child(command, stdout=printed["stdout"], stderr=printed["stderr"], look=look, clock=workspace.clock)
    except OSError as error:
        if error.filename not in (command.arguments[0], str(command.arguments[0])):
            raise  # a disk's, which the worker explains
        raise ToolError(
            f"{command.arguments[0]} could not be started on {workspace.resources.host}: {error.strerror}",
            hint="A script needs its interpreter in front of it (program: [python, …]), a program its right to be run",
            kind="ProgramNotStarted",
        ) from error
    if ended.left:
        workspace.note(f"{file.name} left {ended.left} processes behind when it ended; they were ended too")
    return ended


def _check_ending(file: ToolFile, ended: Ended, said: str) -> None:
    """Raises an error for a program that did not end well.

    Raises:
        ToolError: ``ProgramFailed``.
    """
    code = ended.exit_code
    if code in file.success_exit_codes:
        return
    details: dict[str, float | int | str] = {"exit_code": code, "wall_s": round(ended.wall_s, 3)}
    how, hint = f"exit code {code}", "See what it printed, among the artifacts"
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        how, details["signal"] = name, name
        if code == -signal.SIGKILL:
            hint = "Often the machine, or the job, had no memory left: use fewer workers per node, or ask for more"
    raise ToolError(
        f"{file.name} ended with {how}; " + (f"the last that it said: {said}" if said else "it said nothing"),
        hint=hint,
        kind="ProgramFailed",
        details=details,
        transient=code in file.transient_exit_codes or -code in _WARNINGS,
    )
