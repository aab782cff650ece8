"""What runs in a worker process: attempts, one after another.

This module and what it imports are all that a worker loads of us before its first Tool, so it stays light.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from director.attempt import Attempt, AttemptResult
from director.interrupt import Interrupted, Interrupts
from partitions.environment import WORKER_VARIABLE
from partitions.reports import reported
from simulations.cache import BuildCache
from simulations.disk import disk_error
from simulations.errors import Cancelled, Paused, Superseded, ToolError
from simulations.records import Ending, ErrorInfo
from simulations.tool import AnyTool, find_tools
from simulations.workspace import Resources, Stop, Workspace

TRACEBACK_FILE = "traceback.txt"


@dataclass(frozen=True)
class _End:
    """How the Tool's part of an attempt ended."""

    ending: Ending
    result: dict[str, Any] | None = None
    error: ErrorInfo | None = None
    began: bool = True


@dataclass
class Worker:
    """This process, as a worker: what it owns, and what it keeps between Requests."""

    resources: Resources
    tools: Mapping[str, AnyTool]
    cache: BuildCache = field(default_factory=BuildCache)
    interrupts: Interrupts = field(default_factory=Interrupts)

    def run(self, attempt: Attempt, run_folder: Path, work: Path) -> AttemptResult:
        """Runs one attempt. Whatever the Tool raises becomes part of the result."""
        workspace = Workspace(
            folder=work / attempt.id,
            run_folder=run_folder,
            resources=self.resources,
            inputs={name: run_folder / "inputs" / file.stored_name for name, file in attempt.files.items()},
            cache=self.cache,
            epoch=attempt.epoch,
            pause_at=attempt.pause_at,
        )
        tool = self._tool(attempt.tool, run_folder)
        started_at = datetime.now(UTC)
        end = self._interruptible(tool, attempt, workspace)
        return AttemptResult(
            id=attempt.id,
            epoch=attempt.epoch,
            ending=end.ending,
            result=end.result,
            error=end.error,
            host=self.resources.host,
            worker=self.resources.worker,
            accelerator=self.resources.accelerator,
            started_at=started_at,
            finished_at=datetime.now(UTC),
            artifacts=dict(workspace.artifacts),
            versions=versions(tool.packages),
            course=workspace.course,
            notes=tuple(workspace.notes),
            began=end.began,
        )

    def _tool(self, name: str, run_folder: Path) -> AnyTool:
        if name not in self.tools:
            # Few runs have tool files, and what reads them takes a while to load.
            from director.toolbox import tools_of_run

            self.tools = tools_of_run(run_folder, self.tools)
        return self.tools[name]

    def _interruptible(self, tool: AnyTool, attempt: Attempt, workspace: Workspace) -> _End:
        ended: list[_End] = []
        try:
            with self.interrupts.allowed(workspace):
                ended.append(_attempt(tool, attempt, workspace))
        except Interrupted as caught:
            # It may have come after the Tool's end. That counts then: what is done is done.
            if not ended:
                ended.append(_interrupted(caught.stop))
        return ended[0]


def _attempt(tool: AnyTool, attempt: Attempt, workspace: Workspace) -> _End:
    try:
        if workspace.pause_asked():
            return replace(_stopped(Stop.PAUSE, "it was asked to pause before it had begun"), began=False)
        if attempt.epoch > 1 and not tool.checkpoints:
            workspace.clear()
        answer: BaseModel = tool.run(tool.request.model_validate(attempt.inputs), workspace)
        workspace.done()
        return _End(Ending.OK, result=answer.model_dump(mode="json"))
    except Cancelled as caught:
        return _stopped(Stop.TIMEOUT if caught.timed_out else Stop.CANCEL, str(caught))
    except Paused as caught:
        return _stopped(Stop.PAUSE, str(caught))
    except Superseded as caught:
        hint = "Nothing is to be done: the later attempt's result counts."
        return _End(Ending.AGAIN, error=ErrorInfo(type="Superseded", message=str(caught), hint=hint))
    except ToolError as caught:
        return _failed(caught)
    except Exception as caught:  # noqa: BLE001, RUF100  (the boundary: a Tool may raise anything)
        explained = disk_error(caught, workspace.folder) if isinstance(caught, OSError) else None
        return _failed(explained) if explained else _End(Ending.FAILED, error=_unforeseen(caught, workspace))


def _interrupted(stop: Stop) -> _End:
    if stop is Stop.PAUSE:
        return _stopped(stop, "it did not pause by itself, and was interrupted; it goes on from its last checkpoint")
    reason = "its time was over" if stop is Stop.TIMEOUT else "it was cancelled"
    return _stopped(stop, f"{reason}; it did not stop by itself, and was interrupted")


def _stopped(stop: Stop, message: str) -> _End:
    ending, kind, hint = {
        Stop.CANCEL: (Ending.CANCELLED, "Cancelled", "Submit it again to run it."),
        Stop.TIMEOUT: (Ending.TIMEOUT, "Timeout", "Submit it again with more time, or with less to do."),
        Stop.PAUSE: (Ending.PAUSED, "Paused", "It goes on by itself when there is time."),
    }[stop]
    return _End(ending, error=ErrorInfo(type=kind, message=message, hint=hint))


def _failed(error: ToolError) -> _End:
    info = ErrorInfo(type=error.kind, message=error.message, hint=error.hint, details=error.details)
    return _End(Ending.AGAIN if error.transient else Ending.FAILED, error=info)


def _unforeseen(caught: Exception, workspace: Workspace) -> ErrorInfo:
    hint = "This error was not foreseen by the Tool."
    try:
        workspace.artifact("traceback", TRACEBACK_FILE).write_text(traceback.format_exc())
        hint += " Its traceback is among the artifacts."
    except (OSError, Superseded) as failure:
        hint += f" Its traceback could not be written: {failure}."
    return ErrorInfo(type=type(caught).__name__, message=str(caught) or repr(caught), hint=hint)


@functools.lru_cache(maxsize=64)
def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("md-director", *packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Versions of Python, md-director and these packages."""
    return dict(_versions(packages))


def describe(environment: Mapping[str, str]) -> Resources:
    """Reads from its environment what a worker owns; see `partitions.worker_pool`.

    Raises:
        KeyError: If the worker was not started by a Director.
    """
    said = json.loads(environment[WORKER_VARIABLE])
    return Resources(
        host=said["host"],
        worker=f"{said['host']}/{said['rank']}",
        threads=said["threads"],
        accelerator=said["accelerator"],
    )


def pack_name(attempts: Sequence[Attempt]) -> str:
    """What attempts that travel together are called: no two packs begin with the same attempt."""
    return f"{attempts[0].id}.{attempts[0].epoch}"


def warm() -> None:
    """Loads the installed Tools, as the first task will: called in a worker that waits for it."""
    find_tools()


@functools.cache
def this_worker() -> Worker:
    """The worker that this process is; it handles `INTERRUPT_SIGNAL` from now on."""
    worker = Worker(describe(os.environ), find_tools())
    worker.interrupts.install()
    return worker


def run_attempts(attempts: list[Attempt], run_folder: str, work: str) -> list[AttemptResult]:
    """Runs attempts one after another: the function that travels to workers."""
    worker = this_worker()
    with reported(int(worker.resources.worker.rpartition("/")[2]), pack_name(attempts), os.environ):
        return [worker.run(attempt, Path(run_folder), Path(work)) for attempt in attempts]
